//! Reading documents field by field, with failures that name the field.

import assert from "node:assert/strict";
import { test } from "node:test";

import { field, json } from "@lockgate/sdk";

const document = json.read(`{"null": null, "text": "x", "empty": "", "flag": true, "big": 820982911946154508123, "money": 10.00, "money_text": "10.00",
  "huge": 1e400, "huge_text": "1E400", "list": [{"a": 1}, 2], "a/b~c": {"d": 1}, "spaced": " 1", "signed": "+1", "minus_zero": -0, "__proto__": "own"}`);
const at = (name) => field(document).at(name);

test("what is required and missing or null is named by its pointer", () => {
  const missing = () => field(document).at("customer").required("id");
  assert.throws(missing, { code: "required-field-missing", detail: "/customer/id is missing", kind: "permanent" });
  assert.throws(() => field(document).required("null"), { detail: "/null is null" });
  assert.throws(() => field(null).required("x"), { detail: "/x is missing" });
});

test("another type is a failure and never a null", () => {
  assert.throws(() => at("flag").text(), { detail: "/flag should be text, and is true or false" });
  for (const read of ["flag", "object", "objects"]) assert.throws(() => at("text")[read](), { code: "field-type-wrong" }, read);
  assert.throws(() => at("list").objects(), { detail: "/list/1 should be an object, and is a number" });
  assert.throws(() => at("money").object(), { detail: "/money should be an object, and is a number" });
  for (const name of ["text", "empty", "money", "huge", "flag", "spaced", "signed", "minus_zero"]) {
    assert.throws(() => at(name).digits(), { code: "field-type-wrong" }, name);
  }
  for (const name of ["text", "empty", "flag", "spaced", "signed"]) assert.throws(() => at(name).decimal(), { code: "field-type-wrong" }, name);
  assert.throws(() => { throw at("text").wrong("text"); }, { detail: "/text should be text, and is other text" });
});

test("what is not there is null to every reader", () => {
  for (const name of ["absent", "null", "toString", "constructor"]) {
    for (const read of ["value", "object", "objects", "text", "flag", "digits", "decimal"]) assert.equal(at(name)[read](), null, `${name} ${read}`);
  }
  assert.equal(at("text").at("length").value(), null);
});

test("ids and decimals keep every digit", () => {
  assert.equal(at("big").digits(), "820982911946154508123");
  assert.equal(at("money").decimal().text, "10.00");
  assert.equal(at("money_text").decimal().text, "10.00");
  assert.equal(at("huge").decimal().text, "1e+400");
  assert.equal(at("huge_text").decimal().text, "1E400");
  assert.equal(at("minus_zero").decimal().text, "-0");
  assert.equal(at("empty").text(), "");
  assert.equal(at("__proto__").text(), "own");
});

test("pointers are escaped", () => {
  assert.equal(at("a/b~c").at("d").pointer, "/a~1b~0c/d");
  assert.equal(field(document).pointer, "");
});
