import { test } from "node:test";
import assert from "node:assert/strict";
import { backoff, parseControl } from "./protocol.ts";

test("tries again, ever slower, never slower than ten seconds", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 50].map(backoff), [0.5, 1, 2, 4, 8, 10, 10]);
});

test("control frames are read or ignored", () => {
  assert.deepEqual(parseControl('{"type":"replayed"}'), { type: "replayed" });
  assert.deepEqual(parseControl('{"type":"ended","reason":"bye"}'), { type: "ended", reason: "bye" });
  for (const text of ["", "x", '{"type":"ended"}', '{"type":"other"}', "[]"]) assert.equal(parseControl(text), null, text);
});
