"""What travels: messages in, drafts out.

Owns their shapes and how bodies are read and written. Depends on `failure` and `exact_json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from . import exact_json
from .failure import Permanent
from .shape import Mismatch, shaped

T = TypeVar("T")

#: Names and values in their order; names are lower-case.
Headers = list[tuple[str, str]]


def headers_of(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """`headers` as a list, names made lower-case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name.lower(), value) for name, value in pairs]


def first(headers: Headers, name: str) -> str | None:
    """The first value of the header `name`, whatever its case."""
    wanted = name.lower()
    return next((value for name, value in headers if name.lower() == wanted), None)


@dataclass(frozen=True)
class Message:
    """A message as the host accepted it, or as the step before gave it back."""

    #: The host's id: a UUID as text, the same on every retry.
    id: str
    #: What keeps messages in order.
    key: str | None
    #: Media type of `body`.
    content_type: str
    #: Headers the message was accepted with, without signatures and credentials.
    headers: Headers
    #: The bytes exactly as they were accepted.
    body: bytes
    #: When the host accepted it, in milliseconds since 1970-01-01T00:00:00Z.
    received_at_ms: int

    @overload
    def json(self) -> Any: ...

    @overload
    def json(self, into: type[T]) -> T: ...

    def json(self, into: Any = None) -> Any:
        """The body, read as JSON, without losing a digit; read into a dataclass where one is given.

        Integers are `int`, however long. Every other number is a `decimal.Decimal` that remembers how it was written, and is written
        back so: `10.00` stays `10.00`. Only an exponent is written anew, `1E400` as `1e+400`. Objects keep their order.

        >>> from lockgate_sdk import testing
        >>> testing.message('{"id": 820982911946154508, "total": 10.00}').json()
        {'id': 820982911946154508, 'total': Decimal('10.00')}

        Fails permanently as `body-invalid` if the body is not JSON, or does not fit `into`.
        """
        try:
            value = exact_json.read(self.body)
        except ValueError as error:
            raise Permanent("body-invalid", f"the body is not JSON: {error}") from None
        if into is None:
            return value
        try:
            return shaped(value, into, strict=False)
        except Mismatch as error:
            raise Permanent("body-invalid", f"the body does not have the expected shape: {error}") from None

    def text(self) -> str:
        """The body as text. Fails permanently as `body-invalid` if it is not UTF-8."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise Permanent("body-invalid", f"the body is not UTF-8: {error}") from None

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, whatever its case."""
        return first(self.headers, name)


@dataclass(frozen=True)
class Context:
    """What the host knows about this call."""

    #: 0 for the first attempt, then counting attempts that failed.
    attempt: int = 0
    #: 0, or how often an operator has replayed the message.
    replay: int = 0
    #: Hex text, the same on every retry of this message by this integration, different for everything else.
    idempotency_base: str = ""


@dataclass
class Draft:
    """What a plugin gives back for the host to make a message of.

    >>> Draft("text/plain", b"hello", headers={"X-Room": "ops"})
    Draft(content_type='text/plain', body=b'hello', headers=[('x-room', 'ops')], tracked=[])
    """

    content_type: str
    body: bytes
    #: For whoever reads the message next.
    headers: Headers = field(default_factory=list)
    #: Names and values by which people find the message: `lockgate messages --track order=#1001`.
    tracked: list[tuple[str, str]] = field(default_factory=list)

    def __init__(
        self,
        content_type: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tracked: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> None:
        self.content_type = content_type
        self.body = bytes(body)
        self.headers = headers_of(headers)
        self.tracked = list(tracked.items() if isinstance(tracked, Mapping) else tracked)

    @staticmethod
    def json(
        value: object,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tracked: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Draft:
        """A draft of `value` as JSON, `application/json`, every number digit by digit.

        >>> from decimal import Decimal
        >>> Draft.json({"total": Decimal("10.00")}, tracked={"order": "#1001"}).body
        b'{"total":10.00}'

        Fails permanently as `not-serializable` if `value` cannot be written as JSON.
        """
        return Draft("application/json", to_json(value), headers=headers, tracked=tracked)

    @staticmethod
    def text(
        text: str,
        *,
        content_type: str = "text/plain; charset=utf-8",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tracked: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Draft:
        """A draft of `text` in UTF-8."""
        return Draft(content_type, text.encode(), headers=headers, tracked=tracked)


def to_json(value: object) -> bytes:
    """`value` as JSON. Fails permanently as `not-serializable`."""
    try:
        return exact_json.write(value)
    except (TypeError, ValueError) as error:
        raise Permanent("not-serializable", f"cannot be written as JSON: {error}") from None
