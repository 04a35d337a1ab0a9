//! Text and its bytes. Depends on the engine only.

import { decodeUtf8, encodeUtf8 } from "#host/engine";

const REPLACEMENT = "\ufffd";

/** The bytes of a text. A lone surrogate, which has none, becomes U+FFFD. */
export function encode(text) {
  return encodeUtf8(String(text).toWellFormed());
}

/** The text of bytes; throws a TypeError where they are not UTF-8. A byte order mark stays. */
export function decode(bytes) {
  try {
    return decodeUtf8(bytes);
  } catch {
    throw new TypeError("not UTF-8");
  }
}

/** The text of bytes, U+FFFD in place of what is not UTF-8. For people. */
export function decodeLossy(bytes) {
  try {
    return decodeUtf8(bytes);
  } catch {
    return mended(bytes);
  }
}

function mended(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = lengthAt(bytes, at);
    text += length > 0 ? decodeUtf8(bytes.subarray(at, at + length)) : REPLACEMENT;
    at += Math.max(length, 1);
  }
  return text;
}

/** How many bytes the character at `at` has; 0 where none is. */
function lengthAt(bytes, at) {
  const first = bytes[at];
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    decodeUtf8(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
