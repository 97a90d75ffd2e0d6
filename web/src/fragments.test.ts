import { test } from "node:test";
import assert from "node:assert/strict";
import { isLocal, parseUpdate } from "./fragments.ts";

test("an update is read or refused", () => {
  for (const [text, good] of [
    ['{"fragments":[{"id":"a","html":"<p></p>"}]}', true],
    ['{"redirect":"/attempts/1"}', true],
    ['{"redirect":"https://elsewhere.example/"}', false],
    ['{"redirect":"//elsewhere.example/"}', false],
    ['{"fragments":"no"}', false],
    ["[]", false],
    ["null", false],
    ["no json", false],
  ] as const) {
    assert.equal(parseUpdate(text) !== null, good, text);
  }
});

test("only paths of this server are local", () => {
  assert.ok(isLocal("/labs"));
  for (const path of ["labs", "//x", "/\\x", "javascript:alert(1)", ""]) assert.ok(!isLocal(path), path);
});
