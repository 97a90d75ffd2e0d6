import { test } from "node:test";
import assert from "node:assert/strict";
import { move } from "./matrix.ts";

test("keys move in the matrix and stop at its edges", () => {
  for (const [key, row, column, expected] of [
    ["ArrowRight", 0, 0, [0, 1]],
    ["ArrowRight", 0, 2, [0, 2]],
    ["ArrowLeft", 1, 0, [1, 0]],
    ["ArrowDown", 1, 1, [2, 1]],
    ["ArrowUp", 0, 1, [0, 1]],
    ["Home", 2, 1, [2, 0]],
    ["End", 2, 1, [2, 2]],
    ["Tab", 0, 0, null],
    ["Enter", 0, 0, null],
  ] as const) {
    const place = move(key, { row, column }, 3);
    assert.deepEqual(place && [place.row, place.column], expected, key);
  }
});
