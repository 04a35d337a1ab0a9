//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls.

import assert from "node:assert/strict";
import { test } from "node:test";

import { answer, run, type Answer } from "@lockgate/sdk/testing";

import plugin from "../src/index.ts";

function poll(cursor: string | null, answered: Answer) {
  return run(plugin, cursor, { answers: [answered] });
}

test("a shop that is down is asked again from the same place", () => {
  assert(poll("41", answer(503, "busy")).failure.isTransient);
});

test("an order without its change is a failure that names the field", () => {
  assert.match(poll(null, answer(200, [{ number: "A-1001" }])).failure.detail, /\/change/);
});

test("an empty page leaves the cursor where it is", () => {
  assert.deepEqual(poll("41", answer(200, [])).page, { items: [], cursor: "41", more: false });
});

test("the next poll starts behind the last change", () => {
  const { page, requests } = poll(null, answer(200, [{ number: "A-1001", change: 41 }, { number: "A-1002", change: 42 }]));
  assert.equal(page.cursor, "42");
  assert.deepEqual([page.items[0]?.id, page.items[0]?.key], ["41", "A-1001"]);
  assert.equal(requests[0]?.path, "/orders?after=0&limit=100");
});
