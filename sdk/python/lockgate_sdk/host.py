"""The seam between the SDK and what is behind it: the component's imports, or the host made for tests.

Owns which of the two it is. Not for plugins. Depends on the shapes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .http import Error as HttpError
    from .http import Request, Response
    from .key_value import KeyPage
    from .log import Level
    from .message import Draft
    from .queue import Options


class HostFunctions(Protocol):
    """What a host offers; each function of the WIT package."""

    def config_get(self) -> str: ...

    def log_write(self, level: Level, text: str, fields: Sequence[tuple[str, str]]) -> None: ...

    def http_send(self, slot: str, request: Request) -> Response | HttpError: ...

    def http_send_all(self, slot: str, requests: Sequence[Request]) -> list[Response | HttpError]: ...

    def key_value_get(self, key: str) -> bytes | None: ...

    def key_value_set(self, key: str, value: bytes, ttl_ms: int | None) -> None: ...

    def key_value_delete(self, key: str) -> None: ...

    def key_value_list(self, prefix: str, cursor: str | None, limit: int) -> KeyPage: ...

    def key_value_compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> bool: ...

    def key_value_increment(self, key: str, delta: int) -> int: ...

    def queue_send(self, channel: str, draft: Draft, options: Options) -> None: ...


_current: HostFunctions | None = None


def current() -> HostFunctions:
    """The host of the call that runs."""
    if _current is None:
        raise RuntimeError("outside a component the host's functions work only inside lockgate_sdk.testing.Host.run")
    return _current


def enter(host: HostFunctions | None) -> None:
    """Makes `host` the one that is asked; `None` for none."""
    global _current
    _current = host
