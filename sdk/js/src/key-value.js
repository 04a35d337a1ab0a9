//! A small durable map that belongs to the integration. This call sees its writes at once, others when the delivery settles.
//!
//! Depends on `failure`, `json`, `utf8`.

import * as host from "#host/key-value";
import { bytesOf } from "./bytes.js";
import { Failure, permanent } from "./failure.js";
import * as json from "./json.js";
import { decode } from "./utf8.js";

const PAGE_MAX = 1000;

const REASONS = {
  "invalid-key": "a key is empty, longer than 512 bytes or holds a NUL",
  "value-too-large": "a value is larger than 1 MiB",
  "quota-exceeded": "the integration's key-value quota is used up: delete keys, or set a TTL",
  "not-a-number": "the value to count on is no decimal integer, or the sum does not fit",
};
/** Where a code is not the reason's own word. */
const CODES = { "value-too-large": "key-value-too-large" };

export class KeyValueError extends Failure {
  constructor(reason) {
    super("permanent", CODES[reason] ?? `key-value-${reason}`, REASONS[reason]);
    this.reason = reason;
  }
}

function calling(call) {
  try {
    return call();
  } catch (error) {
    const tag = error?.payload?.tag;
    throw typeof tag === "string" && Object.hasOwn(REASONS, tag) ? new KeyValueError(tag) : error;
  }
}

function name(key) {
  if (typeof key !== "string") throw new TypeError(`a key is text, and not ${key === null ? "null" : typeof key}`);
  return key.toWellFormed();
}

export function get(key) {
  return calling(() => host.get(name(key))) ?? null;
}

export function getText(key) {
  const value = get(key);
  return value === null ? null : decode(value);
}

export function getJson(key) {
  const text = getText(key);
  return text === null ? null : json.read(text);
}

export function set(key, value, { ttlMs = null } = {}) {
  if (ttlMs !== null && !(ttlMs >= 0)) throw new TypeError(`ttlMs is in milliseconds, and not ${ttlMs}`);
  const ttl = ttlMs === null ? null : Math.min(Math.ceil(ttlMs), Number.MAX_SAFE_INTEGER);
  calling(() => host.set(name(key), bytesOf(value, "a value"), ttl));
}

export function setJson(key, value, options) {
  set(key, json.write(value), options);
}

function remove(key) {
  calling(() => host.remove(name(key)));
}
export { remove as delete };

export function list(prefix = "", { cursor = null, limit = PAGE_MAX } = {}) {
  const page = calling(() => host.list(name(prefix), cursor === null ? null : name(cursor), Math.min(Math.max(Math.trunc(limit), 1), PAGE_MAX)));
  return { keys: page.keys, cursor: page.cursor ?? null };
}

export function compareAndSwap(key, expected, value) {
  const held = expected === null ? null : bytesOf(expected, "what is expected");
  return calling(() => host.compareAndSwap(name(key), held, bytesOf(value, "a value")));
}

export function increment(key, delta = 1) {
  if (!Number.isSafeInteger(delta)) throw new TypeError(`increment takes a whole number, and was given ${delta}`);
  const sum = calling(() => host.increment(name(key), delta));
  // A number of the language holds no more, and a rounded one would be handed on as if it were right.
  if (!Number.isSafeInteger(sum)) throw permanent("key-value-not-a-number", `the count at ${key} is over 2^53`);
  return sum;
}
