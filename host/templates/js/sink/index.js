// @ts-check
//! `{{name}}`: creates a record through a REST interface, one for each message.

import { config, field, http, sink, skip } from "@lockgate/sdk";

export default sink((message) => {
  // The host adds the credential and an Idempotency-Key; the same content goes out on every attempt.
  const answer = http.post(path()).json(message.json()).send("target");
  if (answer.status === 409) return skip("already-there", "the target has this record already");
  // 408, 425, 429 and 5xx may pass and are tried again, in time with Retry-After; the rest is a dead letter.
  const created = field(answer.success().json());
  return { remoteId: created.at("id").text() };
});

/** Of the sink's configuration, which plugin.toml describes. */
function path() {
  return field(config()).at("path").text() ?? "/records";
}
