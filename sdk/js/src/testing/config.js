//! The configuration of the run.

import { currentHost } from "./current.js";

export function get() {
  return currentHost().config;
}
