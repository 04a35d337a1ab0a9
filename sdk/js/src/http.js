//! HTTP to the systems the integration bound to this plugin's slots: requests, answers, and what they mean for a delivery.
//!
//! The host adds endpoint, credential and idempotency key: a plugin gives a slot and a path. Depends on `failure`, `json`, `message`,
//! `date`, `utf8`.

import * as host from "#host/http";
import { bytesOf } from "./bytes.js";
import { httpDate } from "./date.js";
import { Failure, permanent, transient } from "./failure.js";
import * as exact from "./json.js";
import { header } from "./message.js";
import { decode, decodeLossy } from "./utf8.js";

const TIMEOUT_MS_MAX = 2 ** 31 - 1;
const EXCERPT_CHARS_MAX = 512;

export class Request {
  constructor(method, path) {
    this.method = String(method);
    this.path = String(path);
    this.headers = [];
    this.body = new Uint8Array();
    this.labelled = null;
    this.timeoutMs = null;
  }

  header(name, value) {
    this.headers.push({ name: String(name).toLowerCase(), value: String(value) });
    return this;
  }

  query(name, value) {
    const pair = `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
    this.path += `${this.path.includes("?") ? "&" : "?"}${pair}`;
    return this;
  }

  content(contentType, body) {
    this.body = bytesOf(body, "the body of a request");
    return this.header("content-type", contentType);
  }

  json(value) {
    return this.content("application/json", exact.write(value));
  }

  label(label) {
    this.labelled = String(label);
    return this;
  }

  timeout(timeoutMs) {
    if (!(timeoutMs >= 0)) throw new TypeError(`a timeout is in milliseconds, and not ${timeoutMs}`);
    this.timeoutMs = Math.min(Math.ceil(timeoutMs), TIMEOUT_MS_MAX);
    return this;
  }

  send(slot) {
    let answer;
    try {
      answer = host.send(slotName(slot), wire(this));
    } catch (error) {
      throw HttpError.of(error);
    }
    return new Response(answer);
  }
}

export function request(method, path) {
  return new Request(method, path);
}

export const get = (path) => new Request("GET", path);
export const post = (path) => new Request("POST", path);
export const put = (path) => new Request("PUT", path);
export const patch = (path) => new Request("PATCH", path);
export const head = (path) => new Request("HEAD", path);
const remove = (path) => new Request("DELETE", path);
export { remove as delete };

export function sendAll(slot, requests) {
  const answers = host.sendAll(slotName(slot), requests.map(wire));
  return answers.map((answer) => (answer.tag === "ok" ? new Response(answer.val) : HttpError.of({ payload: answer.val })));
}

function slotName(slot) {
  if (typeof slot !== "string") throw new TypeError('send takes the name of a slot: send("target")');
  return slot.toWellFormed();
}

function wire({ method, path, headers, body, labelled, timeoutMs }) {
  return {
    method: method.toWellFormed(),
    path: path.toWellFormed(),
    headers: headers.map(({ name, value }) => ({ name: name.toWellFormed(), value: value.toWellFormed() })),
    body,
    label: labelled?.toWellFormed() ?? null,
    timeoutMs,
  };
}

export class Response {
  constructor({ status, headers, body }) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  get isSuccess() {
    return this.status >= 200 && this.status < 300;
  }

  success() {
    if (!this.isSuccess) throw this.failure();
    return this;
  }

  json() {
    try {
      return exact.read(decode(this.body));
    } catch (error) {
      throw transient("answer-invalid", `HTTP ${this.status} with a body of another shape (${error.message}): ${this.excerpt()}`);
    }
  }

  text() {
    return decodeLossy(this.body);
  }

  header(name) {
    return header(this.headers, name);
  }

  excerpt() {
    // A character takes at most four bytes, so no more of a long body needs decoding.
    const start = decodeLossy(this.body.subarray(0, EXCERPT_CHARS_MAX * 4));
    return [...start].slice(0, EXCERPT_CHARS_MAX).join("");
  }

  failure() {
    const excerpt = this.excerpt();
    const detail = `the target answered HTTP ${this.status}${excerpt === "" ? "" : `: ${excerpt}`}`;
    if (!mayPass(this.status)) return permanent(`http-${this.status}`, detail);
    const failure = transient(`http-${this.status}`, detail);
    const waitMs = this.retryAfterMs();
    return waitMs === null ? failure : failure.retryAfter(waitMs);
  }

  retryAfterMs() {
    const value = this.header("retry-after")?.trim();
    if (value === undefined) return null;
    if (/^\+?\d+$/.test(value)) return Number(value) * 1000;
    const until = httpDate(value);
    const now = httpDate(this.header("date") ?? "");
    return until === null || now === null ? null : Math.max(until - now, 0);
  }
}

/** 408 and 425 ask to be repeated (RFC 9110 section 15.5.9, RFC 8470 section 5.2), 429 to be slowed down (RFC 6585 section 4). */
function mayPass(status) {
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status <= 599);
}

/** Why there is no answer: its code and detail as a failure, and whether that may pass. */
const REASONS = {
  denied: (rule) => permanent("http-denied", rule),
  "timed-out": () => transient("http-timed-out", "no answer in time; the target may have done the work"),
  unreachable: (why) => transient("http-unreachable", why),
  "too-large": () => permanent("http-answer-too-large", "the answer was over 10 MiB or 100 headers"),
  "breaker-open": () => transient("http-breaker-open", "the host has stopped sending to this alias for now"),
  "rate-limited": () => transient("http-rate-limited", "the alias's rate is used up, or its target asked to wait"),
  "credential-refused": () => transient("http-credential-refused", "the target refused the alias's credential even after a refresh"),
  "too-many-requests": () => permanent("http-too-many-requests", "more than 32 requests in one call"),
};

export class HttpError extends Failure {
  constructor(reason, value = null) {
    const { kind, code, detail } = REASONS[reason](value);
    super(kind, code, detail, reason === "rate-limited" ? value : null);
    this.reason = reason;
  }

  /** Of what the host's function threw. */
  static of(error) {
    const payload = error?.payload;
    return payload !== undefined && Object.hasOwn(REASONS, payload?.tag) ? new HttpError(payload.tag, payload.val) : error;
  }
}
