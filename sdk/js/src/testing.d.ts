/**
 * A host for tests in Node.js: configuration, scripted HTTP answers, key-value and queue, all in memory. The plugin runs natively, through
 * the same entry point as in a component.
 *
 * ```js
 * import assert from "node:assert/strict";
 * import { test } from "node:test";
 * import { answer, message, run } from "@lockgate/sdk/testing";
 * import notify from "../src/index.js";
 *
 * test("a busy target is tried again", () => {
 *   const { failure, requests } = run(notify, message("hello"), { config: { room: "ops" }, answers: [answer(503, "busy")] });
 *   assert(failure.isTransient);
 *   assert.equal(requests[0].path, "/notes");
 * });
 * ```
 *
 * @module
 */

import type { Failure } from "./failure.js";
import type { HttpError } from "./http.js";
import type { Context, Draft, Header, Message } from "./message.js";
import type { Options } from "./queue.js";
import type { Page, Plugin, Receipt, Role, RoleName } from "./role.js";
import type { Skip } from "./skip.js";

/** Text and bytes are taken as they are, anything else is written as JSON. */
export type Body = unknown;
type Headers = Record<string, string | number> | Header[];

/** A message with this body; `application/json` if nothing else is said. */
export function message(
  body: Body,
  options?: { id?: string; key?: string | null; contentType?: string; headers?: Headers; receivedAt?: Date },
): Message;

/** Messages with these bodies, as a batch has them: each with an id and a key of its own. */
export function messages(bodies: Iterable<Body>, options?: { contentType?: string; headers?: Headers; receivedAt?: Date }): Message[];

/** An answer with this status, body and headers. */
export function answer(status: number, body?: Body, headers?: Headers): Answer;

/** No answer, for this reason. `value`: for `denied` and `unreachable` the text, for `rate-limited` milliseconds to wait. */
export function noAnswer(reason: HttpError["reason"], value?: string | number): Answer;

/** What a request is answered with: made by {@link answer} and {@link noAnswer}. */
export interface Answer {
  readonly status?: number;
  readonly error?: HttpError["reason"];
}

/** One outbound request. */
export interface Sent {
  slot: string;
  method: string;
  path: string;
  headers: Header[];
  body: Uint8Array;
  label: string | null;
  timeoutMs: number | null;
}

export interface RunOptions {
  /** The step's configuration; none: `{}`. */
  config?: unknown;
  /** What the first request is answered with, and so on; unreachable when they are used up. */
  answers?: Answer[];
  /** What each request is answered with, instead. */
  respond?: (sent: Sent) => Answer;
  /** The key-value map beforehand. */
  keyValues?: Record<string, Uint8Array | string>;
  /** Which channels there are; none said: any. */
  channels?: string[];
  context?: Partial<Context>;
  /** Which role runs, where a plugin has several. */
  role?: RoleName;
}

/** What a run gave, and what the plugin did meanwhile. Reading an outcome that there is not throws, and says what there was instead. */
export interface Run<Outcome> {
  /** What there is: `drafts`, `skip`, `receipt`, `results`, `page` or `failure`. */
  readonly outcome: Outcome;
  /** The failure; of an uncaught exception `failure.cause` is what was thrown. */
  readonly failure: Failure;
  /** Outbound requests in the order in which they were sent. */
  readonly requests: Sent[];
  /** Log lines; what `console` is given is printed in a test. */
  readonly lines: { level: string; text: string; fields: Record<string, string> }[];
  /** Messages sent to channels. */
  readonly queued: { channel: string; draft: Draft; options: Options }[];
  /** The whole key-value map afterwards. A TTL starts when a delivery settles, so nothing expires within a call. */
  readonly keyValues: Map<string, Uint8Array>;
}

export interface TransformerRun extends Run<"drafts" | "skip" | "failure"> {
  readonly drafts: Draft[];
  readonly skip: Skip;
}

export interface SinkRun extends Run<"receipt" | "skip" | "failure"> {
  readonly receipt: { remoteId: string | null; remoteVersion: string | null; detail: string | null };
  readonly skip: Skip;
}

export interface BatchRun extends Run<"results"> {
  /** For each message; none at all where something uncaught was thrown with several messages: the host then repeats the call in halves. */
  readonly results: (Receipt | Skip | Failure)[];
}

export interface SourceRun extends Run<"page" | "failure"> {
  readonly page: Page;
}

/** Runs a plugin with this host: a transformer or sink with a message, a batch sink with several, a source with a cursor. */
export function run(plugin: Role<"transformer"> | Plugin<"transformer">, message: Message, options?: RunOptions): TransformerRun;
export function run(plugin: Role<"sink"> | Plugin<"sink">, message: Message, options?: RunOptions): SinkRun;
export function run(plugin: Role<"batch-sink"> | Plugin<"batch-sink">, messages: Message[], options?: RunOptions): BatchRun;
export function run(plugin: Role<"source"> | Plugin<"source">, cursor?: string | null, options?: RunOptions): SourceRun;
export function run(plugin: Plugin, message: Message, options: RunOptions & { role: "transformer" }): TransformerRun;
export function run(plugin: Plugin, message: Message, options: RunOptions & { role: "sink" }): SinkRun;
export function run(plugin: Plugin, messages: Message[], options: RunOptions & { role: "batch-sink" }): BatchRun;
export function run(plugin: Plugin, cursor: string | null, options: RunOptions & { role: "source" }): SourceRun;
