//! What travels: messages in, drafts out. Depends on `failure`, `json`, `utf8`.

import { bytesOf } from "./bytes.js";
import { permanent } from "./failure.js";
import * as json from "./json.js";
import { decode } from "./utf8.js";

/** The first value of the header `name`, whatever its case; null where there is none. */
export function header(headers, name) {
  const lower = name.toLowerCase();
  return headers.find((header) => header.name.toLowerCase() === lower)?.value ?? null;
}

export class Message {
  constructor({ id, key, contentType, headers, body, receivedAt }) {
    this.id = id;
    this.key = key ?? null;
    this.contentType = contentType;
    this.headers = headers;
    this.body = body;
    this.receivedAt = new Date(Number(receivedAt));
  }

  json() {
    const text = this.text();
    try {
      return json.read(text);
    } catch (error) {
      throw permanent("body-invalid", `the body is not JSON: ${error.message}`);
    }
  }

  text() {
    try {
      return decode(this.body);
    } catch {
      throw permanent("body-invalid", "the body is not UTF-8");
    }
  }

  header(name) {
    return header(this.headers, name);
  }
}

export class Draft {
  constructor(contentType, body) {
    this.contentType = String(contentType);
    this.headers = [];
    this.body = bytesOf(body, "the body of a draft");
    this.trackedValues = [];
  }

  static json(value) {
    return new Draft("application/json", json.write(value));
  }

  static text(text, contentType = "text/plain; charset=utf-8") {
    return new Draft(contentType, String(text));
  }

  tracked(name, value) {
    this.trackedValues.push({ name: String(name), value: String(value) });
    return this;
  }

  header(name, value) {
    this.headers.push({ name: String(name).toLowerCase(), value: String(value) });
    return this;
  }

  /** The body, read as JSON; for tests. */
  json() {
    return json.read(decode(this.body));
  }
}
