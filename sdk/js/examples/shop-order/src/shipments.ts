//! Splitting an order into shipments, and what each is worth.
//!
//! Lines that ship from the same place are one shipment: the same `fulfillment_service` (`manual`, or the provider's name) and
//! the same `origin_location.id`. Shipments are numbered in the order of their first lines. Lines that need no shipping travel
//! with the first shipment; an order without lines is one shipment.
//!
//! An order of one shipment is worth its `total_price`. In a split order each shipment is worth its lines (price × quantity −
//! discount), and the first also what belongs to the whole order (shipping, tax, discounts on the order), so that the shipments
//! always add up to `total_price` exactly.

import type { Field, Json } from "@lockgate/sdk";
import { Amount } from "./amount.ts";
import { discount, line, quantity } from "./canonical.ts";
import type { Order } from "./canonical.ts";

/** One shipment of an order. */
export interface Shipment {
  /** The canonical order's `shipment`. */
  description: Json;
  /** Canonical lines. */
  lines: Json[];
}

/** Where lines ship from, and the lines. */
interface Group {
  service: string | null;
  location: string | null;
  lines: Field[];
}

/** The shipments of `order`, at least one. */
export function split(order: Field, canonical: Order): Shipment[] {
  const groups = grouped(order.required("line_items").objects());
  const amounts = worths(groups, canonical.total);
  return groups.map(({ service, location, lines }, index) => {
    const number = index + 1;
    const description = {
      id: idOf(canonical.id, number),
      number,
      of: groups.length,
      fulfillment_service: service,
      location_id: location,
      amount: amounts[index] ?? null,
    };
    return { description, lines: lines.map(line) };
  });
}

/** The first shipment has the order's own id, so that a record made for it stays the same when the order is split later. */
function idOf(order: string, number: number): string {
  return number === 1 ? order : `${order}-${number}`;
}

function grouped(lines: Field[]): [Group, ...Group[]] {
  const groups: Group[] = [];
  const withoutShipping: Field[] = [];
  for (const line of lines) {
    if (line.at("requires_shipping").flag() === false) {
      withoutShipping.push(line);
      continue;
    }
    const location = line.at("origin_location").object()?.at("id").digits() ?? null;
    const service = line.at("fulfillment_service").text();
    const group = groups.find((group) => group.service === service && group.location === location);
    if (group === undefined) groups.push({ service, location, lines: [line] });
    else group.lines.push(line);
  }
  const [first = { service: null, location: null, lines: [] }, ...others] = groups;
  first.lines.push(...withoutShipping);
  return [first, ...others];
}

function worths(groups: [Group, ...Group[]], total: string): string[] {
  if (groups.length === 1) return [total];
  let rest = Amount.read(total, "/total_price");
  const [first, ...others] = groups.map((group) => {
    const worth = worthOf(group);
    rest = rest.minus(worth, "the sum of all lines");
    return worth;
  }) as [Amount, ...Amount[]];
  return [first.plus(rest, "the first shipment"), ...others].map((amount) => amount.text);
}

function worthOf({ lines }: Group): Amount {
  return lines.reduce((sum, line) => {
    const what = line.pointer;
    const price = Amount.read(line.required("price").decimal().text, what);
    const off = discount(line);
    const reduction = off === null ? Amount.ZERO : Amount.read(off, what);
    return sum.plus(price.times(quantity(line), what).minus(reduction, what), what);
  }, Amount.ZERO);
}
