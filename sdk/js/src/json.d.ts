import type { Decimal } from "./decimal.js";

/**
 * What JSON text holds. Numbers keep every digit: a whole number is a number, or a bigint where a number cannot hold it
 * (`820982911946154508`); one with a point or an exponent is a {@link Decimal}. `${id}` is the digits of either.
 */
export type Json = null | boolean | string | number | bigint | Decimal | Json[] | { [name: string]: Json };

/** Reads JSON text; throws a SyntaxError. At most 127 deep. */
export function read<T = any>(text: string): T;

/**
 * `value` as JSON text. Bigints and decimals are written with all their digits.
 *
 * Permanent failure `not-serializable` for what JSON cannot say and `JSON.stringify` would leave out or change: NaN, a Map, a Set, bytes,
 * functions. A member that is `undefined` is left out.
 */
export function write(value: unknown): string;
