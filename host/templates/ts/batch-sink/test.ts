//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Failure, utf8 } from "@lockgate/sdk";
import { answer, messages, noAnswer, run, type Answer } from "@lockgate/sdk/testing";

import plugin from "../src/index.ts";

function deliver(bodies: string[], answered: Answer) {
  return run(plugin, messages(bodies), { answers: [answered] });
}

function code(result: unknown) {
  return result instanceof Failure ? result.code : "delivered";
}

test("a target that is down is a failure of every message that may pass", () => {
  const { results } = deliver(["1", "2"], noAnswer("unreachable", "refused"));
  assert(results.every((result) => result instanceof Failure && result.isTransient));
});

test("a row the target says nothing of is tried again", () => {
  const { results } = deliver(["1", "2"], answer(200, [{ id: "a" }]));
  assert.deepEqual(results.map(code), ["delivered", "row-unanswered"]);
});

test("what is wrong with one message is nobody else's failure", () => {
  const { results } = deliver(["1", "{", "3"], answer(200, [{ id: "a" }, { error: "too long" }]));
  assert.deepEqual(results.map(code), ["delivered", "body-invalid", "row-refused"]);
});

test("the good rows go out in one request and in order", () => {
  const { requests } = deliver(["1", "{", "3"], answer(200, []));
  const sent = JSON.parse(utf8.decode(requests[0]?.body ?? new Uint8Array()));
  assert.deepEqual(sent.map((row: { data: unknown }) => row.data), [1, 3]);
});
