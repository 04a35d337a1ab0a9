//! Lines in the host's log, marked with integration, message and plugin. 64 KiB a call; what is over is counted and dropped.

import * as host from "#host/log";

export function write(level, text, fields = {}) {
  const named = Object.entries(fields).map(([name, value]) => ({ name: name.toWellFormed(), value: String(value).toWellFormed() }));
  host.write(level, String(text).toWellFormed(), named);
}

export const trace = (text, fields) => write("trace", text, fields);
export const debug = (text, fields) => write("debug", text, fields);
export const info = (text, fields) => write("info", text, fields);
export const warn = (text, fields) => write("warn", text, fields);
export const error = (text, fields) => write("error", text, fields);
