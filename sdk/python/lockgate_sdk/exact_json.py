"""JSON that keeps every digit.

Owns how numbers are read and written. The work is done by the standard library's `json`, which is written in C; this module only
hands it the numbers it would round. Depends on nothing of this package.

>>> write(read(b'{"a":10.00,"b":820982911946154508123,"c":-0,"d":1E400}'))
b'{"a":10.00,"b":820982911946154508123,"c":-0,"d":1e+400}'
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

#: A document nested this deep is refused, before a parser runs out of stack.
DEPTH_MAX = 127
#: Python converts no longer text to an `int` (`sys.set_int_max_str_digits`).
_INT_DIGITS_MAX = 4300
#: A decimal further than this from its point is written with an exponent, not with that many zeros.
_ZEROS_MAX = 64

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class Number(Decimal):
    """A decimal that remembers how it was written. What is computed of it is a plain `Decimal`."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        try:
            self = super().__new__(cls, text)
        except InvalidOperation:
            # An exponent beyond all reason. To count with it is hopeless; to pass it on is not.
            self = super().__new__(cls, "-Infinity" if text.startswith("-") else "Infinity")
        self.text = _exponent_written_anew(text)
        return self

    def __repr__(self) -> str:
        return f"Decimal('{self.text}')"

    def __reduce__(self) -> Any:
        return (Number, (self.text,))

    def __copy__(self) -> Number:
        return self

    def __deepcopy__(self, memo: object) -> Number:
        return self


def _exponent_written_anew(text: str) -> str:
    """`1E5` as `1e+5`: the way of `lockgate-sdk` for Rust, so that a message is the same whatever a plugin is written in."""
    mantissa, letter, exponent = text.replace("E", "e").partition("e")
    if not letter or exponent[0] in "+-":
        return mantissa + letter + exponent
    return f"{mantissa}e+{exponent}"


def _integer(text: str) -> int | Number:
    # An `int` has no sign at zero, and no more digits than Python would convert.
    return Number(text) if text == "-0" or len(text) > _INT_DIGITS_MAX else int(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=_integer, parse_constant=_no_constant)


def read(body: bytes) -> Any:
    """`body` as a value: `dict`, `list`, `str`, `int`, `Decimal`, `bool` or `None`.

    Raises `ValueError` where it is not JSON (RFC 8259), not UTF-8, or nested more than 127 deep.
    """
    text = body.decode()
    if _depth(body) > DEPTH_MAX:
        raise ValueError(f"nested more than {DEPTH_MAX} deep")
    if text.startswith("\ufeff"):
        raise ValueError("a byte order mark before the document: line 1 column 1 (char 0)")
    value = _DECODER.decode(text)
    if _SURROGATE_ESCAPE.search(body):
        _require_whole_characters(value)
    return value


def _depth(body: bytes) -> int:
    """How deep the brackets of `body` are nested. At most what is found without looking closer."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return 0
    depth = deepest = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _require_whole_characters(value: Any) -> None:
    """Refuses `\\ud800` without its other half: no text in UTF-8 can hold it."""
    try:
        write(value)
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair") from None


# Python's encoder writes decimals as nothing it knows. They go in as strings between characters that no text in UTF-8 has, and
# come out without the quotes.
_OPEN, _CLOSE = "\udc01", "\udc02"
_MARKED = re.compile(f'"{_OPEN}([-+.0-9e]+){_CLOSE}"')


class _Encoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        if isinstance(o, Decimal):
            return f"{_OPEN}{decimal_text(o)}{_CLOSE}"
        if dataclasses.is_dataclass(o) and not isinstance(o, type):
            return {field.name: getattr(o, field.name) for field in dataclasses.fields(o)}
        if isinstance(o, enum.Enum):
            return o.value
        return super().default(o)


_ENCODER = _Encoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write(value: object) -> bytes:
    """`value` as JSON without white space, in UTF-8: what `read` gives, and besides dataclasses, enums and floats.

    Raises `TypeError` or `ValueError` where it is nothing of that.
    """
    text = _ENCODER.encode(value)
    if _OPEN in text:
        text = _MARKED.sub(r"\1", text)
    return text.encode()


def decimal_text(number: Decimal) -> str:
    """`number` as JSON writes it: as it was read, or all of its digits.

    >>> decimal_text(Decimal("10.10") + Decimal("0.000"))
    '10.100'
    """
    if isinstance(number, Number):
        return number.text
    if not number.is_finite():
        raise ValueError(f"{number} is no JSON number")
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    if -_ZEROS_MAX <= number.adjusted() and exponent <= _ZEROS_MAX:
        return format(number, "f")
    return _exponent_written_anew(str(number))
