"""A small durable map that belongs to the integration.

This call sees its writes at once, others when the delivery settles; if it does not settle, they never were. A plugin that imports this
module asks for the grant `key-value`.

>>> from lockgate_sdk import key_value, testing
>>> def count() -> int:
...     return key_value.increment("seen", 1)
>>> run = testing.Host(key_values={"seen": b"41"}).run(count)
>>> run.output, run.key_values
(42, {'seen': b'42'})

Depends on `failure` and on the host's `key-value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from . import host
from .failure import Permanent, milliseconds


class Error(Permanent):
    """Why an operation was not done."""


class InvalidKey(Error):
    """The key is empty, longer than 512 bytes or holds a NUL."""

    def __init__(self) -> None:
        super().__init__("key-value-invalid-key", "a key is empty, longer than 512 bytes or holds a NUL")


class ValueTooLarge(Error):
    """The value is larger than 1 MiB."""

    def __init__(self) -> None:
        super().__init__("key-value-too-large", "a value is larger than 1 MiB")


class QuotaExceeded(Error):
    """The integration's quota is used up."""

    def __init__(self) -> None:
        super().__init__("key-value-quota-exceeded", "the integration's key-value quota is used up: delete keys, or set a TTL")


class NotANumber(Error):
    """The stored value is not a decimal integer, or the sum does not fit."""

    def __init__(self) -> None:
        super().__init__("key-value-not-a-number", "the value to count on is no decimal integer, or the sum does not fit")


@dataclass(frozen=True)
class KeyPage:
    """One page of keys."""

    #: In byte order.
    keys: list[str]
    #: Hand this back to get the next page; `None` when this was the last.
    cursor: str | None


def get(key: str) -> bytes | None:
    """The value of `key`, or `None`. Raises an `Error`."""
    return host.current().key_value_get(key)


def set(key: str, value: bytes | str, *, ttl: float | timedelta | None = None) -> None:
    """Sets `key`; with `ttl` (seconds) the value is gone when that is over, counted from the moment the delivery settled. Raises an `Error`."""
    host.current().key_value_set(key, _bytes(value), None if ttl is None else milliseconds(ttl))


def delete(key: str) -> None:
    """Deletes `key`; that it was not there is no error. Raises an `Error`."""
    host.current().key_value_delete(key)


def list(prefix: str, *, cursor: str | None = None, limit: int = 1000) -> KeyPage:
    """Keys that start with `prefix`, at most `limit` (1 to 1,000). Raises an `Error`."""
    return host.current().key_value_list(prefix, cursor, limit)


def compare_and_swap(key: str, expected: bytes | str | None, value: bytes | str) -> bool:
    """Sets `key` to `value` if it now holds `expected` (`None`: if it is absent); tells whether it did. Raises an `Error`."""
    return host.current().key_value_compare_and_swap(key, None if expected is None else _bytes(expected), _bytes(value))


def increment(key: str, delta: int = 1) -> int:
    """Adds `delta` to the decimal integer at `key` (0 if absent) and gives the sum. Raises an `Error`."""
    if not -(2**63) <= delta < 2**63:
        raise NotANumber
    return host.current().key_value_increment(key, delta)


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
