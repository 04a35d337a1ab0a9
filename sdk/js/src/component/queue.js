//! The host's `queue`, as a component imports it.

import host from "lockgate:plugin/queue@0.1.0";
import { required } from "./calling.js";

export function send(channel, draft, options) {
  required();
  host.send(channel, draft, options);
}
