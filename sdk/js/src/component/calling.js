//! What holds while a call lasts: that the host may be asked, and chance that follows from the message.

import { seed } from "./random.js";

let isCalled = false;

export function begin(text) {
  isCalled = true;
  seed(text);
}

export function end() {
  isCalled = false;
}

/** A component is run once while it is built, and kept as it is then: there is no host behind it yet. */
export function required() {
  if (!isCalled) throw new Error("the host is there during a call only: not at the top level of a module, which is run while the plugin is built");
}
