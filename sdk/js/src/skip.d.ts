/** There is nothing to do for a message, and that is right. */
export class Skip {
  /** Stable, lower-case with hyphens: `test-order`. */
  readonly code: string;
  /** Why, for people. */
  readonly detail: string;

  /** There only for the types: what merely looks like a skip, as a failure does, is none. */
  private readonly brand: never;

  /** Use {@link skip}. */
  constructor(code: string, detail: string);
}

/**
 * What a transformer or a sink gives back where there is nothing to do.
 *
 * ```js
 * if (order.at("test").flag()) return skip("test-order", "test orders are not sent on");
 * ```
 */
export function skip(code: string, detail: string): Skip;
