//! Which field of Shopify's order becomes which field of the canonical one.
//!
//! Every canonical field is always there: what Shopify leaves out or sends as `null` is `null`, never an empty text or a zero.
//! Ids are text of exactly their digits, amounts text of exactly their decimals. Field meanings:
//! <https://shopify.dev/docs/api/admin-rest/latest/resources/order>.

import type { Field, Json } from "@lockgate/sdk";
import { Amount } from "./amount.ts";
import type { Shipment } from "./shipments.ts";

const PIECES_MAX = 2n ** 64n - 1n;

/** Shopify's names of the fields of an address, and ours. */
const ADDRESS = [
  ["name", "name"],
  ["company", "company"],
  ["address1", "line1"],
  ["address2", "line2"],
  ["city", "city"],
  ["zip", "postal_code"],
  ["province", "region"],
  ["country", "country"],
  ["country_code", "country_code"],
  ["phone", "phone"],
] as const;

/** The order without what differs between its shipments. */
export class Order {
  /** Digits of Shopify's order id. */
  readonly id: string;
  /** `total_price`, exactly. */
  readonly total: string;
  readonly #head: Record<string, Json>;
  readonly #totals: Json;

  /** Reads what all shipments share; fails with the pointer of the field that is missing or of another type. */
  constructor(order: Field) {
    this.id = order.required("id").digits();
    this.total = order.required("total_price").decimal().text;
    this.#head = {
      id: this.id,
      name: order.required("name").text(),
      created_at: order.required("created_at").text(),
      updated_at: order.at("updated_at").text(),
      cancelled_at: order.at("cancelled_at").text(),
      currency: order.required("currency").text(),
      financial_status: order.at("financial_status").text(),
      source_name: order.at("source_name").text(),
      email: order.at("email").text(),
      phone: order.at("phone").text(),
      note: order.at("note").text(),
      tags: order.at("tags").text(),
      customer: customer(order.at("customer")),
      billing_address: address(order.at("billing_address")),
      shipping_address: address(order.at("shipping_address")),
    };
    this.#totals = {
      subtotal: amount(order.at("subtotal_price")),
      discounts: amount(order.at("total_discounts")),
      tax: amount(order.at("total_tax")),
      order: this.total,
    };
  }

  /** The canonical order for one of its shipments. */
  with(shipment: Shipment): Json {
    return { ...this.#head, shipment: shipment.description, lines: shipment.lines, totals: this.#totals };
  }
}

/** One line of the order. */
export function line(line: Field): Json {
  return {
    id: line.required("id").digits(),
    product_id: line.at("product_id").digits(),
    variant_id: line.at("variant_id").digits(),
    sku: line.at("sku").text(),
    title: line.required("title").text(),
    variant_title: line.at("variant_title").text(),
    vendor: line.at("vendor").text(),
    quantity: quantity(line),
    price: line.required("price").decimal().text,
    discount: discount(line),
    requires_shipping: line.at("requires_shipping").flag(),
  };
}

/**
 * What is taken off a line: the sum of its `discount_allocations`, which Shopify recommends over `total_discount` because
 * discount codes are only found there; `total_discount` where there are none.
 */
export function discount(line: Field): string | null {
  const allocations = line.at("discount_allocations").objects() ?? [];
  const amounts = allocations.map((allocation) => allocation.required("amount").decimal().text);
  const [first] = amounts;
  if (first === undefined) return amount(line.at("total_discount"));
  if (amounts.length === 1) return first;
  return amounts.reduce((sum, text) => sum.plus(Amount.read(text, line.pointer), line.pointer), Amount.ZERO).text;
}

/** How many pieces a line is for. */
export function quantity(line: Field): number | bigint {
  const field = line.required("quantity");
  const value = field.value();
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) return value;
  if (typeof value === "bigint" && value >= 0n && value <= PIECES_MAX) return value;
  throw field.wrong("a whole number of pieces");
}

/** A customer; Shopify sends none for orders taken at a till without one. */
function customer(field: Field): Json {
  const customer = field.object();
  if (customer === null) return null;
  return {
    id: customer.required("id").digits(),
    email: customer.at("email").text(),
    first_name: customer.at("first_name").text(),
    last_name: customer.at("last_name").text(),
    phone: customer.at("phone").text(),
  };
}

function address(field: Field): Json {
  const address = field.object();
  if (address === null) return null;
  return Object.fromEntries(ADDRESS.map(([theirs, ours]) => [ours, address.at(theirs).text()]));
}

function amount(field: Field): string | null {
  return field.decimal()?.text ?? null;
}
