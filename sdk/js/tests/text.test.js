//! UTF-8, base64 and dates. What the engine of a component does itself is tried as well as far as Node.js has it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { base64, date, utf8 } from "@lockgate/sdk";
import * as engine from "../src/component/engine.js";

// What the engine of a component has, and Node.js before version 25 has not.
Uint8Array.fromBase64 ??= (text) => new Uint8Array(Buffer.from(text, "base64"));
Uint8Array.prototype.toBase64 ??= function () {
  return Buffer.from(this.buffer, this.byteOffset, this.byteLength).toString("base64");
};

const bytes = (...values) => new Uint8Array(values);

/** Byte sequences that are no UTF-8, with what people see of them. */
const BROKEN = [
  [[0xff], "\ufffd"],
  [[0x61, 0xc3], "a\ufffd"],
  [[0xc0, 0x80], "\ufffd\ufffd"],
  [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"],
  [[0xf5, 0x80, 0x80, 0x80], "\ufffd\ufffd\ufffd\ufffd"],
  [[0xf0, 0x9f, 0x98, 0x80, 0x80], "😀\ufffd"],
];

test("what is no UTF-8 is refused, and shown with marks in its place", () => {
  for (const [sequence, shown] of BROKEN) {
    assert.throws(() => utf8.decode(bytes(...sequence)), TypeError);
    assert.throws(() => engine.decodeUtf8(bytes(...sequence)), `${sequence}`);
    assert.equal(utf8.decodeLossy(bytes(...sequence)), shown);
  }
});

test("text and bytes are each other's, the byte order mark included", () => {
  for (const text of ["", "a\0b", "é€😀\u2028", "\ufeffx", "x".repeat(100_000), `${"a".repeat(8191)}é${"b".repeat(8190)}😀`, "😀".repeat(5000)]) {
    assert.equal(utf8.decode(utf8.encode(text)), text);
    for (const skipped of [0, 1, 2, 3]) {
      const whole = new Uint8Array([...Buffer.alloc(skipped, 0xff), ...Buffer.from(text)]);
      assert.equal(engine.decodeUtf8(whole.subarray(skipped)), text);
    }
    assert.deepEqual(Buffer.from(engine.encodeUtf8(text)), Buffer.from(text));
    assert.deepEqual(Buffer.from(utf8.encode(text)), Buffer.from(text));
  }
  assert.deepEqual(utf8.encode("\ud800"), bytes(0xef, 0xbf, 0xbd));
});

test("base64 is strict in what it reads", () => {
  for (const text of ["a", "YQ", "YQ=", "YQ==x", "Y Q==", "Y-Q="]) assert.throws(() => base64.decode(text), TypeError, text);
  for (const text of ["a", "Y+Q", "YQ=x"]) assert.throws(() => base64.decodeUrl(text), TypeError, text);
  assert.equal(base64.encode("é?"), "w6k/");
  assert.equal(base64.encodeUrl(bytes(0xff, 0xfe)), "__4");
  assert.deepEqual(base64.decode("w6k/"), bytes(0xc3, 0xa9, 0x3f));
  assert.deepEqual([base64.decodeUrl("__4"), base64.decodeUrl("__4=")], [bytes(0xff, 0xfe), bytes(0xff, 0xfe)]);
  assert.equal(base64.encode(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)), "AgM=");
});

test("what is no day is none", () => {
  for (const time of ["", "2026-03-14", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T", "2026-04-31T", "26-03-14T00:00:00Z", "2026-3-14T00:00:00Z", "+026-03-14T00:00:00Z"]) {
    assert.equal(date.day(time), null, time);
  }
});

test("the day is the one that was written", () => {
  for (const [time, day] of [["2026-03-14T00:30:00+01:00", "2026-03-14"], ["2024-02-29T00:00:00Z", "2024-02-29"], ["2000-02-29T00:00:00Z", "2000-02-29"]]) {
    assert.equal(date.day(time), day);
  }
});

test("a time without offset, or of a day there is none, is none", () => {
  for (const time of ["2026-03-14", "2026-03-14T09:26:53", "2026-02-30T00:00:00Z", "2026-03-14T24:00:00Z", "2026-03-14T09:60:00Z", "2026-03-14T09:26:60Z", "2026-03-14T09:26:53+24:00", "14 Mar 2026 09:26:53 GMT", "2026-03-14T09:26:53.Z", "١٢٣٤-03-14T09:26:53Z"]) {
    assert.equal(date.parse(time), null, time);
  }
});

test("a moment is read and written in its offset", () => {
  assert.equal(date.parse("2026-03-14T09:26:53+01:00")?.toISOString(), "2026-03-14T08:26:53.000Z");
  assert.equal(date.parse("2026-03-14t09:26:53.2509z")?.getTime(), Date.UTC(2026, 2, 14, 9, 26, 53, 250));
  assert.equal(date.parse("0050-01-01T00:00:00Z")?.toISOString(), "0050-01-01T00:00:00.000Z");
  const moment = new Date(Date.UTC(2026, 2, 14, 23, 30, 0));
  assert.equal(date.format(moment), "2026-03-14T23:30:00Z");
  assert.equal(date.format(moment, 60), "2026-03-15T00:30:00+01:00");
  assert.equal(date.format(moment, -210), "2026-03-14T20:00:00-03:30");
  assert.equal(date.format(new Date(1)), "1970-01-01T00:00:00.001Z");
  assert.throws(() => date.format(new Date(NaN)), RangeError);
  assert.throws(() => date.format(moment, 1.5), TypeError);
});
