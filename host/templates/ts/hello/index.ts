//! `hello`: greets in the log whoever a message names. A sink that needs no other system, to see one message through.

import { config, field, log, sink } from "@lockgate/sdk";

export default sink((message) => {
  // Without a name the message is a dead letter, which `lockgate dead-letters list` shows.
  const name = field(message.json()).required("name").text();
  const greeting = `${field(config()).at("greeting").text() ?? "Hello"}, ${name}!`;
  log.info(greeting);
  return { detail: greeting };
});
