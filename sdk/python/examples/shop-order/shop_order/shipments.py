"""Splitting an order into shipments, and what each is worth.

Lines that ship from the same place are one shipment: the same `fulfillment_service` (`manual`, or the provider's name) and the same
`origin_location.id`. Shipments are numbered in the order of their first lines. Lines that need no shipping travel with the first
shipment; an order without lines is one shipment.

An order of one shipment is worth its `total_price`. In a split order each shipment is worth its lines (price × quantity − discount), and
the first also what belongs to the whole order (shipping, tax, discounts on the order), so that the shipments always add up to
`total_price` exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lockgate_sdk import Field

from . import canonical
from .amount import Amount, out_of_range
from .canonical import Order


@dataclass(frozen=True)
class Place:
    """Where lines ship from."""

    fulfillment_service: str | None = None
    location_id: str | None = None


@dataclass(frozen=True)
class Shipment:
    """One shipment of an order."""

    id: str
    number: int
    of: int
    place: Place
    amount: str
    #: Canonical lines.
    lines: list[dict[str, Any]]

    def description(self) -> dict[str, Any]:
        """The canonical order's `shipment`."""
        return {
            "id": self.id,
            "number": self.number,
            "of": self.of,
            "fulfillment_service": self.place.fulfillment_service,
            "location_id": self.place.location_id,
            "amount": self.amount,
        }


@dataclass
class _Group:
    place: Place = Place()
    lines: list[Field] = field(default_factory=list)


def split(order: Field, canonical_order: Order) -> list[Shipment]:
    """The shipments of `order`, at least one.

    Fails as `required-field-missing` or `field-type-wrong` in a line, as `amount-out-of-range` where a sum would not be exact.
    """
    items = order.at("line_items")
    groups = _groups(items.required(items.objects()))
    amounts = _amounts(groups, canonical_order.total)
    return [
        Shipment(_id(canonical_order.id, number), number, len(groups), group.place, amount, [canonical.line(line) for line in group.lines])
        for number, (group, amount) in enumerate(zip(groups, amounts, strict=True), start=1)
    ]


def _id(order: str, number: int) -> str:
    """The first shipment has the order's own id, so that a record made for it stays the same when the order is split later."""
    return order if number == 1 else f"{order}-{number}"


def _groups(lines: list[Field]) -> list[_Group]:
    groups: list[_Group] = []
    without_shipping = []
    for line in lines:
        if line.at("requires_shipping").flag() is False:
            without_shipping.append(line)
            continue
        place = _place(line)
        group = next((group for group in groups if group.place == place), None)
        if group is None:
            groups.append(group := _Group(place))
        group.lines.append(line)
    if not groups:
        groups.append(_Group())
    groups[0].lines.extend(without_shipping)
    return groups


def _place(line: Field) -> Place:
    location = line.at("origin_location").object()
    location_id = None if location is None else location.at("id").digits()
    return Place(line.at("fulfillment_service").text(), location_id)


def _amounts(groups: list[_Group], total_price: str) -> list[str]:
    if len(groups) == 1:
        return [total_price]
    rest = _parse(total_price, "/total_price")
    amounts = []
    for group in groups:
        worth = _worth(group)
        rest = _exact(rest.minus(worth), "the sum of all lines")
        amounts.append(worth)
    amounts[0] = _exact(amounts[0].plus(rest), "the first shipment")
    return [str(amount) for amount in amounts]


def _worth(group: _Group) -> Amount:
    total = Amount()
    for line in group.lines:
        price = _parse(canonical.required_decimal(line, "price"), line.pointer)
        discount = canonical.discount(line)
        off = Amount() if discount is None else _parse(discount, line.pointer)
        gross = _exact(price.times(canonical.quantity(line)), line.pointer)
        total = _exact(total.plus(_exact(gross.minus(off), line.pointer)), line.pointer)
    return total


def _parse(text: str, pointer: str) -> Amount:
    return _exact(Amount.parse(text), pointer)


def _exact(amount: Amount | None, what: str) -> Amount:
    if amount is None:
        raise out_of_range(what)
    return amount
