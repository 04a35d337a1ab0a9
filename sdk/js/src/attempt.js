//! A failure as a value, for a batch sink, whose messages fail one by one. Depends on `failure`.

import { Failure } from "./failure.js";

export function attempt(act) {
  try {
    return act();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}
