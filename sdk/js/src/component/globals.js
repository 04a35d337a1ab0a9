//! What code expects to find as a global and the engine lacks. The build puts each in where it is used, and nowhere else.

import { bytesOf } from "../bytes.js";
import * as log from "../log.js";
import * as utf8 from "../utf8.js";

const LEVELS = { log: "info", info: "info", debug: "debug", trace: "trace", warn: "warn", error: "error" };

/** `console`, whose lines go to the host's log. */
export const console = Object.fromEntries(
  Object.entries(LEVELS).map(([name, level]) => [name, (...values) => log.write(level, values.map(shown).join(" "))]),
);
console.assert = (holds, ...values) => {
  if (!holds) console.error("assertion failed:", ...values);
};

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  try {
    return JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner)) ?? String(value);
  } catch {
    return String(value);
  }
}

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    return utf8.encode(text);
  }

  encodeInto(text, into) {
    // Whole characters only, as many as there is room for.
    let [read, written] = [0, 0];
    for (const char of String(text).toWellFormed()) {
      const bytes = utf8.encode(char);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      read += char.length;
      written += bytes.length;
    }
    return { read, written };
  }
}

export class TextDecoder {
  #fatal;
  #keepsMark;

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^(?:unicode-1-1-utf-8|utf-?8)$/i.test(label.trim())) throw new RangeError(`only UTF-8 can be decoded, and not ${label}`);
    this.#fatal = fatal;
    this.#keepsMark = ignoreBOM;
  }

  get encoding() {
    return "utf-8";
  }

  decode(bytes = new Uint8Array(), { stream = false } = {}) {
    if (stream) throw new TypeError("decoding a stream piece by piece is not supported: decode all of it at once");
    const whole = bytesOf(bytes, "what is decoded");
    const text = this.#fatal ? utf8.decode(whole) : utf8.decodeLossy(whole);
    return this.#keepsMark ? text : text.replace(/^\ufeff/, "");
  }
}
