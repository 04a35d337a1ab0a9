//! The configuration of the step a plugin runs as. Depends on `failure`, `json`.

import * as host from "#host/config";
import { permanent } from "./failure.js";
import { read } from "./json.js";

export function config() {
  const text = host.get();
  try {
    return read(text);
  } catch (error) {
    throw permanent("config-invalid", `the configuration of this step is not JSON: ${error.message}`);
  }
}
