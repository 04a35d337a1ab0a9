//! The host's `http`, as a component imports it.

import * as host from "lockgate:plugin/http@0.1.0";
import { required } from "./calling.js";

export function send(slot, request) {
  required();
  return host.send(slot, request);
}

export function sendAll(slot, requests) {
  required();
  return host.sendAll(slot, requests);
}
