//! The host's `key-value`, as a component imports it.

import host from "lockgate:plugin/key-value@0.1.0";
import { required } from "./calling.js";

export function get(key) {
  required();
  return host.get(key);
}

export function set(key, value, ttlMs) {
  required();
  host.set(key, value, ttlMs);
}

export function remove(key) {
  required();
  host.delete(key);
}

export function list(prefix, cursor, limit) {
  required();
  return host.list(prefix, cursor, limit);
}

export function compareAndSwap(key, expected, value) {
  required();
  return host.compareAndSwap(key, expected, value);
}

export function increment(key, delta) {
  required();
  return host.increment(key, delta);
}
