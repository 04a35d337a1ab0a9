//! What Node.js has, in the shape the SDK uses; `component/engine.js` is the same inside a component.

import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";

const hasExactJson = typeof JSON.rawJSON === "function";

export const features = hasExactJson
  ? { parse: JSON.parse, stringify: JSON.stringify, rawJson: JSON.rawJSON }
  : { parse: parseMarked, stringify: stringifyMarked, rawJson: (text) => new RawJson(text) };

// Before version 21, Node.js has neither the source text of a number nor raw JSON. There numbers travel as marked texts.

const MARK = `number ${randomUUID()} `;
const TEXT_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

class RawJson {
  constructor(text) {
    this.text = text;
  }
}

function parseMarked(text, revive) {
  // Marking makes names of numbers, so that whether it is JSON is asked before.
  JSON.parse(text);
  const marked = text.replace(TEXT_OR_NUMBER, (found) => (found.startsWith('"') ? found : JSON.stringify(MARK + found)));
  return JSON.parse(marked, function (key, value) {
    if (typeof value !== "string" || !value.startsWith(MARK)) return revive.call(this, key, value, {});
    const source = value.slice(MARK.length);
    return revive.call(this, key, Number(source), { source });
  });
}

function stringifyMarked(value, replace) {
  const text = JSON.stringify(value, function (key, inner) {
    const replaced = replace.call(this, key, inner);
    return replaced instanceof RawJson ? MARK + replaced.text : replaced;
  });
  return text?.replaceAll(new RegExp(`"${MARK}([^"]*)"`, "g"), "$1");
}

export function encodeUtf8(text) {
  return new TextEncoder().encode(text);
}

export function decodeUtf8(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

export function toBase64(bytes, alphabet) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(alphabet);
}

export function fromBase64(text, alphabet) {
  return new Uint8Array(Buffer.from(text, alphabet));
}
