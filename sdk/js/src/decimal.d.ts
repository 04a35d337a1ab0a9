/** What a decimal can be made of. A number is taken as it is printed: `0.1` is one tenth. */
export type DecimalLike = Decimal | string | number | bigint;

/** Where a digit has to go: to the even neighbour where both are as far (as banks do), away from zero there, away from zero always, towards zero always. */
export type Rounding = "half-even" | "half-up" | "up" | "down";

/**
 * A decimal number that never rounds by itself, and keeps its text: `10.00` stays `10.00`.
 *
 * ```js
 * const price = Decimal.of("19.99");
 * price.times(3).plus("0.05").text;      // "60.02"
 * Decimal.of("10.00").dividedBy(3, 2).text; // "3.33", half-even
 * `${price} EUR`;                         // "19.99 EUR"
 * ```
 *
 * `+`, `<` and their like throw, since they would make a floating-point number of it. Over 1,000 digits or places it is not
 * calculated with: permanent failure `decimal-out-of-range`.
 */
export class Decimal {
  /** The number as it was written, or as a calculation gave it. */
  readonly text: string;
  /** All digits as a whole number: 1050 of `10.50`. */
  readonly coefficient: bigint;
  /** How many of them are behind the point: 2 of `10.50`. */
  readonly scale: number;
  readonly isZero: boolean;
  readonly isNegative: boolean;

  /** A decimal of a text in JSON's notation; throws a TypeError for anything else. */
  constructor(text: string);

  /** A decimal of a text or number; throws a TypeError where it is none. */
  static of(value: DecimalLike): Decimal;
  /** A decimal of a text in JSON's notation, or null. */
  static parse(text: string): Decimal | null;

  plus(other: DecimalLike): Decimal;
  minus(other: DecimalLike): Decimal;
  times(other: DecimalLike): Decimal;
  /** The quotient with `scale` digits behind the point. Permanent failure `decimal-division-by-zero`. */
  dividedBy(other: DecimalLike, scale: number, rounding?: Rounding): Decimal;
  /** The same with `scale` digits behind the point, where that takes digits away by `rounding` (`half-even`). */
  round(scale: number, rounding?: Rounding): Decimal;
  negated(): Decimal;
  /** Below zero where this is less than `other`, 0 where they are equal, above zero where it is more. */
  compare(other: DecimalLike): -1 | 0 | 1;
  /** Whether they are the same number: `10.0` and `10.00` are. */
  equals(other: DecimalLike): boolean;

  /** The nearest floating-point number, which may be another number. */
  toNumber(): number;
  /** {@link Decimal.text}. */
  toString(): string;
  /** Written as a JSON number with exactly these digits. */
  toJSON(): unknown;
}
