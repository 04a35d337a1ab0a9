//! Sums of money without rounding: exact, or refused.
//!
//! `Decimal` of the SDK calculates with any number of digits; an amount has as many as the systems it is sent to hold, about 38 (128 bits),
//! and no exponent.

import { Decimal, permanent } from "@lockgate/sdk";
import type { Failure } from "@lockgate/sdk";

const MOST = 2n ** 127n - 1n;
const LEAST = -(2n ** 127n);
/** How many places more one of two amounts may have. */
const PLACES_MAX = 38;

/** The failure for `what` that cannot be added exactly. */
export function outOfRange(what: string): Failure {
  return permanent("amount-out-of-range", `${what}: cannot be added without rounding (an exponent, or over 38 digits)`);
}

export class Amount {
  static readonly ZERO: Amount = new Amount(Decimal.of(0));
  readonly #decimal: Decimal;

  private constructor(decimal: Decimal) {
    this.#decimal = decimal;
  }

  /** Reads `-12.50`; `what` is what a failure is about. */
  static read(text: string, what: string): Amount {
    const decimal = Decimal.parse(text);
    if (decimal === null || /e/i.test(text)) throw outOfRange(what);
    return Amount.#checked(decimal, what);
  }

  get text(): string {
    return this.#decimal.text;
  }

  plus(other: Amount, what: string): Amount {
    this.#align(other, what);
    return Amount.#checked(this.#decimal.plus(other.#decimal), what);
  }

  minus(other: Amount, what: string): Amount {
    this.#align(other, what);
    return Amount.#checked(this.#decimal.minus(other.#decimal), what);
  }

  times(count: number | bigint, what: string): Amount {
    return Amount.#checked(this.#decimal.times(count), what);
  }

  /** Both have to fit in the finer of their scales. */
  #align(other: Amount, what: string): void {
    const scale = Math.max(this.#decimal.scale, other.#decimal.scale);
    for (const { coefficient, scale: own } of [this.#decimal, other.#decimal]) {
      if (scale - own > PLACES_MAX || !fits(coefficient * 10n ** BigInt(scale - own))) throw outOfRange(what);
    }
  }

  static #checked(decimal: Decimal, what: string): Amount {
    if (!fits(decimal.coefficient)) throw outOfRange(what);
    return new Amount(decimal);
  }
}

function fits(coefficient: bigint): boolean {
  return coefficient >= LEAST && coefficient <= MOST;
}
