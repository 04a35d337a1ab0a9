//! `{{name}}`: fetches the orders that changed since the last poll.

import { config, Draft, field, http, source } from "@lockgate/sdk";

/** Asked for at once; a full page means that there is more. */
const LIMIT = 100;

export default source((cursor) => {
  // The cursor is the plugin's own to read: the change it has seen last. It is kept together with the page, or not at all.
  const since = cursor ?? "0";
  const orders: unknown[] = http.get(path()).query("after", since).query("limit", LIMIT).send("shop").success().json();
  const items = orders.map(item);
  // An empty page leaves the cursor where it is.
  return { items, cursor: items.at(-1)?.id ?? since, more: items.length === LIMIT };
});

/** `change` counts all changes of the shop, so that an order that changes again is a new message; changes of one order stay in order. */
function item(order: unknown) {
  return { id: field(order).required("change").digits(), key: field(order).at("number").text(), draft: Draft.json(order) };
}

/** Of the poll's configuration, which plugin.toml describes. */
function path() {
  return field(config()).at("path").text() ?? "/orders";
}
