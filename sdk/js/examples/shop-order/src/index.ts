//! `shop-order`: a Shopify order (the Order resource of the REST Admin API) becomes one canonical order per shipment.
//!
//! Takes the bare order, as webhooks send it, or the order wrapped as `{"order": …}`, as the REST API answers. The rules
//! are in `canonical` (fields) and `shipments` (splitting, amounts); README.md says them for people. Depends on the SDK only.

import { Draft, field, skip, transformer } from "@lockgate/sdk";
import { Order } from "./canonical.ts";
import { split } from "./shipments.ts";

export default transformer((message) => {
  const document = field(message.json());
  const root = document.object();
  if (root === null) throw document.wrong("an object");
  const order = root.at("order").object() ?? root;
  if (order.at("test").flag() === true) return skip("test-order", "Shopify marks this order as a test; it is not sent on");
  const name = order.required("name").text();
  const canonical = new Order(order);
  return split(order, canonical).map((shipment) => Draft.json(canonical.with(shipment)).tracked("order", name));
});
