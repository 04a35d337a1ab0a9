//! The lines of the run.

import { currentHost } from "./current.js";

export function write(level, text, fields) {
  currentHost().lines.push({ level, text, fields: Object.fromEntries(fields.map(({ name, value }) => [name, value])) });
}
