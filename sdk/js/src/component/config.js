//! The host's `config`, as a component imports it.

import host from "lockgate:plugin/config@0.1.0";
import { required } from "./calling.js";

export function get() {
  required();
  return host.get();
}
