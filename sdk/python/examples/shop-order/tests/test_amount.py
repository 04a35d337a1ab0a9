"""Sums of money."""

import unittest

from shop_order.amount import Amount


def amount(text: str) -> Amount:
    parsed = Amount.parse(text)
    assert parsed is not None, text
    return parsed


class Amounts(unittest.TestCase):
    def test_what_cannot_be_exact_is_refused(self) -> None:
        texts = ["", "-", ".", "1e400", "1E2", "+1", "1.-2", "--1", " 1", "1_0", "1.2.3", "١", "1" * 5000, "170141183460469231731687303715884105728"]
        for text in texts:
            self.assertIsNone(Amount.parse(text), text)
        most = amount("170141183460469231731687303715884105727")
        self.assertIsNone(most.plus(amount("1")))
        self.assertIsNone(most.plus(amount("0.1")))
        self.assertIsNone(most.times(2))
        self.assertIsNone(amount("1").plus(amount(f"0.{'0' * 60}")))
        self.assertIsNone(amount("-170141183460469231731687303715884105728").minus(amount("-170141183460469231731687303715884105728")))

    def test_text_comes_back_as_it_was(self) -> None:
        for text in ["0", "0.00", "10.00", "-10.10", "-0.05", "0.1", "99999999999999999999.99"]:
            self.assertEqual(str(amount(text)), text)

    def test_sums_have_no_rounding_error(self) -> None:
        self.assertEqual(str(amount("0.1").plus(amount("0.2"))), "0.3")
        self.assertEqual(str(amount("409.94").minus(amount("398"))), "11.94")
        self.assertEqual(str(amount("1").minus(amount("1.005"))), "-0.005")
        self.assertEqual(str(amount("19.99").times(3)), "59.97")
