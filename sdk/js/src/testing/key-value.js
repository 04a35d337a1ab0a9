//! The map of the run. It refuses what the host refuses.

import { Buffer } from "node:buffer";
import { currentHost, thrown } from "./current.js";

const KEY_BYTES_MAX = 512;
const VALUE_BYTES_MAX = 1024 * 1024;
const COUNT_MAX = 2n ** 63n - 1n;
const COUNT_MIN = -(2n ** 63n);

export function get(key) {
  return map(key).get(key)?.slice() ?? null;
}

export function set(key, value) {
  const values = map(key);
  if (value.length > VALUE_BYTES_MAX) throw thrown("value-too-large");
  values.set(key, value.slice());
}

export function remove(key) {
  map(key).delete(key);
}

export function list(prefix, cursor, limit) {
  const after = (key) => key.startsWith(prefix) && (cursor === null || inBytes(key, cursor) > 0);
  const keys = [...currentHost().keyValues.keys()].filter(after).sort(inBytes);
  const page = keys.slice(0, limit);
  return { keys: page, cursor: keys.length > limit ? page.at(-1) : null };
}

export function compareAndSwap(key, expected, value) {
  const held = get(key);
  const isSame = held === null || expected === null ? held === expected : Buffer.compare(held, expected) === 0;
  if (isSame) set(key, value);
  return isSame;
}

export function increment(key, delta) {
  const text = Buffer.from(get(key) ?? "0").toString("latin1");
  if (!/^[+-]?\d+$/.test(text)) throw thrown("not-a-number");
  const sum = BigInt(text.replace(/^\+/, "")) + BigInt(delta);
  if (sum > COUNT_MAX || sum < COUNT_MIN) throw thrown("not-a-number");
  set(key, Buffer.from(String(sum)));
  return Number(sum);
}

function map(key) {
  const length = Buffer.byteLength(key);
  if (length === 0 || length > KEY_BYTES_MAX || key.includes("\0")) throw thrown("invalid-key");
  return currentHost().keyValues;
}

function inBytes(left, right) {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
