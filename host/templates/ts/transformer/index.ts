//! `{{name}}`: an order of the web shop becomes what the CRM takes.

import { config, Draft, field, skip, transformer } from "@lockgate/sdk";

export default transformer((message) => {
  const order = field(message.json());
  if (order.at("test").flag()) return skip("test-order", "test orders are not sent on");
  // What is missing or of another type is a dead letter that names the field; nothing is guessed.
  const number = order.required("number").text();
  const record = {
    externalId: number,
    email: order.at("customer").object()?.at("email").text()?.trim().toLowerCase() ?? null,
    amount: order.required("total").decimal().toString(),
    currency: order.at("currency").text() ?? currency(),
  };
  return Draft.json(record).tracked("order", number);
});

/** Of the step's configuration, which plugin.toml describes. */
function currency() {
  return field(config()).at("currency").text() ?? "EUR";
}
