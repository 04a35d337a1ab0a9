//! Decimals that do not round.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Decimal, json } from "@lockgate/sdk";

const of = (text) => Decimal.of(text);

test("what is no decimal is refused", () => {
  for (const text of ["", "-", ".", "+1", " 1", "1 ", "1_0", "1.2.3", "01", "0x10", "12,50", "1.", "NaN", "--1"]) {
    assert.equal(Decimal.parse(text), null, text);
    assert.throws(() => new Decimal(text), TypeError, text);
  }
  for (const value of [NaN, Infinity, null, undefined, true, {}]) assert.throws(() => Decimal.of(value), TypeError, String(value));
});

test("operators that would round throw", () => {
  for (const act of [() => of("1") + 1, () => of("1") * 2, () => of("1") < 2, () => -of("1"), () => of("1") == 1, () => Math.max(of("1"), 2)]) {
    assert.throws(act, /does not take part/);
  }
});

test("what would take memory without end is refused", () => {
  for (const text of ["1e999999999", "1e-999999999", `1e${"9".repeat(400)}`, "9".repeat(1001)]) {
    assert.throws(() => of(text).plus(1), { code: "decimal-out-of-range" }, text);
  }
  assert.throws(() => of("9".repeat(600)).times("9".repeat(600)), { code: "decimal-out-of-range" });
  assert.throws(() => of("1").dividedBy(3, 1001), TypeError);
});

test("text comes back as it was", () => {
  for (const text of ["0", "0.00", "10.00", "-10.10", "-0.05", "0.1", "1E5", "-0", "99999999999999999999.99"]) {
    assert.equal(of(text).text, text);
    assert.equal(`${of(text)}`, text);
  }
  assert.equal(json.write([of("10.00"), of("1e400")]), "[10.00,1e400]");
});

test("sums and products have no rounding error", () => {
  assert.equal(of("0.1").plus("0.2").text, "0.3");
  assert.equal(of("409.94").minus(398).text, "11.94");
  assert.equal(of(1).minus("1.005").text, "-0.005");
  assert.equal(of("19.99").times(3n).text, "59.97");
  assert.equal(of("1e3").plus("0.05").text, "1000.05");
  assert.equal(of("1.5e-3").times(2).text, "0.0030");
  assert.equal(of("170141183460469231731687303715884105727").plus(1).text, "170141183460469231731687303715884105728");
  assert.equal(of("-0.05").negated().text, "0.05");
});

test("a quotient has the places that were asked for, rounded as said", () => {
  assert.equal(of(10).dividedBy(3, 2).text, "3.33");
  assert.equal(of(10).dividedBy(4, 0).text, "2");
  assert.equal(of(14).dividedBy(4, 0).text, "4");
  assert.equal(of("0.001").dividedBy("0.1", 2).text, "0.01");
  assert.equal(of(-10).dividedBy(3, 2, "up").text, "-3.34");
  assert.throws(() => of(1).dividedBy("0.00", 2), { code: "decimal-division-by-zero" });
});

test("rounding goes where it is told to", () => {
  const table = {
    "half-even": { 0.5: "0", 1.5: "2", 2.5: "2", 2.51: "3", "-2.5": "-2" },
    "half-up": { 0.5: "1", 1.5: "2", 2.5: "3", 2.49: "2", "-2.5": "-3" },
    up: { 0.1: "1", "-0.1": "-1", "1.0": "1" },
    down: { 0.9: "0", "-1.9": "-1" },
  };
  for (const [rounding, cases] of Object.entries(table)) {
    for (const [text, expected] of Object.entries(cases)) assert.equal(of(text).round(0, rounding).text, expected, `${text} ${rounding}`);
  }
  assert.equal(of("1.005").round(2).text, "1.00");
  assert.equal(of("1.5").round(3).text, "1.500");
  assert.throws(() => of("1.5").round(0, "nearest"), TypeError);
});

test("decimals are compared as numbers, and tests see their text", () => {
  assert(of("10.0").equals("10.00") && of("1e1").equals(10));
  assert.deepEqual([of("1").compare("1.01"), of("2").compare(1), of("-0").compare(0)], [-1, 1, 0]);
  assert(of("-0.01").isNegative && of("0.00").isZero);
  assert.notDeepEqual(of("10.0"), of("10.00"));
  assert.deepEqual(of("10.00"), new Decimal("10.00"));
});
