"""The rules of `shop-order`, failure cases first, over the orders in `examples/shop-to-crm/orders`."""

from __future__ import annotations

import copy
import unittest
from decimal import Decimal
from pathlib import Path
from typing import Any

from shop_order import transform

from lockgate_sdk import Draft, Failure, exact_json, testing

ORDERS = Path(__file__).parents[5] / "examples" / "shop-to-crm" / "orders"

REQUIRED = [
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
]

#: Where an optional field of Shopify's goes, by pointers.
OPTIONAL = {
    "/updated_at": "/updated_at",
    "/cancelled_at": "/cancelled_at",
    "/financial_status": "/financial_status",
    "/source_name": "/source_name",
    "/email": "/email",
    "/phone": "/phone",
    "/note": "/note",
    "/tags": "/tags",
    "/customer": "/customer",
    "/customer/email": "/customer/email",
    "/customer/first_name": "/customer/first_name",
    "/customer/last_name": "/customer/last_name",
    "/customer/phone": "/customer/phone",
    "/billing_address": "/billing_address",
    "/billing_address/city": "/billing_address/city",
    "/shipping_address/zip": "/shipping_address/postal_code",
    "/subtotal_price": "/totals/subtotal",
    "/total_discounts": "/totals/discounts",
    "/total_tax": "/totals/tax",
    "/line_items/0/sku": "/lines/0/sku",
    "/line_items/0/product_id": "/lines/0/product_id",
    "/line_items/0/vendor": "/lines/0/vendor",
    "/line_items/0/total_discount": "/lines/0/discount",
    "/line_items/0/requires_shipping": "/lines/0/requires_shipping",
}


def example(name: str) -> Any:
    return exact_json.read((ORDERS / f"{name}.json").read_bytes())


def run(order: Any) -> testing.Run:
    return testing.Host().run(transform, testing.message(order if isinstance(order, str) else exact_json.write(order)))


def drafts(order: Any) -> list[Draft]:
    return run(order).drafts


def canonical(order: Any) -> list[Any]:
    return [exact_json.read(draft.body) for draft in drafts(order)]


def failing(order: Any) -> Failure:
    failure = run(order).failure
    assert failure is not None
    assert not failure.is_transient, f"nothing in an order changes by waiting: {failure}"
    return failure


def at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def changed(order: Any, pointer: str, value: Any) -> Any:
    order = copy.deepcopy(order)
    parent, _, name = pointer.rpartition("/")
    within = at(order, parent)
    within[int(name) if isinstance(within, list) else name] = value
    return order


def without(order: Any, pointer: str) -> Any:
    order = copy.deepcopy(order)
    parent, _, name = pointer.rpartition("/")
    del at(order, parent)[name]
    return order


class Failures(unittest.TestCase):
    def test_a_body_that_is_no_order_fails_permanently(self) -> None:
        for body in ["", "{", "<order/>", "\ufeff{}"]:
            self.assertEqual(failing(body).code, "body-invalid", body)
        for body in ["[]", "null", "7", '{"order": []}']:
            self.assertEqual(failing(body).code, "field-type-wrong", body)
        self.assertEqual(failing("{}").detail, "/name is missing")

    def test_a_required_field_missing_or_null_fails_with_its_pointer(self) -> None:
        for pointer in REQUIRED:
            for order, how in [(without(example("plain"), pointer), "missing"), (changed(example("plain"), pointer, None), "null")]:
                failure = failing(order)
                self.assertEqual((failure.code, failure.detail), ("required-field-missing", f"{pointer} is {how}"))

    def test_pointers_into_a_wrapped_order_start_at_the_wrapper(self) -> None:
        self.assertEqual(failing({"order": without(example("plain"), "/currency")}).detail, "/order/currency is missing")

    def test_a_field_of_another_type_fails_with_its_pointer_and_is_never_nulled(self) -> None:
        for pointer in [*REQUIRED, *OPTIONAL, "/test"]:
            failure = failing(changed(example("plain"), pointer, ["unexpected"]))
            self.assertEqual(failure.code, "field-type-wrong", pointer)
            self.assertIn(failure.detail.split(" ")[0], (pointer, f"{pointer}/0"))

    def test_amounts_and_ids_that_are_none_are_refused(self) -> None:
        cases: list[tuple[str, Any]] = [
            ("/total_price", "12,50"),
            ("/total_price", ""),
            ("/total_price", "€ 5"),
            ("/id", Decimal("12.5")),
            ("/id", -1),
            ("/id", "gid://shopify/Order/1"),
            ("/line_items/0/quantity", "2"),
            ("/line_items/0/quantity", Decimal("1.5")),
            ("/line_items/0/quantity", -1),
            ("/line_items/0/quantity", True),
            ("/line_items/0/quantity", 2**64),
        ]
        for pointer, value in cases:
            self.assertEqual(failing(changed(example("plain"), pointer, value)).code, "field-type-wrong", (pointer, value))

    def test_a_split_order_whose_sum_would_not_be_exact_is_refused(self) -> None:
        for pointer in ["/total_price", "/line_items/1/price", "/line_items/1/discount_allocations/0/amount"]:
            order = changed(example("split"), pointer, exact_json.read(b"1e400"))
            self.assertEqual(failing(order).code, "amount-out-of-range", pointer)


class Orders(unittest.TestCase):
    def test_an_optional_field_missing_or_null_is_null_and_stays_visible(self) -> None:
        for theirs, ours in OPTIONAL.items():
            for order in [without(example("plain"), theirs), changed(example("plain"), theirs, None)]:
                self.assertIsNone(at(canonical(order)[0], ours), theirs)

    def test_empty_text_stays_empty_text(self) -> None:
        self.assertEqual(canonical(changed(example("plain"), "/note", ""))[0]["note"], "")

    def test_a_test_order_is_skipped_with_a_reason(self) -> None:
        self.assertEqual(run(example("test-order")).skip.code, "test-order")

    def test_wrapped_and_bare_orders_become_the_same(self) -> None:
        self.assertEqual(drafts({"order": example("plain")}), drafts(example("plain")))

    def test_a_plain_order_becomes_one_canonical_order(self) -> None:
        (draft,) = drafts(example("plain"))
        self.assertEqual((draft.content_type, draft.tracked), ("application/json", [("order", "#1001")]))
        order = exact_json.read(draft.body)
        self.assertEqual(order["customer"]["id"], "6940095")
        shipment = {"id": "450801001", "number": 1, "of": 1, "fulfillment_service": "manual", "location_id": None, "amount": "64.85"}
        self.assertEqual(order["shipment"], shipment)
        self.assertEqual(order["totals"], {"subtotal": "59.90", "discounts": "0.00", "tax": "10.40", "order": "64.85"})
        self.assertEqual(order["lines"][0]["quantity"], 2)

    def test_ids_above_2_to_the_53_arrive_digit_by_digit(self) -> None:
        (order,) = canonical(example("big-id"))
        self.assertEqual((order["id"], order["customer"]["id"]), ("820982911946154508", "9007199254740993"))
        self.assertEqual((order["lines"][0]["id"], order["lines"][0]["variant_id"]), ("9223372036854775783", "9007199254740995"))

    def test_amounts_arrive_as_exactly_their_decimals_however_they_are_written(self) -> None:
        long = "123456789012345678901234567890.01"
        for written, text in [('"10.00"', "10.00"), ("10.00", "10.00"), ("0.10", "0.10"), (long, long), ("1E2", "1e+2")]:
            (order,) = canonical(changed(example("plain"), "/total_price", exact_json.read(written.encode())))
            self.assertEqual((order["totals"]["order"], order["shipment"]["amount"]), (text, text))

    def test_emoji_and_characters_special_to_xml_arrive_unchanged(self) -> None:
        order = example("emoji-xml")
        (made,) = canonical(order)
        for theirs, ours in {
            "/note": "/note",
            "/tags": "/tags",
            "/customer/first_name": "/customer/first_name",
            "/customer/last_name": "/customer/last_name",
            "/billing_address/company": "/billing_address/company",
            "/billing_address/address1": "/billing_address/line1",
            "/line_items/0/title": "/lines/0/title",
            "/line_items/0/sku": "/lines/0/sku",
        }.items():
            self.assertEqual(at(made, ours), at(order, theirs), theirs)

    def test_every_example_is_read(self) -> None:
        for name in ["plain", "big-id", "nulls", "emoji-xml", "split", "poison"]:
            self.assertTrue(drafts(example(name)), name)


class Shipments(unittest.TestCase):
    def test_a_split_order_becomes_one_canonical_order_per_shipment_that_add_up(self) -> None:
        first, second = canonical(example("split"))
        self.assertEqual([line["sku"] for line in first["lines"]], ["LAMP-BRASS", "WICK-10", "GUIDE-PDF"])
        self.assertEqual([line["sku"] for line in second["lines"]], ["BOAT-KIT"])
        self.assertEqual(second["lines"][0]["discount"], "24.90")
        # 249.00 − 20.00 − 4.90, and the rest of 309.44: the other lines and 4.95 for shipping.
        self.assertEqual((first["shipment"]["amount"], second["shipment"]["amount"]), ("85.34", "224.10"))
        self.assertEqual((first["shipment"]["id"], second["shipment"]["id"]), ("450801005", "450801005-2"))
        self.assertEqual((second["shipment"]["number"], second["shipment"]["of"]), (2, 2))
        self.assertEqual(second["shipment"]["fulfillment_service"], "north-sea-logistics")
        for name in first.keys() - {"shipment", "lines"}:
            self.assertEqual(first[name], second[name])

    def test_lines_from_two_locations_are_two_shipments(self) -> None:
        order = example("split")
        for line, location in zip(order["line_items"], [487838322, 487838322, 905684977], strict=False):
            line["fulfillment_service"] = "manual"
            line["origin_location"] = {"id": location, "name": "Depot"}
        shipments = canonical(order)
        self.assertEqual((len(shipments), shipments[1]["shipment"]["location_id"]), (2, "905684977"))

    def test_an_order_of_downloads_or_without_lines_is_one_shipment(self) -> None:
        (downloads,) = canonical(changed(example("plain"), "/line_items/0/requires_shipping", False))
        self.assertEqual(len(downloads["lines"]), 1)
        (empty,) = canonical(changed(example("plain"), "/line_items", []))
        self.assertEqual(empty["lines"], [])
