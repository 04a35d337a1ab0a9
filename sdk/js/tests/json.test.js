//! JSON that keeps every digit; what is no JSON first.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { Decimal, Failure, json, utf8 } from "@lockgate/sdk";

test("what is no JSON is refused", () => {
  for (const text of ["", "{", "[1,]", "01", "1.", ".5", "+1", "NaN", "'a'", "{a: 1}", "{1: 2}", "{1.50: 2}", "[1.50 2]", "\ufeff{}", '"\t"', "[1e]"]) {
    assert.throws(() => json.read(text), SyntaxError, text);
  }
});

test("half a character is refused, since it would arrive as another one", () => {
  for (const text of ['"\\ud800"', '{"\\uDBFF": 1}', '["\\uDD1E\\uD834"]', '"\\ud800\\ud800"']) {
    assert.throws(() => json.read(text), /half a character/, text);
  }
  assert.equal(json.read('"\\ud83d\\ude00"'), "😀");
});

test("what is nested deeper than anybody means is refused, and brackets in texts are no depth", () => {
  const nested = (depth, inner = "") => "[".repeat(depth) + inner + "]".repeat(depth);
  assert.throws(() => json.read(nested(128)), /more than 127 deep/);
  assert.throws(() => json.read("[".repeat(1_000_000)), /more than 127 deep/);
  assert.throws(() => json.read('{"a":'.repeat(200)), /more than 127 deep/);
  assert.equal(JSON.stringify(json.read(nested(127))), nested(127));
  assert.deepEqual(json.read(JSON.stringify(["[".repeat(500), '"', "\\", '\\"[[', "]"])), ["[".repeat(500), '"', "\\", '\\"[[', "]"]);
});

test("what JSON cannot say is refused instead of left out or changed", () => {
  for (const value of [NaN, [Infinity], { a: new Map() }, new Set(), new Uint8Array(1), () => 1, { f() {} }, Symbol("s"), undefined]) {
    assert.throws(() => json.write(value), (error) => error instanceof Failure && error.code === "not-serializable" && !error.isTransient);
  }
  const circle = {};
  circle.circle = circle;
  assert.throws(() => json.write(circle), { code: "not-serializable" });
  const broken = { toJSON() { throw new Error("of its own"); } };
  assert.throws(() => json.write(broken), /of its own/);
});

test("digits and the order of members pass unchanged, and an exponent is written in one way", () => {
  const text = '{"z":820982911946154508,"a":10.00,"m":1e+400,"n":1e+5,"b":-0.0,"c":-0,"d":0.10,"e":-12,"😀":"<&>"}';
  assert.equal(json.write(json.read(text)), text);
  assert.equal(json.write(json.read("[1E5, 1e5, 1.50E-07]")), "[1e+5,1e+5,1.50e-07]");
});

test("a whole number is a number, or a bigint where a number cannot hold it, and everything else a Decimal", () => {
  assert.deepEqual(json.read("[0, 7, -12, 9007199254740991]"), [0, 7, -12, 9007199254740991]);
  assert.deepEqual(json.read("[9007199254740993, -9007199254740993, 820982911946154508]"), [9007199254740993n, -9007199254740993n, 820982911946154508n]);
  assert.deepEqual(json.read("[10.00, 1e2]"), [new Decimal("10.00"), new Decimal("1e+2")]);
  assert(Object.is(json.read("-0"), -0));
  const long = "9".repeat(2000);
  assert.deepEqual(json.read(long), new Decimal(long));
});

test("numbers in texts and names stay texts", () => {
  const text = '{"10.00":"10.00","a\\"1.50":"\\"1.50","b\\\\":"\\\\1.50"}';
  assert.equal(json.write(json.read(text)), text);
});

test("a member called __proto__ is a member", () => {
  const document = json.read('{"__proto__": {"admin": true}}');
  assert.equal(document.admin, undefined);
  assert.equal(json.write(document), '{"__proto__":{"admin":true}}');
});

test("the last of two members of one name counts", () => {
  assert.equal(json.write(json.read('{"a":1,"b":2,"a":3}')), '{"a":3,"b":2}');
});

test("the JSON test suite is taken and refused as it says", (context) => {
  const corpus = process.env.LOCKGATE_CORPUS;
  if (corpus === undefined) return context.skip("LOCKGATE_CORPUS is not set");
  const folder = path.join(corpus, "testsuites/json-parsing");
  const files = fs.readdirSync(folder).filter((name) => name.endsWith(".json"));
  assert(files.length > 300);
  for (const name of files) {
    const read = () => json.read(utf8.decode(fs.readFileSync(path.join(folder, name))));
    if (name.startsWith("n_")) assert.throws(read, name);
    if (name.startsWith("y_")) assert.deepEqual(json.read(json.write(read())), read(), name);
  }
});
