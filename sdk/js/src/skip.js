//! There is nothing to do, and that is right. Depends on nothing.

export class Skip {
  constructor(code, detail) {
    this.code = String(code);
    this.detail = String(detail);
  }
}

export function skip(code, detail) {
  return new Skip(code, detail);
}
