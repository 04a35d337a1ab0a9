//! JSON whose numbers keep every digit: whole numbers are numbers, or bigints where a number cannot hold them; everything with a
//! point or an exponent is a `Decimal`.
//!
//! The engine's own reader does the work and hands over each number as it stands in the text (ECMAScript, `JSON.parse` source text
//! access), so that nothing is read by hand but the depth. Depends on `decimal`, `failure`, `utf8`.

import { features } from "#host/engine";
import { decimalOf } from "./decimal.js";
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
  if (isTooDeep(text)) throw new SyntaxError(`it is nested more than ${DEPTH_MAX} deep`);
  return features.parse(text, text.includes("\\u") && HALF.test(text) ? exactlyAndWhole : exactly);
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
  // Nearly all of them: a whole number that is written as it is printed.
  if (String(value) === source && Number.isSafeInteger(value)) return value;
  if (!WHOLE.test(source)) return decimalOf(inOneWay(source));
  if (Number.isSafeInteger(value)) return value;
  return source.length <= BIGINT_DIGITS_MAX ? BigInt(source) : decimalOf(source);
}

function exactlyAndWhole(key, value, context) {
  const isWhole = key.isWellFormed() && (typeof value !== "string" || value.isWellFormed());
  if (!isWhole) throw new SyntaxError("half a character is written in it (a lone surrogate)");
  return exactly(key, value, context);
}

/** An exponent is written in one way, as the Rust SDK does: `1E5` as `1e+5`. */
function inOneWay(source) {
  if (!source.includes("e") && !source.includes("E")) return source;
  const [digits, exponent] = source.split(/e/i);
  return `${digits}e${exponent.startsWith("-") || exponent.startsWith("+") ? "" : "+"}${exponent}`;
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

/** So many different pieces between texts are remembered. */
const PIECES_MAX = 256;

/**
 * Whether a text is nested deeper than {@link DEPTH_MAX}. What is no JSON may give any answer: the reader stops where it ceases to be.
 *
 * Written for an engine whose own functions are a hundred times as fast as a loop.
 */
function isTooDeep(text) {
  if (text.split("[").length + text.split("{").length - 2 <= DEPTH_MAX) return false;
  // Without escaped quotes, every other piece between quotes is between two texts.
  const bare = text.includes("\\") ? text.replaceAll("\\\\", "").replaceAll('\\"', "") : text;
  const pieces = bare.split('"');
  const known = new Map();
  let depth = 0;
  for (let at = 0; at < pieces.length; at += 2) {
    const piece = pieces[at];
    let effect = known.get(piece);
    if (effect === undefined) {
      effect = effectOf(piece);
      if (known.size < PIECES_MAX) known.set(piece, effect);
    }
    if (depth + effect.peak > DEPTH_MAX) return true;
    depth += effect.net;
  }
  return false;
}

/** How much deeper it is behind a piece, and how much at the most within. */
function effectOf(piece) {
  let [net, peak] = [0, 0];
  for (let at = 0; at < piece.length; at += 1) {
    const char = piece[at];
    if (char === "[" || char === "{") {
      net += 1;
      if (net > peak) peak = net;
    } else if (char === "]" || char === "}") {
      net -= 1;
    }
  }
  return { net, peak };
}
