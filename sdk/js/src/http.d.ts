import { Failure } from "./failure.js";
import type { Header } from "./message.js";

/** `GET path`. `path` is path and query under the alias's base URL, and starts with `/`. */
export function get(path: string): Request;
/** `POST path`. */
export function post(path: string): Request;
/** `PUT path`. */
export function put(path: string): Request;
/** `PATCH path`. */
export function patch(path: string): Request;
/** `HEAD path`. */
export function head(path: string): Request;
declare function remove(path: string): Request;
/** `DELETE path`: `http.delete("/orders/7")`. */
export { remove as delete };
/** A request of any of these methods. */
export function request(method: string, path: string): Request;

/**
 * One request. The host adds endpoint, credential and idempotency key: a plugin sees neither a host name nor a secret.
 *
 * ```js
 * const rate = http.post("/v2/quote").json({ zip }).label("quote").send("tax").success().json();
 * ```
 */
export class Request {
  private constructor();

  readonly method: string;
  readonly path: string;
  readonly headers: readonly Header[];
  readonly body: Uint8Array;

  /** Adds a header. Host, Authorization, Idempotency-Key and those of the connection are the host's. */
  header(name: string, value: string): this;
  /** Adds `name=value` to the query, both encoded. */
  query(name: string, value: string | number | bigint | boolean): this;
  /** Sets the body and its media type. */
  content(contentType: string, body: Uint8Array | string): this;
  /** Sets the body to `value` as JSON. Permanent failure `not-serializable`. */
  json(value: unknown): this;
  /** Names the request for its idempotency key. Give one where the order of requests may change between attempts. */
  label(label: string): this;
  /** Limits how many milliseconds the request may take in all. */
  timeout(timeoutMs: number): this;

  /** Sends the request through the alias bound to `slot` and waits for the answer, whatever its status. Throws {@link HttpError}. */
  send(slot: string): Response;
}

/** Sends several requests at once (at most 6 are under way); answers come in the order of the requests. */
export function sendAll(slot: string, requests: Request[]): (Response | HttpError)[];

/** An answer. */
export class Response {
  private constructor();

  readonly status: number;
  /** Lower-case names. */
  readonly headers: readonly Header[];
  readonly body: Uint8Array;
  /** Whether the status is 2xx. */
  readonly isSuccess: boolean;

  /** This answer if its status is 2xx; throws {@link Response.failure} for any other. */
  success(): this;
  /** The body, read as JSON. Transient failure `answer-invalid`: something between here and the target may have answered in its place. */
  json<T = any>(): T;
  /** The body as text, U+FFFD in place of what is not UTF-8. */
  text(): string;
  /** The first value of the header `name`, whatever its case. */
  header(name: string): string | null;
  /** The start of the body as text, for people: at most 512 characters. */
  excerpt(): string;
  /**
   * The failure this answer means where a target says nothing better: 408, 425, 429 and 5xx are transient, with the answer's
   * `Retry-After`; everything else is permanent. Codes are `http-408`, `http-404`, ….
   */
  failure(): Failure;
  /** How many milliseconds the target asks to be left alone; null where it says nothing readable. */
  retryAfterMs(): number | null;
}

/** Why there is no answer; as a failure it is transient where that may pass. */
export class HttpError extends Failure {
  private constructor();

  readonly reason:
    | "denied"
    | "timed-out"
    | "unreachable"
    | "too-large"
    | "breaker-open"
    | "rate-limited"
    | "credential-refused"
    | "too-many-requests";
}
