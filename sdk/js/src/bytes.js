//! What an author gives as bytes. Depends on `utf8`.

import { encode } from "./utf8.js";

/** Bytes as a Uint8Array: of text its UTF-8. */
export function bytesOf(value, what) {
  if (typeof value === "string") return encode(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`${what} is text or bytes (a Uint8Array), and not ${value === null ? "null" : typeof value}`);
}
