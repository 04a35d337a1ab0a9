//! Decimals that do not round: exact, or refused.
//!
//! Own code because libraries drop the scale (`10.00` becomes `10`), which amounts have to keep, and because those of any size let a
//! message of ten bytes (`1e999999999`) ask for a gigabyte. Depends on `failure`.

import { features } from "#host/engine";
import { permanent } from "./failure.js";

/** JSON's own notation of a number (RFC 8259 section 6). */
const NUMBER = /^(-?(?:0|[1-9]\d*))(?:\.(\d+))?(?:[eE]([+-]?)(\d+))?$/;
/** Of a number that is to be calculated with, and how far its exponent may move the point. */
const DIGITS_MAX = 1000;

/** Says of a text that it is a number: whoever gives it has looked. */
const KNOWN = Symbol("known");

const ROUNDINGS = ["half-even", "half-up", "up", "down"];

export class Decimal {
  /** Read from `text` when they are first needed. */
  #coefficient;
  #scale;

  constructor(text, known) {
    if (known !== KNOWN && !NUMBER.test(text)) throw new TypeError(`${JSON.stringify(text)} is no decimal`);
    this.text = text;
    Object.freeze(this);
  }

  static of(value) {
    if (value instanceof Decimal) return value;
    if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`${value} is no decimal`);
    if (!["string", "number", "bigint"].includes(typeof value)) throw new TypeError(`a decimal is made of text or a number, and not of ${value === null ? "null" : typeof value}`);
    return new Decimal(Object.is(value, -0) ? "-0" : String(value));
  }

  static parse(text) {
    return typeof text === "string" && NUMBER.test(text) ? new Decimal(text, KNOWN) : null;
  }

  get coefficient() {
    this.#read();
    return this.#coefficient;
  }

  get scale() {
    this.#read();
    return this.#scale;
  }

  plus(other) {
    const { left, right, scale } = aligned(this, Decimal.of(other));
    return made(left + right, scale);
  }

  minus(other) {
    const { left, right, scale } = aligned(this, Decimal.of(other));
    return made(left - right, scale);
  }

  times(other) {
    const factor = Decimal.of(other);
    return made(this.coefficient * factor.coefficient, this.scale + factor.scale);
  }

  dividedBy(other, scale, rounding) {
    const divisor = Decimal.of(other);
    if (divisor.isZero) throw permanent("decimal-division-by-zero", `${this.text} divided by ${divisor.text}`);
    // (a / 10^s) / (b / 10^t) to `scale` places is a * 10^(scale + t - s) / b.
    const shift = checked(scale) + divisor.scale - this.scale;
    const [dividend, by] = shift >= 0 ? [this.coefficient * power(shift), divisor.coefficient] : [this.coefficient, divisor.coefficient * power(-shift)];
    return made(quotient(dividend, by, rounding), scale);
  }

  round(scale, rounding) {
    const shift = checked(scale) - this.scale;
    return made(shift >= 0 ? this.coefficient * power(shift) : quotient(this.coefficient, power(-shift), rounding), scale);
  }

  negated() {
    return made(-this.coefficient, this.scale);
  }

  compare(other) {
    const { left, right } = aligned(this, Decimal.of(other));
    return left < right ? -1 : left > right ? 1 : 0;
  }

  equals(other) {
    return this.compare(other) === 0;
  }

  get isZero() {
    return this.coefficient === 0n;
  }

  get isNegative() {
    return this.coefficient < 0n;
  }

  toNumber() {
    return Number(this.text);
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return features.rawJson(this.text);
  }

  valueOf() {
    throw new TypeError("a Decimal does not take part in + - * / < >, which would round it: use plus, minus, times, dividedBy, compare, or toNumber where rounding is meant");
  }

  #read() {
    if (this.#coefficient !== undefined) return;
    const [, whole, fraction = "", sign, exponent = "0"] = NUMBER.exec(this.text);
    const shift = Number(`${sign ?? ""}${exponent}`);
    if (whole.length + fraction.length > DIGITS_MAX || Math.abs(shift) > DIGITS_MAX) throw outOfRange(this.text);
    const scale = fraction.length - shift;
    this.#coefficient = BigInt(whole + fraction) * (scale < 0 ? power(-scale) : 1n);
    this.#scale = Math.max(scale, 0);
  }
}

/** The decimal of a number as JSON text has it. */
export function decimalOf(source) {
  return new Decimal(source, KNOWN);
}

/** `coefficient` divided by ten to the `scale`, as text. */
function made(coefficient, scale) {
  const negative = coefficient < 0n;
  const digits = String(negative ? -coefficient : coefficient).padStart(scale + 1, "0");
  if (digits.length > DIGITS_MAX) throw outOfRange(digits);
  const whole = digits.slice(0, digits.length - scale);
  return new Decimal(`${negative ? "-" : ""}${whole}${scale > 0 ? `.${digits.slice(digits.length - scale)}` : ""}`, KNOWN);
}

function aligned(left, right) {
  const scale = Math.max(left.scale, right.scale);
  return { left: left.coefficient * power(scale - left.scale), right: right.coefficient * power(scale - right.scale), scale };
}

function power(exponent) {
  return 10n ** BigInt(exponent);
}

function checked(scale) {
  if (!Number.isInteger(scale) || scale < 0 || scale > DIGITS_MAX) throw new TypeError(`a scale is a whole number from 0 to ${DIGITS_MAX}, and not ${scale}`);
  return scale;
}

function quotient(dividend, divisor, rounding = "half-even") {
  if (!ROUNDINGS.includes(rounding)) throw new TypeError(`a rounding is one of ${ROUNDINGS.join(", ")}, and not ${rounding}`);
  const whole = dividend / divisor;
  const rest = dividend % divisor;
  if (rest === 0n) return whole;
  const away = dividend < 0n !== divisor < 0n ? -1n : 1n;
  const twice = 2n * magnitude(rest);
  const half = magnitude(divisor);
  const rounds = { up: true, down: false, "half-up": twice >= half, "half-even": twice > half || (twice === half && whole % 2n !== 0n) };
  return rounds[rounding] ? whole + away : whole;
}

function magnitude(value) {
  return value < 0n ? -value : value;
}

function outOfRange(text) {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return permanent("decimal-out-of-range", `${shown} cannot be calculated with: over ${DIGITS_MAX} digits or places`);
}
