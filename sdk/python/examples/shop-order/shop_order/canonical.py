"""Which field of Shopify's order becomes which field of the canonical one.

Every canonical field is always there: what Shopify leaves out or sends as `null` is `null`, never an empty text or a zero. Ids are text
of exactly their digits, amounts text of exactly their decimals. Field meanings:
<https://shopify.dev/docs/api/admin-rest/latest/resources/order>.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lockgate_sdk import Field

from .amount import Amount, out_of_range

if TYPE_CHECKING:
    from .shipments import Shipment

#: Shopify's name and ours.
_ADDRESS = {
    "name": "name",
    "company": "company",
    "address1": "line1",
    "address2": "line2",
    "city": "city",
    "zip": "postal_code",
    "province": "region",
    "country": "country",
    "country_code": "country_code",
    "phone": "phone",
}

#: The most a `quantity` may be: what 64 bits hold.
_QUANTITY_MAX = 2**64 - 1


@dataclass(frozen=True)
class Order:
    """The order without what differs between its shipments."""

    #: Digits of Shopify's order id.
    id: str
    #: `total_price`, exactly.
    total: str
    _head: dict[str, Any]
    _totals: dict[str, Any]

    @staticmethod
    def read(order: Field) -> Order:
        """Reads what all shipments share. Fails as `required-field-missing` or `field-type-wrong`, with the field's pointer."""
        id = _required_digits(order, "id")
        total = required_decimal(order, "total_price")
        head = {
            "id": id,
            "name": required_text(order, "name"),
            "created_at": required_text(order, "created_at"),
            "updated_at": order.at("updated_at").text(),
            "cancelled_at": order.at("cancelled_at").text(),
            "currency": required_text(order, "currency"),
            "financial_status": order.at("financial_status").text(),
            "source_name": order.at("source_name").text(),
            "email": order.at("email").text(),
            "phone": order.at("phone").text(),
            "note": order.at("note").text(),
            "tags": order.at("tags").text(),
            "customer": _customer(order.at("customer")),
            "billing_address": _address(order.at("billing_address")),
            "shipping_address": _address(order.at("shipping_address")),
        }
        totals = {
            "subtotal": order.at("subtotal_price").decimal(),
            "discounts": order.at("total_discounts").decimal(),
            "tax": order.at("total_tax").decimal(),
            "order": total,
        }
        return Order(id, total, head, totals)

    def with_shipment(self, shipment: Shipment) -> dict[str, Any]:
        """The canonical order for one of its shipments."""
        return {**self._head, "shipment": shipment.description(), "lines": shipment.lines, "totals": self._totals}


def line(line: Field) -> dict[str, Any]:
    """One line of the order. Fails as `Order.read`."""
    return {
        "id": _required_digits(line, "id"),
        "product_id": line.at("product_id").digits(),
        "variant_id": line.at("variant_id").digits(),
        "sku": line.at("sku").text(),
        "title": required_text(line, "title"),
        "variant_title": line.at("variant_title").text(),
        "vendor": line.at("vendor").text(),
        "quantity": quantity(line),
        "price": required_decimal(line, "price"),
        "discount": discount(line),
        "requires_shipping": line.at("requires_shipping").flag(),
    }


def discount(line: Field) -> str | None:
    """What is taken off a line: the sum of its `discount_allocations`, which Shopify recommends over `total_discount` because discount
    codes are only found there; `total_discount` where there are none.

    Fails as `Order.read`, and as `amount-out-of-range` where several allocations cannot be added exactly.
    """
    allocations = line.at("discount_allocations").objects() or []
    amounts = [required_decimal(allocation, "amount") for allocation in allocations]
    if not amounts:
        return line.at("total_discount").decimal()
    if len(amounts) == 1:
        return amounts[0]
    total: Amount | None = Amount()
    for text in amounts:
        amount = Amount.parse(text)
        total = total and amount and total.plus(amount)
    if total is None:
        raise out_of_range(line.pointer)
    return str(total)


def quantity(line: Field) -> int:
    """How many pieces a line is for. Fails as `Order.read`."""
    field = line.at("quantity")
    value = field.required(field.value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _QUANTITY_MAX:
        return value
    raise field.wrong("a whole number of pieces")


def _customer(field: Field) -> dict[str, Any] | None:
    """A customer; Shopify sends none for orders taken at a till without one."""
    customer = field.object()
    if customer is None:
        return None
    return {
        "id": _required_digits(customer, "id"),
        "email": customer.at("email").text(),
        "first_name": customer.at("first_name").text(),
        "last_name": customer.at("last_name").text(),
        "phone": customer.at("phone").text(),
    }


def _address(field: Field) -> dict[str, Any] | None:
    address = field.object()
    return None if address is None else {ours: address.at(theirs).text() for theirs, ours in _ADDRESS.items()}


def required_text(of: Field, name: str) -> str:
    """Text that has to be there. Fails as `Order.read`."""
    field = of.at(name)
    return field.required(field.text())


def required_decimal(of: Field, name: str) -> str:
    """An amount that has to be there. Fails as `Order.read`."""
    field = of.at(name)
    return field.required(field.decimal())


def _required_digits(of: Field, name: str) -> str:
    field = of.at(name)
    return field.required(field.digits())
