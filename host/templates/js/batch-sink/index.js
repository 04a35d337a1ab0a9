// @ts-check
//! `{{name}}`: writes records through a bulk interface, several messages in one request.

import { batchSink, config, Failure, field, http, permanent, transient } from "@lockgate/sdk";

/** @import { Message } from "@lockgate/sdk" */

export default batchSink((messages) => {
  // What is wrong with one message is that message's failure, and nobody else's.
  const rows = messages.map((message) => attempt(() => row(message)));
  const verdicts = write(rows.filter((row) => !(row instanceof Failure)));
  return rows.map((row) => (row instanceof Failure ? row : (verdicts.shift() ?? transient("row-unanswered", "the target said nothing of this row"))));
});

/** Under the message's own id: a row that comes again, in whatever company, is written once. @param {Message} message */
function row(message) {
  return { externalId: message.id, data: message.json() };
}

/** A verdict for each row; a failure of the whole call is every row's. @param {unknown[]} rows */
function write(rows) {
  if (rows.length === 0) return [];
  const answers = attempt(() => http.post(path()).json(rows).send("target").success().json());
  return answers instanceof Failure ? rows.map(() => answers) : answers.map(verdict);
}

/** @param {unknown} answer */
function verdict(answer) {
  const said = field(answer);
  const id = said.at("id").text();
  return id === null ? permanent("row-refused", said.at("error").text() ?? "the target says no id") : { remoteId: id };
}

/** What `work` gives, or the failure that it throws. @template T @param {() => T} work @returns {T | Failure} */
function attempt(work) {
  try {
    return work();
  } catch (failure) {
    if (failure instanceof Failure) return failure;
    throw failure;
  }
}

/** Of the sink's configuration, which plugin.toml describes. */
function path() {
  return field(config()).at("path").text() ?? "/records/bulk";
}
