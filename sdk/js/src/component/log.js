//! The host's `log`, as a component imports it.

import host from "lockgate:plugin/log@0.1.0";
import { required } from "./calling.js";

export function write(level, text, fields) {
  required();
  host.write(level, text, fields);
}
