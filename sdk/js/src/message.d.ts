/** One header: a lower-case name and its value as text. */
export interface Header {
  name: string;
  value: string;
}

/** A message as the host accepted it, or as the step before gave it back. */
export class Message {
  private constructor();

  /** The host's id: a UUID as text, the same on every retry. */
  readonly id: string;
  /** What keeps messages in order. */
  readonly key: string | null;
  /** Media type of {@link Message.body}. */
  readonly contentType: string;
  /** Headers the message was accepted with, without signatures and credentials. */
  readonly headers: readonly Header[];
  /** The bytes exactly as they were accepted. */
  readonly body: Uint8Array;
  /** When the host accepted it. */
  readonly receivedAt: Date;

  /**
   * The body, read as JSON. Numbers keep every digit: see {@link json.Json}. Permanent failure `body-invalid` where it is not JSON.
   *
   * Name a type where you know it, `message.json<Order>()`: nothing looks whether it is. {@link field} does.
   */
  json<T = any>(): T;
  /** The body as text. Permanent failure `body-invalid` where it is not UTF-8. */
  text(): string;
  /** The first value of the header `name`, whatever its case. */
  header(name: string): string | null;
}

/** What the host knows about a call. */
export interface Context {
  /** 0 for the first attempt, then counting attempts that failed. */
  attempt: number;
  /** 0, or how often an operator has replayed the message. */
  replay: number;
  /** Hex text, the same on every retry of this message by this integration, different for everything else. */
  idempotencyBase: string;
}

/**
 * What a plugin gives back for the host to make a message of.
 *
 * ```js
 * return Draft.json({ id: order.id, total: "10.00" }).tracked("order", "#1001");
 * ```
 */
export class Draft {
  readonly contentType: string;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
  readonly trackedValues: readonly { name: string; value: string }[];

  /** A draft of these bytes, or of the UTF-8 of a text. */
  constructor(contentType: string, body: Uint8Array | string);

  /** A draft of `value` as JSON, `application/json`. Permanent failure `not-serializable`, see {@link json.write}. */
  static json(value: unknown): Draft;
  /** A draft of a text, `text/plain; charset=utf-8` if nothing else is said. */
  static text(text: string, contentType?: string): Draft;

  /** Adds a value by which people find the message: name lower-case, 64 bytes; value 256 bytes. */
  tracked(name: string, value: string | number | bigint): this;
  /** Adds a header for whoever reads the message next. */
  header(name: string, value: string): this;
  /** The body, read as JSON; for tests. */
  json<T = any>(): T;
}
