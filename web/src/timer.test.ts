import { test } from "node:test";
import assert from "node:assert/strict";
import { clock, warning } from "./timer.ts";

test("a clock", () => {
  for (const [seconds, text] of [[0, "0:00"], [59.9, "0:59"], [60, "1:00"], [3599, "59:59"], [3600, "1:00:00"], [7384, "2:03:04"], [-5, "0:00"]] as const) {
    assert.equal(clock(seconds), text);
  }
});

test("each warning once", () => {
  assert.equal(warning(901, 900), "15 minutes left.");
  assert.equal(warning(900, 899), null);
  assert.equal(warning(310, 290), "5 minutes left.");
  assert.equal(warning(61, 60), "One minute left.");
});
