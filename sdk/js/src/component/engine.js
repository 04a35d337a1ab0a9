//! What the engine inside a component (QuickJS) has, in the shape the SDK uses; `testing/engine.js` is the same for Node.js.
//!
//! There is no TextEncoder. What stands in for it is made of functions that are native code in the engine: a loop over the bytes of a
//! message takes a hundred times as long.

export const features = { parse: JSON.parse, stringify: JSON.stringify, rawJson: JSON.rawJSON };

// Base64 and back is the way from bytes to text and from text to bytes that takes two calls in all.

/** UTF-8 of a text without lone surrogates. */
export function encodeUtf8(text) {
  try {
    const bytes = Uint8Array.fromBase64(btoa(text));
    if (isAscii(bytes)) return bytes;
  } catch {
    // A character beyond Latin-1.
  }
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))));
}

/** The text whose UTF-8 `bytes` are; throws where they are not. */
export function decodeUtf8(bytes) {
  const latin1 = atob(bytes.toBase64());
  return isAscii(bytes) ? latin1 : decodeURIComponent(escape(latin1));
}

/** Looks at sixteen bytes at a time. */
function isAscii(bytes) {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, (aligned.length >> 4) * 4);
  let bits = 0;
  for (let at = 0, end = words.length; at < end; at += 4) bits |= words[at] | words[at + 1] | words[at + 2] | words[at + 3];
  for (let at = words.length * 4; at < aligned.length; at += 1) bits |= aligned[at];
  return (bits & 0x80808080) === 0;
}

export function toBase64(bytes, alphabet) {
  return bytes.toBase64({ alphabet, omitPadding: alphabet === "base64url" });
}

export function fromBase64(text, alphabet) {
  return Uint8Array.fromBase64(text, { alphabet });
}
