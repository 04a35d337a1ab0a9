// @ts-check
//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls.

import assert from "node:assert/strict";
import { test } from "node:test";

import { message, run } from "@lockgate/sdk/testing";

import plugin from "../src/index.js";

const ORDER = { number: "A-1001", total: "12.50", customer: { email: " Ada@Example.com" } };

/** @param {unknown} order @param {unknown} config */
function transform(order, config = {}) {
  return run(plugin, message(order), { config });
}

test("an order without a number is a dead letter that names the field", () => {
  const { failure } = transform({ total: "12.50" });
  assert(!failure.isTransient);
  assert.match(failure.detail, /\/number/);
});

test("an email of another type is a dead letter", () => {
  assert.match(transform({ ...ORDER, customer: { email: 7 } }).failure.detail, /\/customer\/email/);
});

test("test orders are skipped", () => {
  assert.equal(transform({ test: true }).skip.code, "test-order");
});

test("the record has the amount digit by digit", () => {
  const expected = { externalId: "A-1001", email: "ada@example.com", amount: "12.50", currency: "EUR" };
  assert.deepEqual(transform(ORDER).drafts[0]?.json(), expected);
  assert.equal(transform(ORDER, { currency: "CHF" }).drafts[0]?.json().currency, "CHF");
});
