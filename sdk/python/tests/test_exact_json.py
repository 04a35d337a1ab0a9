"""JSON that keeps every digit."""

import copy
import pickle
import unittest
from dataclasses import dataclass
from decimal import Decimal

from lockgate_sdk import Draft, Failure, testing
from lockgate_sdk.exact_json import read, write


def through(text: str) -> str:
    return write(read(text.encode())).decode()


class ReadingAndWriting(unittest.TestCase):
    def test_what_is_no_json_is_refused(self) -> None:
        bodies = [b"", b"{", b"<a/>", b"\xef\xbb\xbf{}", b"\xff", b"[1,]", b"{'a': 1}", b"[NaN]", b"[-Infinity]", b"[01]", b"[1.]", b"[+1]", b'["\t"]', b"[] []"]
        bodies += [b'["\\ud83d"]', b'["\\ude00\\ud83d"]', b'{"\\udc00": 1}', "[1\u00a0]".encode()]
        for body in bodies:
            with self.subTest(body), self.assertRaises(ValueError):
                read(body)

    def test_digits_the_order_of_keys_and_characters_pass_unchanged(self) -> None:
        for text in [
            '{"z":820982911946154508,"a":10.00,"m":1e+400,"b":-0.0,"c":-0,"😀":"<&>\\u0000\\"\\\\"}',
            "123456789012345678901234567890.012300",
            "0.00000000000000000000000001",
            "1" * 5000,
            "[1e-7,1.0e+2,0e+0]",
            "[true,false,null,[],{}]",
            '"\u2028 \u007f é"',
        ]:
            with self.subTest(text[:40]):
                self.assertEqual(through(text), text)

    def test_an_exponent_is_written_as_plugins_in_rust_write_it(self) -> None:
        self.assertEqual(through("[1E400,1E+5,1e5,1e-5,1E-05]"), "[1e+400,1e+5,1e+5,1e-5,1e-05]")

    def test_an_exponent_beyond_all_reason_is_passed_on_and_takes_no_memory(self) -> None:
        for text in ["1e+999999999999999999999999", "-1e+999999999999999999999999", "1e-999999999999999999999999", "1e+999999999"]:
            with self.subTest(text):
                self.assertEqual(through(text), text)

    def test_both_halves_of_a_character_may_be_escaped(self) -> None:
        self.assertEqual(through('"\\ud83d\\ude00"'), '"😀"')

    def test_a_key_that_comes_twice_has_the_last_value_at_the_first_place(self) -> None:
        self.assertEqual(through('{"a":1,"b":2,"a":3}'), '{"a":3,"b":2}')

    def test_nesting_is_bounded(self) -> None:
        def nested(depth: int) -> bytes:
            return b"[" * depth + b"]" * depth

        self.assertEqual(read(b'"' + b"[{" * 500 + b'"'), "[{" * 500)
        self.assertEqual(read(b"[" + b",".join([b"[]"] * 500) + b"]"), [[]] * 500)
        read(nested(127))
        for depth in (128, 100_000):
            with self.assertRaisesRegex(ValueError, "nested more than 127 deep"):
                read(nested(depth))

    def test_what_is_computed_of_numbers_keeps_their_digits(self) -> None:
        a, b = read(b"[10.10, 0.000]")
        self.assertEqual(write([a + b, a * 3, -a, Decimal("1E+2"), Decimal("1E-3")]), b"[10.100,30.30,-10.10,100,0.001]")
        self.assertEqual(write(Decimal("1E+500")), b"1e+500")

    def test_copies_of_numbers_are_written_alike(self) -> None:
        number = read(b"1E2")
        for other in (copy.copy(number), copy.deepcopy([number])[0], pickle.loads(pickle.dumps(number))):
            self.assertEqual(write(other), b"1e+2")

    def test_dataclasses_are_objects(self) -> None:
        @dataclass
        class Line:
            sku: str
            price: Decimal

        self.assertEqual(write({"lines": [Line("A", Decimal("1.50"))]}), b'{"lines":[{"sku":"A","price":1.50}]}')

    def test_what_json_has_no_form_for_fails_permanently(self) -> None:
        for value in [float("nan"), Decimal("Infinity"), {1, 2}, b"bytes", {("a",): 1}, "\ud800", object()]:
            with self.subTest(repr(value)), self.assertRaises(Failure) as raised:
                Draft.json({"value": value} if not isinstance(value, dict) else value)
            self.assertEqual((raised.exception.code, raised.exception.is_transient), ("not-serializable", False))

    def test_a_text_is_never_taken_for_a_number(self) -> None:
        with self.assertRaises(Failure):
            Draft.json(["\udc0112", Decimal(1)])
        self.assertEqual(Draft.json(["12", Decimal(1)]).body, b'["12",1]')


class Bodies(unittest.TestCase):
    def test_a_body_that_is_not_json_fails_permanently_and_says_where(self) -> None:
        with self.assertRaises(Failure) as raised:
            testing.message('{"id": ').json()
        self.assertEqual((raised.exception.code, raised.exception.is_transient), ("body-invalid", False))
        self.assertRegex(raised.exception.detail, "is not JSON.*line 1")

    def test_a_body_that_is_not_utf_8_has_no_text(self) -> None:
        with self.assertRaises(Failure) as raised:
            testing.message(b"\xff").text()
        self.assertEqual(raised.exception.code, "body-invalid")

    def test_a_body_is_read_into_a_dataclass(self) -> None:
        @dataclass
        class Order:
            name: str
            total: Decimal
            tags: list[str]
            note: str | None = None

        order = testing.message('{"name": "#1", "total": 10.00, "tags": ["a"], "more": 1}').json(Order)
        self.assertEqual((order.name, str(order.total), order.tags, order.note), ("#1", "10.00", ["a"], None))
        for body, where in [("[]", "the document should be an object, and is a list"), ('{"name": "#1", "tags": []}', "/total is missing"), ('{"name": "#1", "total": 1, "tags": [1]}', "/tags/0 should be text, and is a number"), ('{"name": true, "total": 1, "tags": []}', "/name should be text, and is true or false")]:
            with self.subTest(body), self.assertRaises(Failure) as raised:
                testing.message(body).json(Order)
            self.assertEqual(raised.exception.code, "body-invalid")
            self.assertIn(where, raised.exception.detail)
