"""The rules of `{{name}}`, failure cases first: through the same entry point that the host calls."""

import unittest
from typing import Any

from {{module}} import transform

from lockgate_sdk import testing

ORDER = {"number": "A-1001", "total": "12.50", "customer": {"email": " Ada@Example.com"}}


def run(order: dict[str, Any], config: dict[str, Any] | None = None) -> testing.Run:
    return testing.Host(config=config or {}).run(transform, testing.message(order))


class Rules(unittest.TestCase):
    def test_an_order_without_a_number_is_a_dead_letter_that_names_the_field(self) -> None:
        failure = run({"total": "12.50"}).failure
        assert failure is not None
        self.assertFalse(failure.is_transient)
        self.assertIn("/number", failure.detail)

    def test_an_email_of_another_type_is_a_dead_letter(self) -> None:
        failure = run({**ORDER, "customer": {"email": 7}}).failure
        assert failure is not None
        self.assertIn("/customer/email", failure.detail)

    def test_test_orders_are_skipped(self) -> None:
        self.assertEqual(run({"test": True}).skip.code, "test-order")

    def test_the_record_has_the_amount_digit_by_digit(self) -> None:
        expected = {"externalId": "A-1001", "email": "ada@example.com", "amount": "12.50", "currency": "EUR"}
        self.assertEqual(testing.json_of(run(ORDER).drafts[0]), expected)
        self.assertEqual(testing.json_of(run(ORDER, {"currency": "CHF"}).drafts[0])["currency"], "CHF")
