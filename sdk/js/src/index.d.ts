/**
 * Write Lockgate plugins in JavaScript and TypeScript: one default export.
 *
 * ```js
 * import { Draft, field, skip, transformer } from "@lockgate/sdk";
 *
 * export default transformer((message) => {
 *   const order = field(message.json());
 *   if (order.at("test").flag()) return skip("test-order", "test orders are not sent on");
 *   const name = order.required("name").text();
 *   return Draft.json({ name, total: order.required("total").decimal() }).tracked("order", name);
 * });
 * ```
 *
 * {@link sink}, {@link batchSink} and {@link source} work the same. What the host offers is in {@link http}, {@link keyValue},
 * {@link queue}, {@link log} and {@link config}; a component asks only for what its code really calls, and the integration has to grant
 * it. `@lockgate/sdk/testing` stands in for the host in tests.
 *
 * @module
 */

export { batchSink, plugin, sink, source, transformer } from "./role.js";
export type { Item, Page, Plugin, Receipt, Role, RoleName } from "./role.js";
export { setup } from "./setup.js";
export type { Setup } from "./setup.js";
export { Draft, Message } from "./message.js";
export type { Context, Header } from "./message.js";
export { Failure, permanent, transient } from "./failure.js";
export { Skip, skip } from "./skip.js";
export { attempt } from "./attempt.js";
export { Field, field } from "./field.js";
export { Decimal } from "./decimal.js";
export type { DecimalLike, Rounding } from "./decimal.js";
export { config } from "./config.js";
export type { Json } from "./json.js";
export * as base64 from "./base64.js";
export * as date from "./date.js";
export * as http from "./http.js";
export * as json from "./json.js";
export * as keyValue from "./key-value.js";
export * as log from "./log.js";
export * as queue from "./queue.js";
export * as utf8 from "./utf8.js";
