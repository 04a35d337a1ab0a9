//! What the engine inside a component (QuickJS) has, in the shape the SDK uses; `testing/engine.js` is the same for Node.js.
//!
//! There is no TextEncoder. What stands in for it is made of functions that are native code in the engine: a loop over the bytes of a
//! message takes a hundred times as long.

export const features = { parse: JSON.parse, stringify: JSON.stringify, rawJson: JSON.rawJSON };

/** So many bytes are read at once; each becomes an argument of a call. */
const PIECE_BYTES = 8192;
const BEYOND_ASCII = /[^\0-\x7f]/;

/** UTF-8 of a text without lone surrogates. */
export function encodeUtf8(text) {
  return Uint8Array.fromBase64(btoa(BEYOND_ASCII.test(text) ? unescape(encodeURIComponent(text)) : text));
}

/** The text whose UTF-8 `bytes` are; throws where they are not. */
export function decodeUtf8(bytes) {
  if (bytes.length <= PIECE_BYTES) return decodePiece(bytes);
  const pieces = [];
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(start + PIECE_BYTES, bytes.length);
    // A character is not cut: bytes behind its first are 10xxxxxx, at most three of them.
    for (let back = 0; back < 3 && end < bytes.length && (bytes[end] & 0xc0) === 0x80; back += 1) end -= 1;
    pieces.push(decodePiece(bytes.subarray(start, end)));
    start = end;
  }
  return pieces.join("");
}

function decodePiece(bytes) {
  const latin1 = String.fromCharCode.apply(null, bytes);
  return BEYOND_ASCII.test(latin1) ? decodeURIComponent(escape(latin1)) : latin1;
}

export function toBase64(bytes, alphabet) {
  return bytes.toBase64({ alphabet, omitPadding: alphabet === "base64url" });
}

export function fromBase64(text, alphabet) {
  return Uint8Array.fromBase64(text, { alphabet });
}
