//! Why a call did not do its work. Depends on nothing.




export class Failure extends Error {
  constructor(kind, code, detail, retryAfterMs = null) {
    super(`${code}: ${detail}`);
    this.kind = kind;
    this.code = String(code);
    this.detail = String(detail);
    this.retryAfterMs = retryAfterMs;
  }

  get name() {
    return "Failure";
  }

  get isTransient() {
    return this.kind === "transient";
  }

  retryAfter(waitMs) {
    if (!(waitMs >= 0)) throw new TypeError(`retryAfter takes milliseconds, and was given ${waitMs}`);
    // What is rounded down would be earlier than asked for.
    if (this.isTransient) this.retryAfterMs = Math.min(Math.ceil(waitMs), Number.MAX_SAFE_INTEGER);
    return this;
  }
}

export function transient(code, detail) {
  return new Failure("transient", code, detail);
}

export function permanent(code, detail) {
  return new Failure("permanent", code, detail);
}
