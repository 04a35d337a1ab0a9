//! JSON whose numbers keep every digit: whole numbers are numbers, or bigints where a number cannot hold them; everything with a
//! point or an exponent is a `Decimal`.
//!
//! The engine's own reader does the work and hands over each number as it stands in the text (ECMAScript, `JSON.parse` source text
//! access), so that nothing is read by hand but the depth. Depends on `decimal`, `failure`, `utf8`.

import { features } from "#host/engine";
import { Decimal } from "./decimal.js";
import { permanent } from "./failure.js";

/** As deep as the Rust SDK reads. The engine's reader calls itself for each level, and a plugin's stack is small. */
const DEPTH_MAX = 127;
/** A longer whole number is kept as its text: making a bigint of it takes time with the square of its length. */
const BIGINT_DIGITS_MAX = 1000;

/** How half a character is written: it has no UTF-8, and would be another character wherever it goes. */
const HALF = /\\u[dD][89a-fA-F]/;
const WHOLE = /^-?\d+$/;

/** What `text` says; throws a SyntaxError. */
export function read(text) {
  const { isTooDeep, hasExact } = outline(text);
  if (isTooDeep) throw new SyntaxError(`it is nested more than ${DEPTH_MAX} deep`);
  if (text.includes("\\u") && HALF.test(text)) return features.parse(text, exactlyAndWhole);
  // Looking at each value takes four times as long as reading it.
  return hasExact ? features.parse(text, exactly) : JSON.parse(text);
}

/** `value` as JSON text; throws a permanent failure `not-serializable`. */
export function write(value) {
  let text;
  try {
    text = features.stringify(value, inWords);
  } catch (error) {
    // What a value's own toJSON() throws is not about JSON.
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    throw permanent("not-serializable", `cannot be written as JSON: ${error.message}`);
  }
  if (text === undefined) throw permanent("not-serializable", `cannot be written as JSON: ${kindOf(value)} is no JSON value`);
  return text;
}

function exactly(key, value, context) {
  if (typeof value !== "number") return value;
  const { source } = context;
  if (!WHOLE.test(source)) return new Decimal(inOneWay(source));
  if (Number.isSafeInteger(value)) return value;
  return source.length <= BIGINT_DIGITS_MAX ? BigInt(source) : new Decimal(source);
}

function exactlyAndWhole(key, value, context) {
  const isWhole = key.isWellFormed() && (typeof value !== "string" || value.isWellFormed());
  if (!isWhole) throw new SyntaxError("half a character is written in it (a lone surrogate)");
  return exactly(key, value, context);
}

/** An exponent is written in one way, as the Rust SDK does: `1E5` as `1e+5`. */
function inOneWay(source) {
  const [digits, exponent] = source.split(/e/i);
  return exponent === undefined ? source : `${digits}e${/^[+-]/.test(exponent) ? "" : "+"}${exponent}`;
}

/** A replacer for `JSON.stringify`, which would write some values as another, or as nothing. */
function inWords(key, value) {
  switch (typeof value) {
    case "bigint":
      return features.rawJson(String(value));
    case "number":
      if (Object.is(value, -0)) return features.rawJson("-0");
      if (!Number.isFinite(value)) throw new TypeError(`${value} is no JSON number${at(key)}`);
      return value;
    case "object":
      if (value instanceof Map) throw new TypeError(`a Map${at(key)} is no JSON value; Object.fromEntries(map) makes an object of it`);
      if (value instanceof Set) throw new TypeError(`a Set${at(key)} is no JSON value; [...set] makes a list of it`);
      if (ArrayBuffer.isView(value)) throw new TypeError(`bytes${at(key)} are no JSON value; base64.encode(bytes) makes text of them`);
      return value;
    case "function":
    case "symbol":
      throw new TypeError(`${kindOf(value)}${at(key)} is no JSON value`);
    default:
      return value;
  }
}

function at(key) {
  return key === "" ? "" : ` (at "${key}")`;
}

function kindOf(value) {
  return typeof value === "undefined" ? "undefined" : `a ${typeof value}`;
}

/** Brackets, the start of a text, and what a number that is more than a small whole one has in it. */
const STRUCTURE = /["[\]{}]|\d(?:[.eE]|\d{15})|-0/g;

/**
 * How deep a text is nested, and whether there may be a number in it that is to be looked at. Goes from place to place, over texts. What
 * is no JSON may give any answer: the reader refuses it.
 */
function outline(text) {
  let [depth, hasExact] = [0, false];
  STRUCTURE.lastIndex = 0;
  while (STRUCTURE.test(text)) {
    switch (text[STRUCTURE.lastIndex - 1]) {
      case '"':
        STRUCTURE.lastIndex = endOfText(text, STRUCTURE.lastIndex);
        if (STRUCTURE.lastIndex === 0) return { isTooDeep: false, hasExact };
        break;
      case "[":
      case "{":
        depth += 1;
        if (depth > DEPTH_MAX) return { isTooDeep: true, hasExact };
        break;
      case "]":
      case "}":
        depth -= 1;
        break;
      default:
        hasExact = true;
    }
  }
  return { isTooDeep: false, hasExact };
}

/** Behind the quote that ends the text that starts at `start`; 0 where none does. */
function endOfText(text, start) {
  for (let quote = text.indexOf('"', start); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let before = quote;
    while (before > start && text[before - 1] === "\\") before -= 1;
    if ((quote - before) % 2 === 0) return quote + 1;
  }
  return 0;
}
