//! Appends to channels of the host. What is sent becomes a message when the delivery settles, or never. Depends on `failure`, `wire`.

import * as host from "#host/queue";
import { Failure } from "./failure.js";
import { draftOf } from "./wire.js";

const REASONS = {
  "no-such-channel": "no integration reads the channel, or this one may not write to it",
  "too-large": "a body is over 4 MiB",
  "too-many": "more than 1,000 messages in one call",
};

export class QueueError extends Failure {
  constructor(reason) {
    super("permanent", `queue-${reason}`, REASONS[reason]);
    this.reason = reason;
  }
}

export function send(channel, draft, { delayMs = null, dedupToken = null } = {}) {
  if (delayMs !== null && !(delayMs >= 0)) throw new TypeError(`delayMs is in milliseconds, and not ${delayMs}`);
  const options = {
    delayMs: delayMs === null ? null : Math.min(Math.ceil(delayMs), Number.MAX_SAFE_INTEGER),
    dedupToken: dedupToken === null ? null : String(dedupToken).toWellFormed(),
  };
  try {
    host.send(String(channel).toWellFormed(), draftOf(draft, "queue.send"), options);
  } catch (error) {
    const tag = error?.payload?.tag ?? error?.payload;
    throw typeof tag === "string" && Object.hasOwn(REASONS, tag) ? new QueueError(tag) : error;
  }
}
