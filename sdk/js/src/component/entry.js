//! What the build's own module takes from the SDK: a component's exports, made of the author's default export.

export { deliver, deliverBatch, poll, setUp, transform } from "../call.js";
