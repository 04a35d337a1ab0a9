/**
 * What a plugin throws when it could not do its work. It decides between trying again and a dead letter.
 *
 * ```js
 * throw permanent("country-unknown", `/billing_address/country_code is ${code}, which is no country`);
 * throw transient("row-locked", "the record is being edited").retryAfter(30_000);
 * ```
 *
 * Every error of the SDK is one: what is not caught is the fitting failure by itself.
 */
export class Failure extends Error {
  /** `transient`: trying again later may work. `permanent`: it will not, and the message becomes a dead letter at once. */
  readonly kind: "transient" | "permanent";
  /** Stable, lower-case with hyphens: `row-locked`. Groups dead letters. */
  readonly code: string;
  /** What happened and what would mend it, for people. The host keeps 4 KiB. */
  readonly detail: string;
  /** Not to be tried again before so many milliseconds; null where nothing is known. */
  readonly retryAfterMs: number | null;
  /** Whether the host tries again. */
  readonly isTransient: boolean;

  /** Use {@link transient} or {@link permanent}. */
  constructor(kind: "transient" | "permanent", code: string, detail: string, retryAfterMs?: number | null);

  /** The same failure, not to be tried again before `waitMs` milliseconds are over. A permanent one stays as it is. */
  retryAfter(waitMs: number): this;
}

/** A failure that may pass: the host tries again, with growing waits. `code` is lower-case with hyphens. */
export function transient(code: string, detail: string): Failure;

/** A failure that will not pass: a dead letter at once. `code` is lower-case with hyphens. */
export function permanent(code: string, detail: string): Failure;
