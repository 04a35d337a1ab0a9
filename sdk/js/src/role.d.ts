import type { Failure } from "./failure.js";
import type { Context, Draft, Message } from "./message.js";
import type { Setup } from "./setup.js";
import type { Skip } from "./skip.js";

/** What the target made of a message. All of it may be unknown. */
export interface Receipt {
  /** The target's id of the record. */
  remoteId?: string | number | bigint | null;
  /** The target's version of the record (an ETag, a change number). */
  remoteVersion?: string | number | bigint | null;
  /** Anything else worth keeping in the ledger, for people. The host keeps 4 KiB. */
  detail?: string | null;
  /** A failure is no receipt: it is thrown. */
  code?: never;
}

/** A message found by a poll. */
export interface Item {
  /** The source's id of the record at this version; two items of one id are one message. */
  id: string;
  /** What must stay in order. */
  key?: string | null;
  draft: Draft;
}

/** What one poll found. */
export interface Page {
  /** In the order in which they are to be delivered; at most 10,000. */
  items: Item[];
  /** Where the next poll starts. Committed together with the items, or not at all. */
  cursor: string;
  /** There is more to fetch now; the host polls again at once. */
  more: boolean;
}

/** The name of a role, as in `plugin.toml`. */
export type RoleName = "transformer" | "sink" | "batch-sink" | "source";

/** A role of a plugin: what its module exports as its default. */
export interface Role<Name extends RoleName = RoleName> {
  readonly name: Name;
}

/** A plugin of several roles. */
export interface Plugin<Names extends RoleName = RoleName> {
  readonly roles: readonly Role<Names>[];
}

/**
 * A mapping: a message in, messages out. Called again with the same arguments on a retry, in a fresh instance.
 *
 * ```js
 * export default transformer((message) => {
 *   const order = field(message.json());
 *   if (order.at("test").flag()) return skip("test-order", "test orders are not sent on");
 *   return Draft.json({ name: order.required("name").text() });
 * });
 * ```
 *
 * Several drafts are delivered, retried and dead-lettered each on its own. It is no async function: what the host is asked, it answers at once.
 */
export function transformer(transform: (message: Message, context: Context) => Draft | Draft[] | Skip): Role<"transformer">;

/**
 * Delivers a message to a system. May be called again for the same message (at least once): send the same content, so that the
 * host's `Idempotency-Key` holds, or check before writing.
 *
 * ```js
 * export default sink((message) => {
 *   const answer = http.post("/orders").json(message.json()).label("order").send("target").success();
 *   return { remoteId: answer.header("location") };
 * });
 * ```
 */
export function sink(deliver: (message: Message, context: Context) => Receipt | Skip): Role<"sink">;

/**
 * Delivers several messages in one call, oldest first, no two of one key, and gives one result for each, in their order. A message
 * that fails is retried or dead-lettered alone: its {@link Failure} is a value here, and {@link attempt} makes one of what is thrown.
 *
 * ```js
 * export default batchSink((messages) => {
 *   const rows = messages.map((message) => attempt(() => ({ id: message.id, data: message.json() })));
 *   const good = rows.filter((row) => !(row instanceof Failure));
 *   const answers = http.post("/bulk").json(good).send("target").success().json();
 *   return rows.map((row) => (row instanceof Failure ? row : { remoteId: answers.shift()?.id }));
 * });
 * ```
 *
 * A message may come again, and then in other company: write in a way that may be repeated, such as an upsert by an external id.
 * A failure that is thrown is every message's; anything else that is thrown has the host repeat the call in halves, until the message to
 * blame is alone. It is granted neither `key-value` nor `queue`.
 */
export function batchSink(deliver: (messages: Message[], context: Context) => (Receipt | Skip | Failure)[]): Role<"batch-sink">;

/**
 * Fetches messages from a system that does not send them by itself. `cursor` is what the last page gave, null on the first poll.
 *
 * ```js
 * export default source((cursor) => {
 *   const orders = http.get(`/orders?after=${cursor ?? "0"}&limit=100`).send("shop").success().json();
 *   const items = orders.map((order) => ({ id: `${order.version}`, key: `${order.id}`, draft: Draft.json(order) }));
 *   return { items, cursor: items.at(-1)?.id ?? cursor ?? "0", more: items.length === 100 };
 * });
 * ```
 */
export function source(poll: (cursor: string | null) => Page): Role<"source">;

/** A plugin of several roles, or of one with a `setup`: `export default plugin(transformer(...), sink(...))`. */
export function plugin<Names extends RoleName>(...roles: (Role<Names> | Setup)[]): Plugin<Names>;
