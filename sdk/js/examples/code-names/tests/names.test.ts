//! The rules of `code-names`, failure cases first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { utf8 } from "@lockgate/sdk";
import { message, run } from "@lockgate/sdk/testing";
import codeNames from "../src/index.ts";

const COUNTRIES = { field: "country", names: { NL: "Nederland" } };

const named = (config: unknown, body: string) => run(codeNames, message(body), { config });
const text = (config: unknown, body: string) => utf8.decode(named(config, body).drafts[0]!.body);

test("a table that is wrong is refused before anything is named", () => {
  for (const config of [{ field: "country", names: {} }, { names: { NL: "Nederland" } }, { field: "c", nmes: {} }]) {
    assert.equal(named(config, "{}").failure.code, "setup-refused", JSON.stringify(config));
  }
});

test("what has no name fails with its place", () => {
  for (const [body, code, detail] of [
    ['{"country": "XX"}', "code-unknown", "/country is XX, and names has no name for it"],
    ['{"country": null}', "required-field-missing", "/country is null"],
    ["{}", "required-field-missing", "/country is missing"],
    ['{"country": 7}', "field-type-wrong", "/country should be text, and is a number"],
    ["[]", "field-type-wrong", "the document should be an object, and is a list"],
  ] as const) {
    const { failure } = named(COUNTRIES, body);
    assert.deepEqual([failure.code, failure.detail, failure.isTransient], [code, detail, false], body);
  }
});

test("a code becomes its name and the rest stays as it was written", () => {
  assert.equal(text(COUNTRIES, '{"b": 10.00, "country": "NL", "c": 1e2}'), '{"b":10.00,"country":"Nederland","c":1e+2}');
  assert.equal(text({ ...COUNTRIES, unknown: "keep" }, '{"country": "XX"}'), '{"country":"XX"}');
});
