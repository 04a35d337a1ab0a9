//! What the types promise: compiled by `npm run check`, never run.

import * as sdk from "@lockgate/sdk";
import { answer, message, messages, run } from "@lockgate/sdk/testing";

const { Decimal, Draft, Failure, attempt, batchSink, field, http, permanent, plugin, sink, skip, source, transformer } = sdk;

/** The names there are; `tests/names.test.js` holds them against the code. */
export const names: Record<keyof typeof sdk, true> = {
  batchSink: true,
  plugin: true,
  setup: true,
  sink: true,
  source: true,
  transformer: true,
  Draft: true,
  Message: true,
  Failure: true,
  permanent: true,
  transient: true,
  Skip: true,
  skip: true,
  attempt: true,
  Field: true,
  field: true,
  Decimal: true,
  config: true,
  base64: true,
  date: true,
  http: true,
  json: true,
  keyValue: true,
  log: true,
  queue: true,
  utf8: true,
};

const mapping = transformer((message) => {
  const order = field(message.json());
  const required: string = order.required("name").text();
  const optional: string | null = order.at("name").text();
  // @ts-expect-error: what is optional may be null
  const wrong: string = order.at("name").text();
  if (order.at("test").flag()) return skip("test-order", "no");
  return Draft.json({ required, optional, wrong }).tracked("order", required);
});

// @ts-expect-error: functions of a plugin are not async
transformer(async () => Draft.text(""));
// @ts-expect-error: a sink gives back a receipt
sink(() => {});
// @ts-expect-error: a receipt has no id
sink(() => ({ id: 1 }));
// @ts-expect-error: a failure is thrown
sink(() => permanent("a", "b"));
// @ts-expect-error: a decimal is no number
Decimal.of("1.5") + 1;

const both = plugin(mapping, sink(() => ({ remoteId: 7n })));
const bulk = batchSink((messages) => messages.map((message) => attempt(() => ({ remoteId: message.id }))));
const poll = source((cursor) => ({ items: [], cursor: cursor ?? "0", more: false }));

run(mapping, message({ a: 1 })).drafts[0]?.json();
run(both, message(""), { role: "sink" }).receipt.remoteId;
run(bulk, messages(["1"]), { answers: [answer(200)] }).results.filter((result) => result instanceof Failure);
run(poll).page.cursor;
// @ts-expect-error: a transformer has no receipt
run(mapping, message("")).receipt;
// @ts-expect-error: a plugin of several roles is run in one of them
run(both, message(""));

const answers = http.sendAll("target", [http.delete("/1")]);
for (const found of answers) if (found instanceof http.HttpError) found.reason satisfies string;

interface Order {
  id: number | bigint;
}
message("").json<Order>().id satisfies number | bigint;
