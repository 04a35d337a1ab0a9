//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls.

import assert from "node:assert/strict";
import { test } from "node:test";

import { utf8 } from "@lockgate/sdk";
import { answer, message, noAnswer, run, type Answer } from "@lockgate/sdk/testing";

import plugin from "../src/index.ts";

const RECORD = { externalId: "A-1001", amount: "12.50" };

function deliver(answered: Answer, config: unknown = {}) {
  return run(plugin, message(RECORD), { config, answers: [answered] });
}

test("what may pass is tried again and the rest is a dead letter", () => {
  for (const [status, mayPass] of [[500, true], [503, true], [429, true], [400, false], [404, false], [422, false]] as const) {
    assert.equal(deliver(answer(status, "no")).failure.isTransient, mayPass, String(status));
  }
});

test("a target that is down is tried again", () => {
  assert(deliver(noAnswer("unreachable", "refused")).failure.isTransient);
});

test("an answer that is no JSON is not taken for a record", () => {
  assert.equal(deliver(answer(200, "<html>")).outcome, "failure");
});

test("a record that is there already is skipped", () => {
  assert.equal(deliver(answer(409)).skip.code, "already-there");
});

test("the record goes out and the receipt has its id", () => {
  const { receipt, requests } = deliver(answer(201, { id: "r-7" }), { path: "/v1/records" });
  assert.equal(receipt.remoteId, "r-7");
  assert.deepEqual([requests[0]?.slot, requests[0]?.path], ["target", "/v1/records"]);
  assert.deepEqual(JSON.parse(utf8.decode(requests[0]?.body ?? new Uint8Array())), RECORD);
});
