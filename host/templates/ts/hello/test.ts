//! The rules of `hello`, failure cases first: through the same entry point that the host calls.

import assert from "node:assert/strict";
import { test } from "node:test";

import { message, run } from "@lockgate/sdk/testing";

import plugin from "../src/index.ts";

function deliver(body: unknown) {
  return run(plugin, message(body), { config: { greeting: "Good morning" } });
}

test("a message without a name is a dead letter that names the field", () => {
  const { failure } = deliver({});
  assert(!failure.isTransient);
  assert.match(failure.detail, /\/name/);
});

test("a message that is no JSON is a dead letter", () => {
  assert.equal(deliver("<name/>").failure.code, "body-invalid");
});

test("whoever a message names is greeted", () => {
  const { outcome, lines } = deliver({ name: "Ada" });
  assert.equal(outcome, "receipt");
  assert.equal(lines[0]?.text, "Good morning, Ada!");
});
