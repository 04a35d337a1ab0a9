import { Failure } from "./failure.js";

/** The value of `key`, or null. All of these throw {@link KeyValueError}; the integration has to grant `key-value`. */
export function get(key: string): Uint8Array | null;
/** The value of `key` as text, or null; throws a TypeError where it is not UTF-8. */
export function getText(key: string): string | null;
/** The value of `key` read as JSON, or null; throws a SyntaxError where it is none. */
export function getJson<T = any>(key: string): T | null;

/** Sets `key` to bytes, or to the UTF-8 of a text. With `ttlMs` the value is gone so many milliseconds after the delivery settled. */
export function set(key: string, value: Uint8Array | string, options?: { ttlMs?: number | null }): void;
/** Sets `key` to `value` as JSON. */
export function setJson(key: string, value: unknown, options?: { ttlMs?: number | null }): void;

declare function remove(key: string): void;
/** Deletes `key`; that it was not there is no error: `keyValue.delete("seen/7")`. */
export { remove as delete };

/** Keys that start with `prefix`, in byte order, at most `limit` (1 to 1,000) a page. Hand `cursor` back for the next; null when this was the last. */
export function list(prefix?: string, options?: { cursor?: string | null; limit?: number }): { keys: string[]; cursor: string | null };

/** Sets `key` to `value` if it now holds `expected` (null: if it is absent); tells whether it did. */
export function compareAndSwap(key: string, expected: Uint8Array | string | null, value: Uint8Array | string): boolean;

/** Adds `delta` to the decimal integer at `key` (0 if absent) and gives the sum. Within the whole numbers a number can hold, 2^53. */
export function increment(key: string, delta?: number): number;

/** Why an operation was not done; as a failure it is permanent. */
export class KeyValueError extends Failure {
  private constructor();

  readonly reason: "invalid-key" | "value-too-large" | "quota-exceeded" | "not-a-number";
}
