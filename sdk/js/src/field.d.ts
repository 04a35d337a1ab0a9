import type { Decimal } from "./decimal.js";

/**
 * Reads a JSON document field by field, with failures that name the field by its JSON pointer (RFC 6901).
 *
 * ```js
 * const order = field(message.json());
 * const name = order.required("name").text();           // permanent failure: /name is missing
 * const note = order.at("note").text();                  // null where there is none
 * const city = order.at("billing_address").at("city").text();
 * ```
 */
export function field(document: unknown): Field;

/**
 * A place in a JSON document, whether or not something is there.
 *
 * Missing and `null` are the same to every reader: null. What is there but of another type is a permanent failure
 * `field-type-wrong`, what is {@link Field.required} and not there `required-field-missing`.
 */
export class Field<Absent = null> {
  private constructor();

  /** The JSON pointer of this field, `/line_items/0/price`; empty for the document. */
  readonly pointer: string;

  /** The member `name`; nothing if this is no object. Ask {@link Field.object} first where that would be a mistake. */
  at(name: string): Field;
  /** The member `name`, which has to be there. */
  required(name: string): Field<never>;

  /** The value as it stands. */
  value(): unknown;
  /** An object, to read members of. */
  object(): Field | Absent;
  /** The items of a list of objects. */
  objects(): Field[] | Absent;
  /** Text, exactly as it stands; an empty text is a text. */
  text(): string | Absent;
  /** `true` or `false`. */
  flag(): boolean | Absent;
  /** An id as text of exactly its digits, whether it was written as a number or as text, however long it is. */
  digits(): string | Absent;
  /** A decimal with exactly its digits (`10.00` stays `10.00`), whether it was written as a number or as text. */
  decimal(): Decimal | Absent;

  /** The permanent failure that this field is not what it should be, `field-type-wrong`: `throw field.wrong("a country")`. */
  wrong(expected: string): import("./failure.js").Failure;
}
