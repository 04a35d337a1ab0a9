//! Reading a JSON document field by field, with failures that name the field by its JSON pointer (RFC 6901).
//!
//! Missing and `null` are the same to every reader: null. What is there but of another type is a permanent failure
//! `field-type-wrong`, what is required and not there `required-field-missing`. Depends on `decimal`, `failure`.

import { Decimal } from "./decimal.js";
import { permanent } from "./failure.js";

const DIGITS = /^\d+$/;

export function field(document) {
  return new Field(document, "", false);
}

export class Field {
  #value;
  #isRequired;

  constructor(value, pointer, isRequired) {
    this.#value = value;
    this.pointer = pointer;
    this.#isRequired = isRequired;
  }

  at(name) {
    return this.#member(name, false);
  }

  required(name) {
    const member = this.#member(name, true);
    member.value();
    return member;
  }

  value() {
    const value = this.#value ?? null;
    if (value === null && this.#isRequired) {
      throw permanent("required-field-missing", `${this.#name} is ${this.#value === undefined ? "missing" : "null"}`);
    }
    return value;
  }

  object() {
    const value = this.value();
    if (value === null) return null;
    if (!isObject(value)) throw this.wrong("an object");
    return new Field(value, this.pointer, false);
  }

  objects() {
    const value = this.value();
    if (value === null) return null;
    if (!Array.isArray(value)) throw this.wrong("a list");
    return value.map((item, index) => {
      const field = new Field(item, `${this.pointer}/${index}`, false);
      if (!isObject(item)) throw field.wrong("an object");
      return field;
    });
  }

  text() {
    const value = this.value();
    if (value !== null && typeof value !== "string") throw this.wrong("text");
    return value;
  }

  flag() {
    const value = this.value();
    if (value !== null && typeof value !== "boolean") throw this.wrong("true or false");
    return value;
  }

  digits() {
    const text = this.#numberText("an id of digits");
    if (text !== null && !DIGITS.test(text)) throw this.wrong("an id of digits");
    return text;
  }

  decimal() {
    const text = this.#numberText("a decimal");
    if (text === null) return null;
    const decimal = Decimal.parse(text);
    if (decimal === null) throw this.wrong("a decimal");
    return decimal;
  }

  wrong(expected) {
    const found = kindOf(this.#value);
    return permanent("field-type-wrong", `${this.#name} should be ${expected}, and is ${found === expected ? "other " : ""}${found}`);
  }

  #member(name, isRequired) {
    const value = isObject(this.#value) && Object.hasOwn(this.#value, name) ? this.#value[name] : undefined;
    return new Field(value, `${this.pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, isRequired);
  }

  #numberText(expected) {
    const value = this.value();
    if (value === null || typeof value === "string") return value;
    if (kindOf(value) !== "a number") throw this.wrong(expected);
    return Object.is(value, -0) ? "-0" : String(value);
  }

  get #name() {
    return this.pointer === "" ? "the document" : this.pointer;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Decimal);
}

function kindOf(value) {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Decimal) return "a number";
  return { boolean: "true or false", number: "a number", bigint: "a number", string: "text", object: "an object" }[typeof value];
}
