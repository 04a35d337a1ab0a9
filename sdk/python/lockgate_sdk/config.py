"""The configuration of the step a plugin runs as.

Depends on `shape` and on the host's `config`.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from . import exact_json, host
from .failure import Permanent
from .shape import Mismatch, shaped

T = TypeVar("T")


@overload
def config() -> dict[str, Any]: ...


@overload
def config(into: type[T]) -> T: ...


def config(into: Any = None) -> Any:
    """The step's configuration, as the integration gives it, with `{values.…}` filled in from the environment.

    Read into a dataclass where one is given: a field without a default has to be there, and a key that it does not have is noticed.
    A field `api_path` is the key `api-path`.

    >>> from dataclasses import dataclass
    >>> from lockgate_sdk import testing
    >>> @dataclass
    ... class Settings:
    ...     stage: str
    ...     api_path: str = "/v1"
    >>> testing.Host(config={"stage": "Prospecting"}).run(lambda: config(Settings)).output
    Settings(stage='Prospecting', api_path='/v1')
    >>> testing.Host(config={"stge": "Prospecting"}).run(lambda: config(Settings)).failure
    Permanent('config-invalid', 'the configuration of this step does not fit the plugin: /stage is missing')

    Fails permanently as `config-invalid` if it does not fit; the detail says where.
    """
    value = exact_json.read(host.current().config_get().encode())
    if into is None:
        return value
    try:
        return shaped(value, into, strict=True)
    except Mismatch as error:
        raise Permanent("config-invalid", f"the configuration of this step does not fit the plugin: {error}") from None
