//! What a plugin gives back, in the shapes of the WIT package. What does not fit is named, before the engine's glue would trap over it.
//!
//! Depends on `failure`, `message`, `skip`.

import { Failure, permanent } from "./failure.js";
import { Draft } from "./message.js";
import { Skip } from "./skip.js";

export function outputOf(value) {
  if (value instanceof Skip) return { tag: "skip", val: skipOf(value) };
  if (value instanceof Draft) return { tag: "drafts", val: [draftOf(value)] };
  if (Array.isArray(value)) return { tag: "drafts", val: value.map((draft) => draftOf(draft, "a transformer")) };
  throw invalid("a transformer", "a Draft, a list of them, or skip(code, detail)", value);
}

export function deliveredOf(value, what = "a sink") {
  if (value instanceof Skip) return { tag: "skip", val: skipOf(value) };
  if (!isRecord(value)) throw invalid(what, "a receipt such as { remoteId }, which may be {}, or skip(code, detail)", value);
  const unknown = Object.keys(value).find((key) => !["remoteId", "remoteVersion", "detail"].includes(key));
  if (unknown !== undefined) throw permanent("output-invalid", `a receipt has remoteId, remoteVersion and detail, and no ${unknown}`);
  const { remoteId, remoteVersion, detail } = value;
  return { tag: "receipt", val: { remoteId: textOrNone(remoteId), remoteVersion: textOrNone(remoteVersion), detail: textOrNone(detail) } };
}

/** The results of a batch: each a receipt, a skip, or a failure as a value. */
export function resultsOf(values) {
  if (!Array.isArray(values)) throw invalid("a batch sink", "a list with a receipt, a skip or a failure for each message", values);
  return values.map((value) => {
    if (value instanceof Failure) return { tag: "err", val: failureOf(value) };
    return { tag: "ok", val: deliveredOf(value, "a batch sink") };
  });
}

export function pageOf(value) {
  if (!isRecord(value) || !Array.isArray(value.items) || typeof value.cursor !== "string" || typeof value.more !== "boolean") {
    throw invalid("a source", "{ items: [...], cursor: \"text\", more: true or false }", value);
  }
  return { items: value.items.map(itemOf), cursor: value.cursor.toWellFormed(), more: value.more };
}

function itemOf(item) {
  if (!isRecord(item) || typeof item.id !== "string") throw invalid("a source", "items { id: \"text\", key, draft }", item);
  return { id: item.id.toWellFormed(), key: textOrNone(item.key), draft: draftOf(item.draft, "a source") };
}

export function draftOf(draft, giver = "a transformer") {
  if (!(draft instanceof Draft)) throw invalid(giver, "drafts, as Draft.json(value) makes them", draft);
  const named = ({ name, value }) => ({ name: name.toWellFormed(), value: value.toWellFormed() });
  return {
    contentType: draft.contentType.toWellFormed(),
    headers: draft.headers.map(named),
    body: draft.body,
    tracked: draft.trackedValues.map(named),
  };
}

export function failureOf({ kind, code, detail, retryAfterMs }) {
  const said = { code: code.toWellFormed(), detail: detail.toWellFormed() };
  return kind === "transient" ? { tag: kind, val: { ...said, retryAfter: retryAfterMs } } : { tag: kind, val: said };
}

function skipOf({ code, detail }) {
  return { code: code.toWellFormed(), detail: detail.toWellFormed() };
}

function textOrNone(value) {
  return value === null || value === undefined ? null : String(value).toWellFormed();
}

/** An object as it is written down; not a promise, a draft or an error, which would be read as one without any members. */
function isRecord(value) {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function invalid(giver, expected, value) {
  const why = typeof value?.then === "function" ? "; functions of a plugin are not async, and those of the host give their answers at once" : "";
  return permanent("output-invalid", `${giver} gives back ${expected}, and not ${inWords(value)}${why}`);
}

function inWords(value) {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Failure) return "a failure, which is thrown";
  if (typeof value === "object") return Object.getPrototypeOf(value) === Object.prototype ? "an object" : `a ${value.constructor?.name ?? "value"}`;
  return `a ${typeof value}`;
}
