"""Reading field by field."""

import unittest

from lockgate_sdk import Failure, Field, testing

DOCUMENT = testing.message(
    '{"null": null, "text": "x", "empty": "", "flag": true, "big": 820982911946154508123, "money": 10.00, "money_text": "10.00",'
    '"huge": 1e400, "list": [{"a": 1}, 2], "a/b~c": {"d": 1}, "spaced": " 1", "signed": "+1", "other digits": "١"}'
).json()


def at(name: str) -> Field:
    return Field(DOCUMENT).at(name)


class Fields(unittest.TestCase):
    def failing(self, read: object) -> Failure:
        with self.assertRaises(Failure) as raised:
            assert callable(read)
            read()
        self.assertFalse(raised.exception.is_transient)
        return raised.exception

    def test_what_is_required_and_missing_or_null_is_named_by_its_pointer(self) -> None:
        missing = at("customer").at("id")
        failure = self.failing(lambda: missing.required(missing.text()))
        self.assertEqual((failure.code, failure.detail), ("required-field-missing", "/customer/id is missing"))
        self.assertEqual(self.failing(lambda: at("null").required(at("null").text())).detail, "/null is null")

    def test_another_type_is_a_failure_and_never_a_none(self) -> None:
        self.assertEqual(self.failing(at("flag").text).detail, "/flag should be text, and is true or false")
        self.assertEqual(self.failing(at("list").objects).detail, "/list/1 should be an object, and is a number")
        for read in [at("text").flag, at("text").object, at("text").objects, at("flag").integer, at("money").integer, at("money").text]:
            self.assertEqual(self.failing(read).code, "field-type-wrong")
        for name in ["text", "empty", "money", "huge", "flag", "spaced", "signed", "other digits"]:
            self.assertEqual(self.failing(at(name).digits).code, "field-type-wrong", name)
        for name in ["text", "empty", "flag", "spaced", "signed", "other digits"]:
            self.assertEqual(self.failing(at(name).decimal).code, "field-type-wrong", name)
        self.assertEqual(self.failing(at("text").decimal).detail, "/text should be a decimal, and is text")

    def test_ids_and_decimals_keep_every_digit(self) -> None:
        self.assertEqual(at("big").digits(), "820982911946154508123")
        self.assertEqual((at("money").decimal(), at("money_text").decimal()), ("10.00", "10.00"))
        self.assertEqual((at("huge").decimal(), at("empty").text(), at("big").integer()), ("1e+400", "", 820982911946154508123))

    def test_pointers_are_escaped(self) -> None:
        self.assertEqual(at("a/b~c").at("d").pointer, "/a~1b~0c/d")
