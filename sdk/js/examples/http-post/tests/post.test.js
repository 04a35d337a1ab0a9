// @ts-check
//! The rules of `http-post`, failure cases first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { utf8 } from "@lockgate/sdk";
import { answer, message, noAnswer, run } from "@lockgate/sdk/testing";
import httpPost from "../src/index.js";

const BODY = "<a>\u{1f6a2} &amp; 10.00</a>";

/** @param {unknown} config @param {import("@lockgate/sdk/testing").Answer} answer */
function post(config, answer) {
  return run(httpPost, message(BODY, { contentType: "application/xml; charset=utf-8" }), { config, answers: [answer] });
}

test("statuses that may pass are transient and the rest is permanent", () => {
  for (const status of [408, 425, 429, 500, 503]) {
    const { failure } = post({}, answer(status, "no"));
    assert.deepEqual([failure.code, failure.isTransient], [`http-${status}`, true]);
  }
  for (const status of [301, 400, 404, 422]) {
    const { failure } = post({}, answer(status, "no"));
    assert.deepEqual([failure.code, failure.isTransient], [`http-${status}`, false]);
  }
});

test("Retry-After is honoured", () => {
  assert.equal(post({}, answer(429, "", { "Retry-After": 7 })).failure.retryAfterMs, 7_000);
});

test("no answer is transient and a denied path is not", () => {
  assert(post({}, noAnswer("unreachable", "refused")).failure.isTransient);
  assert(!post({}, noAnswer("denied", "path")).failure.isTransient);
});

test("a configuration of another shape is refused", () => {
  for (const config of [{ pth: "/" }, { path: 1 }, { path: null }]) {
    assert.equal(post(config, answer(200)).failure.code, "config-invalid", JSON.stringify(config));
  }
});

test("the body goes out byte for byte with its content type", () => {
  const [sent, ...others] = post({ path: "/v1/orders?source=lockgate" }, answer(204)).requests;
  assert(sent !== undefined && others.length === 0);
  assert.deepEqual([sent.slot, sent.method, sent.path, sent.label], ["target", "POST", "/v1/orders?source=lockgate", "post"]);
  assert.deepEqual(sent.headers, [{ name: "content-type", value: "application/xml; charset=utf-8" }]);
  assert.equal(utf8.decode(sent.body), BODY);
});

test("the receipt has Location and ETag", () => {
  const { receipt, requests } = post({}, answer(201, "", { ETag: '"v7"', Location: "/orders/9" }));
  assert.deepEqual(receipt, { remoteId: "/orders/9", remoteVersion: '"v7"', detail: "HTTP 201" });
  assert.equal(requests[0]?.path, "/");
});
