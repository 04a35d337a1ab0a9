//! Base64 (RFC 4648) of bytes and text. Depends on `utf8` and the engine.

import { fromBase64, toBase64 } from "#host/engine";
import { bytesOf } from "./bytes.js";

const STANDARD = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const URL_SAFE = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}(?:==)?|[A-Za-z0-9_-]{3}=?)?$/;

export function encode(value) {
  return toBase64(bytesOf(value, "what is encoded"), "base64");
}

export function encodeUrl(value) {
  return toBase64(bytesOf(value, "what is encoded"), "base64url");
}

export function decode(text) {
  if (!STANDARD.test(text)) throw new TypeError("not base64 (RFC 4648 section 4)");
  return fromBase64(text, "base64");
}

export function decodeUrl(text) {
  if (!URL_SAFE.test(text)) throw new TypeError("not base64url (RFC 4648 section 5)");
  return fromBase64(text, "base64url");
}
