//! What a run gave, in the words of an author. Depends on the SDK's own classes and on `node:assert`.

import { AssertionError } from "node:assert";
import { Failure } from "../failure.js";
import { Draft } from "../message.js";
import { Skip } from "../skip.js";

export class Run {
  #outcome;

  /** `outcome` has one of `drafts`, `skip`, `receipt`, `results`, `page`, `failure`. */
  constructor(outcome, { requests, lines, queued, keyValues }) {
    this.#outcome = outcome;
    this.requests = requests;
    this.lines = lines;
    this.queued = queued.map(({ channel, draft, options }) => ({ channel, draft: draftFrom(draft), options }));
    this.keyValues = keyValues;
  }

  get drafts() {
    return this.#get("drafts");
  }

  get skip() {
    return this.#get("skip");
  }

  get receipt() {
    return this.#get("receipt");
  }

  get results() {
    return this.#get("results");
  }

  get page() {
    return this.#get("page");
  }

  get failure() {
    return this.#get("failure");
  }

  get outcome() {
    return Object.keys(this.#outcome)[0];
  }

  #get(expected) {
    if (Object.hasOwn(this.#outcome, expected)) return this.#outcome[expected];
    const [[actual, value]] = Object.entries(this.#outcome);
    const said = value instanceof Failure || value instanceof Skip ? ` (${value.code}: ${value.detail})` : "";
    const cause = value instanceof Failure && value.cause instanceof Error ? `\n${value.cause.stack}` : "";
    throw new AssertionError({ message: `the run has no ${expected}, but a ${actual}${said}${cause}`, actual, expected, operator: "run" });
  }
}

export function outcomeFrom({ tag, val }) {
  switch (tag) {
    case "drafts":
      return { drafts: val.map(draftFrom) };
    case "skip":
      return { skip: new Skip(val.code, val.detail) };
    default:
      return { receipt: val };
  }
}

export function failureFrom({ tag, val }, cause) {
  const failure = new Failure(tag, val.code, val.detail, val.retryAfter ?? null);
  if (cause !== undefined) failure.cause = cause;
  return failure;
}

export function resultFrom(result) {
  return result.tag === "ok" ? Object.values(outcomeFrom(result.val))[0] : failureFrom(result.val);
}

export function pageFrom({ items, cursor, more }) {
  return { items: items.map(({ id, key, draft }) => ({ id, key, draft: draftFrom(draft) })), cursor, more };
}

export function draftFrom({ contentType, headers, body, tracked }) {
  const draft = new Draft(contentType, body);
  headers.forEach(({ name, value }) => draft.header(name, value));
  tracked.forEach(({ name, value }) => draft.tracked(name, value));
  return draft;
}
