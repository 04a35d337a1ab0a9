import { Failure } from "./failure.js";
import type { Draft } from "./message.js";

export interface Options {
  /** Readers get the message so many milliseconds after the delivery settled. */
  delayMs?: number | null;
  /** A second message with the same token on the same channel is dropped (kept for 7 days). */
  dedupToken?: string | null;
}

/** Sends `draft` to `channel`, when the delivery settles, or never. Throws {@link QueueError}; the integration has to grant `queue`. */
export function send(channel: string, draft: Draft, options?: Options): void;

/** Why the message was not taken; as a failure it is permanent. */
export class QueueError extends Failure {
  private constructor();

  readonly reason: "no-such-channel" | "too-large" | "too-many";
}
