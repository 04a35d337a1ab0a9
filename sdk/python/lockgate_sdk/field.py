"""Reading a JSON document field by field, with failures that name the field by its JSON pointer (RFC 6901).

Depends on `failure` and on the numbers of `exact_json`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, TypeVar

from .exact_json import decimal_text
from .failure import Permanent
from .shape import escaped, kind

T = TypeVar("T")

#: JSON's own notation of a number (RFC 8259 §6).
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class _Nothing:
    """There is no such member."""


_NOTHING: Final = _Nothing()


class Field:
    """A place in a JSON document, whether or not something is there.

    Missing and `null` are the same to every reader: `None`. What is there but of another type is a permanent failure
    `field-type-wrong`, what is required and not there `required-field-missing`.

    >>> from lockgate_sdk import testing
    >>> order = Field(testing.message('{"id": 820982911946154508, "note": null, "customer": {"total": 10.00}}').json())
    >>> order.at("id").digits(), order.at("note").text(), order.at("customer").at("total").decimal()
    ('820982911946154508', None, '10.00')
    >>> name = order.at("name")
    >>> name.required(name.text())
    Traceback (most recent call last):
    lockgate_sdk.failure.Permanent: required-field-missing: /name is missing
    """

    __slots__ = ("_value", "pointer")

    #: The JSON pointer of this field, `/line_items/0/price`; empty for the document.
    pointer: str

    def __init__(self, document: Any, *, pointer: str = "") -> None:
        self._value = document
        self.pointer = pointer

    def at(self, name: str) -> Field:
        """The member `name`; nothing if this is no object. Ask `object` first where that would be a mistake."""
        value = self._value.get(name, _NOTHING) if isinstance(self._value, dict) else _NOTHING
        return Field(value, pointer=self.pointer + escaped(name))

    @property
    def value(self) -> Any:
        """The value as it stands; `None` if missing or `null`."""
        return None if self._value is _NOTHING else self._value

    def object(self) -> Field | None:
        """An object, to read members of. Fails as `field-type-wrong`."""
        if self.value is None:
            return None
        if isinstance(self.value, dict):
            return self
        raise self.wrong("an object")

    def objects(self) -> list[Field] | None:
        """The items of a list of objects; `None` if there is no list. Fails as `field-type-wrong`."""
        if self.value is None:
            return None
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        fields = [Field(item, pointer=f"{self.pointer}/{index}") for index, item in enumerate(self.value)]
        for field in fields:
            if not isinstance(field._value, dict):
                raise field.wrong("an object")
        return fields

    def text(self) -> str | None:
        """Text, exactly as it stands; an empty text is a text. Fails as `field-type-wrong`."""
        if self.value is None or isinstance(self.value, str):
            return self.value
        raise self.wrong("text")

    def flag(self) -> bool | None:
        """`True` or `False`. Fails as `field-type-wrong`."""
        if self.value is None or isinstance(self.value, bool):
            return self.value
        raise self.wrong("true or false")

    def integer(self) -> int | None:
        """A whole number, written as a number. Fails as `field-type-wrong`."""
        if self.value is None or (isinstance(self.value, int) and not isinstance(self.value, bool)):
            return self.value
        raise self.wrong("a whole number")

    def digits(self) -> str | None:
        """An id as text of exactly its digits, whether it was written as a number or as text, however long it is.

        Fails as `field-type-wrong`: anything but digits.
        """
        text = self._number_text("an id of digits")
        if text is None or (text.isascii() and text.isdigit()):
            return text
        raise self.wrong("an id of digits")

    def decimal(self) -> str | None:
        """A decimal as text of exactly its digits (`10.00` stays `10.00`), whether it was written as a number or as text.

        Fails as `field-type-wrong`: not a number in JSON's own notation (RFC 8259 §6).
        """
        text = self._number_text("a decimal")
        if text is None or _NUMBER.fullmatch(text):
            return text
        raise self.wrong("a decimal")

    def required(self, read: T | None) -> T:
        """What was `read` of it, which has to be there: `field.required(field.text())`. Fails as `required-field-missing`."""
        if read is not None:
            return read
        how = "missing" if self._value is _NOTHING else "null"
        raise Permanent("required-field-missing", f"{self.pointer or 'the document'} is {how}")

    def wrong(self, expected: str) -> Permanent:
        """The failure that this field is not what it should be, `field-type-wrong`, to raise."""
        found = "nothing" if self._value is _NOTHING else kind(self._value)
        other = "other " if found == expected else ""
        return Permanent("field-type-wrong", f"{self.pointer or 'the document'} should be {expected}, and is {other}{found}")

    def _number_text(self, expected: str) -> str | None:
        value = self.value
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, Decimal):
            return decimal_text(value)
        raise self.wrong(expected)

    def __repr__(self) -> str:
        return f"Field({self.pointer or 'the document'}: {'nothing' if self._value is _NOTHING else repr(self._value)})"
