//! Write Lockgate plugins in JavaScript and TypeScript: one default export. `index.d.ts` is the reference.

export { batchSink, plugin, sink, source, transformer } from "./role.js";
export { setup } from "./setup.js";
export { Draft, Message } from "./message.js";
export { Failure, permanent, transient } from "./failure.js";
export { Skip, skip } from "./skip.js";
export { attempt } from "./attempt.js";
export { Field, field } from "./field.js";
export { Decimal } from "./decimal.js";
export { config } from "./config.js";
export * as base64 from "./base64.js";
export * as date from "./date.js";
export * as http from "./http.js";
export * as json from "./json.js";
export * as keyValue from "./key-value.js";
export * as log from "./log.js";
export * as queue from "./queue.js";
export * as utf8 from "./utf8.js";
