//! The rules of `shop-order`, failure cases first, over the orders in `examples/shop-to-crm/orders`.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";

import { Decimal, json } from "@lockgate/sdk";
import type { Draft } from "@lockgate/sdk";
import { message, run } from "@lockgate/sdk/testing";
import shopOrder from "../src/index.ts";

const ORDERS = new URL("../../../../../examples/shop-to-crm/orders/", import.meta.url);

const example = (name: string) => json.read(fs.readFileSync(new URL(`${name}.json`, ORDERS), "utf8"));
const transform = (body: unknown) => run(shopOrder, message(body));
const drafts = (order: unknown): Draft[] => transform(order).drafts;
const canonical = (order: unknown) => drafts(order).map((draft) => draft.json());

function failure(order: unknown): [string, string] {
  const { failure } = transform(order);
  assert(!failure.isTransient, `nothing in an order changes by waiting: ${failure}`);
  return [failure.code, failure.detail];
}

/** The object or list that holds what `pointer` names, and its name there. */
function holder(document: any, pointer: string): [any, string] {
  const names = pointer.slice(1).split("/");
  const last = names.pop() ?? "";
  return [names.reduce((value, name) => value[name], document), last];
}

function at(document: any, pointer: string): unknown {
  const [parent, name] = holder(document, pointer);
  return parent[name];
}

function replaced(order: any, pointer: string, value: unknown): unknown {
  const [parent, name] = holder(order, pointer);
  assert(name in parent, pointer);
  parent[name] = value;
  return order;
}

function without(order: any, pointer: string): unknown {
  const [parent, name] = holder(order, pointer);
  assert(name in parent, pointer);
  delete parent[name];
  return order;
}

const REQUIRED = [
  "/id",
  "/name",
  "/created_at",
  "/currency",
  "/total_price",
  "/line_items",
  "/customer/id",
  "/line_items/0/id",
  "/line_items/0/title",
  "/line_items/0/quantity",
  "/line_items/0/price",
];

/** Where an optional field of Shopify's goes, by pointers. */
const OPTIONAL = [
  ["/updated_at", "/updated_at"],
  ["/cancelled_at", "/cancelled_at"],
  ["/financial_status", "/financial_status"],
  ["/source_name", "/source_name"],
  ["/email", "/email"],
  ["/phone", "/phone"],
  ["/note", "/note"],
  ["/tags", "/tags"],
  ["/customer", "/customer"],
  ["/customer/email", "/customer/email"],
  ["/customer/first_name", "/customer/first_name"],
  ["/customer/last_name", "/customer/last_name"],
  ["/customer/phone", "/customer/phone"],
  ["/billing_address", "/billing_address"],
  ["/billing_address/city", "/billing_address/city"],
  ["/shipping_address/zip", "/shipping_address/postal_code"],
  ["/subtotal_price", "/totals/subtotal"],
  ["/total_discounts", "/totals/discounts"],
  ["/total_tax", "/totals/tax"],
  ["/line_items/0/sku", "/lines/0/sku"],
  ["/line_items/0/product_id", "/lines/0/product_id"],
  ["/line_items/0/vendor", "/lines/0/vendor"],
  ["/line_items/0/total_discount", "/lines/0/discount"],
  ["/line_items/0/requires_shipping", "/lines/0/requires_shipping"],
] as const;

test("a body that is no order fails permanently", () => {
  for (const body of ["", "{", "<order/>", "\ufeff{}"]) assert.equal(transform(body).failure.code, "body-invalid", body);
  for (const body of ["[]", "null", "7", '{"order": []}']) assert.equal(transform(body).failure.code, "field-type-wrong", body);
  assert.equal(transform("{}").failure.detail, "/name is missing");
});

test("a required field missing or null fails with its pointer", () => {
  for (const pointer of REQUIRED) {
    assert.deepEqual(failure(without(example("plain"), pointer)), ["required-field-missing", `${pointer} is missing`]);
    assert.deepEqual(failure(replaced(example("plain"), pointer, null)), ["required-field-missing", `${pointer} is null`]);
  }
});

test("pointers into a wrapped order start at the wrapper", () => {
  assert.equal(failure({ order: without(example("plain"), "/currency") })[1], "/order/currency is missing");
});

test("a field of another type fails with its pointer and is never nulled", () => {
  for (const pointer of [...REQUIRED, ...OPTIONAL.map(([theirs]) => theirs), "/test"]) {
    const [code, detail] = failure(replaced(example("plain"), pointer, ["unexpected"]));
    const [place] = detail.split(" ");
    assert.equal(code, "field-type-wrong", pointer);
    assert(place === pointer || place === `${pointer}/0`, `${pointer}: ${detail}`);
  }
});

test("an optional field missing or null is null and stays visible", () => {
  for (const [theirs, ours] of OPTIONAL) {
    for (const order of [without(example("plain"), theirs), replaced(example("plain"), theirs, null)]) {
      assert.equal(at(canonical(order)[0], ours), null, theirs);
    }
  }
});

test("empty text stays empty text", () => {
  assert.equal(canonical(replaced(example("plain"), "/note", ""))[0].note, "");
});

test("amounts and ids that are none are refused", () => {
  for (const [pointer, value] of [
    ["/total_price", "12,50"],
    ["/total_price", ""],
    ["/total_price", "€ 5"],
    ["/id", Decimal.of("12.5")],
    ["/id", -1],
    ["/id", "gid://shopify/Order/1"],
    ["/line_items/0/quantity", "2"],
    ["/line_items/0/quantity", Decimal.of("1.5")],
    ["/line_items/0/quantity", Decimal.of("2.0")],
    ["/line_items/0/quantity", -1],
  ] as const) {
    assert.equal(failure(replaced(example("plain"), pointer, value))[0], "field-type-wrong", `${pointer}: ${value}`);
  }
});

test("a split order whose sum would not be exact is refused", () => {
  const huge = Decimal.of("1e400");
  for (const pointer of ["/total_price", "/line_items/1/price", "/line_items/1/discount_allocations/0/amount"]) {
    assert.equal(failure(replaced(example("split"), pointer, huge))[0], "amount-out-of-range", pointer);
  }
  const most = "170141183460469231731687303715884105727";
  assert.equal(failure(replaced(example("split"), "/total_price", most))[0], "amount-out-of-range");
});

test("a test order is skipped with a reason", () => {
  assert.equal(transform(example("test-order")).skip.code, "test-order");
});

test("wrapped and bare orders become the same", () => {
  assert.deepEqual(drafts({ order: example("plain") }), drafts(example("plain")));
});

test("a plain order becomes one canonical order", () => {
  const [draft, ...others] = drafts(example("plain"));
  assert(draft !== undefined && others.length === 0);
  assert.equal(draft.contentType, "application/json");
  assert.deepEqual(draft.trackedValues, [{ name: "order", value: "#1001" }]);
  const canonical = draft.json();
  assert.equal(canonical.customer.id, "6940095");
  const shipment = { id: "450801001", number: 1, of: 1, fulfillment_service: "manual", location_id: null, amount: "64.85" };
  assert.deepEqual(canonical.shipment, shipment);
  assert.deepEqual(canonical.totals, { subtotal: "59.90", discounts: "0.00", tax: "10.40", order: "64.85" });
  assert.equal(canonical.lines[0].quantity, 2);
});

test("ids above 2^53 arrive digit by digit", () => {
  const [order] = canonical(example("big-id"));
  assert.equal(order.id, "820982911946154508");
  assert.equal(order.customer.id, "9007199254740993");
  assert.equal(order.lines[0].id, "9223372036854775783");
  assert.equal(order.lines[0].variant_id, "9007199254740995");
});

test("amounts arrive as exactly their decimals however they are written", () => {
  for (const [written, text] of [
    ['"10.00"', "10.00"],
    ["10.00", "10.00"],
    ["0.10", "0.10"],
    ["123456789012345678901234567890.01", "123456789012345678901234567890.01"],
  ] as const) {
    const [order] = canonical(replaced(example("plain"), "/total_price", json.read(written)));
    assert.deepEqual([order.totals.order, order.shipment.amount], [text, text]);
  }
});

test("emoji and characters special to XML arrive unchanged", () => {
  const order = example("emoji-xml");
  const [arrived] = canonical(order);
  for (const [theirs, ours] of [
    ["/note", "/note"],
    ["/tags", "/tags"],
    ["/customer/first_name", "/customer/first_name"],
    ["/customer/last_name", "/customer/last_name"],
    ["/billing_address/company", "/billing_address/company"],
    ["/billing_address/address1", "/billing_address/line1"],
    ["/line_items/0/title", "/lines/0/title"],
    ["/line_items/0/sku", "/lines/0/sku"],
  ] as const) {
    assert.equal(at(arrived, ours), at(order, theirs), theirs);
  }
});

test("a split order becomes one canonical order per shipment that add up", () => {
  const [first, second, ...others] = canonical(example("split"));
  assert.equal(others.length, 0);
  const skus = (shipment: any) => shipment.lines.map((line: any) => line.sku);
  assert.deepEqual(skus(first), ["LAMP-BRASS", "WICK-10", "GUIDE-PDF"]);
  assert.deepEqual(skus(second), ["BOAT-KIT"]);
  assert.equal(second.lines[0].discount, "24.90");
  // 249.00 − 20.00 − 4.90, and the rest of 309.44: the other lines and 4.95 for shipping.
  assert.deepEqual([first.shipment.amount, second.shipment.amount], ["85.34", "224.10"]);
  assert.deepEqual([first.shipment.id, second.shipment.id], ["450801005", "450801005-2"]);
  assert.deepEqual([second.shipment.number, second.shipment.of], [2, 2]);
  assert.equal(second.shipment.fulfillment_service, "north-sea-logistics");
  const shared = ({ shipment, lines, ...others }: any) => others;
  assert.deepEqual(shared(first), shared(second));
});

test("lines from two locations are two shipments", () => {
  const order = example("split");
  for (const [index, location] of [487838322, 487838322, 905684977].entries()) {
    Object.assign(order.line_items[index], { fulfillment_service: "manual", origin_location: { id: location, name: "Depot" } });
  }
  const shipments = canonical(order);
  assert.equal(shipments.length, 2);
  assert.equal(shipments[1].shipment.location_id, "905684977");
});

test("an order of downloads or without lines is one shipment", () => {
  const downloads = replaced(example("plain"), "/line_items/0/requires_shipping", false);
  assert.equal(canonical(downloads)[0].lines.length, 1);
  const empty = canonical(replaced(example("plain"), "/line_items", []));
  assert.deepEqual([empty.length, empty[0].lines], [1, []]);
});

test("every example is read", () => {
  for (const name of ["plain", "big-id", "nulls", "emoji-xml", "split", "poison"]) assert(drafts(example(name)).length > 0, name);
});
