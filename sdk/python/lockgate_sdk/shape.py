"""JSON values read into dataclasses by their type hints.

Owns which hints are understood: `str`, `int`, `bool`, `float`, `Decimal`, `list[…]`, `dict[str, …]`, `X | None`, `Literal[…]`, enums,
dataclasses of these, and `Any`. Depends on nothing of this package.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from decimal import Decimal
from typing import Any

_WORDS = {str: "text", int: "a whole number", bool: "true or false", float: "a number", Decimal: "a number"}


class Mismatch(Exception):
    """A value that does not fit; the text says where and why."""


def shaped(value: Any, hint: Any, *, strict: bool) -> Any:
    """`value` as `hint` wants it. With `strict`, an object with a member the dataclass does not know does not fit.

    A field of a dataclass is the member of its name, or of its name with hyphens: `api_path` is `api-path`.

    Raises `Mismatch` where the value does not fit, and `TypeError` where the hint is none that is understood.
    """
    return _Reader(strict).read(value, hint, "")


class _Reader:
    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def read(self, value: Any, hint: Any, pointer: str) -> Any:
        if hint is Any or hint is object:
            return value
        if hint is None or hint is type(None):
            return self.wanted(value is None, value, "null", pointer)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.members(value, hint, pointer)
        if hint in _WORDS:
            return self.plain(value, hint, pointer)
        return self.composed(value, hint, pointer)

    def plain(self, value: Any, hint: Any, pointer: str) -> Any:
        is_flag = isinstance(value, bool)
        if hint in (float, Decimal):
            fits = isinstance(value, (int, Decimal)) and not is_flag
            return hint(self.wanted(fits, value, _WORDS[hint], pointer)) if not isinstance(value, hint) else value
        return self.wanted(isinstance(value, hint) and is_flag == (hint is bool), value, _WORDS[hint], pointer)

    def composed(self, value: Any, hint: Any, pointer: str) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return self.one_of(value, arguments, pointer)
        if origin is typing.Literal:
            fits = any(value == word and type(value) is type(word) for word in arguments)
            return self.wanted(fits, value, "one of " + ", ".join(map(repr, arguments)), pointer)
        if origin is list or hint is list:
            of = arguments[0] if arguments else Any
            items = self.wanted(isinstance(value, list), value, "a list", pointer)
            return [self.read(item, of, f"{pointer}/{index}") for index, item in enumerate(items)]
        if origin is dict or hint is dict:
            of = arguments[1] if arguments else Any
            members = self.wanted(isinstance(value, dict), value, "an object", pointer)
            return {name: self.read(member, of, pointer + escaped(name)) for name, member in members.items()}
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            words = [member.value for member in hint]
            return hint(self.wanted(value in words, value, "one of " + ", ".join(map(repr, words)), pointer))
        raise TypeError(f"{hint!r} is no type that JSON can be read into: use str, int, bool, Decimal, list, dict, a dataclass or Any")

    def one_of(self, value: Any, hints: tuple[Any, ...], pointer: str) -> Any:
        problems = []
        for hint in hints:
            try:
                return self.read(value, hint, pointer)
            except Mismatch as problem:
                problems.append((hint, problem))
        # Of `X | None`, what X says is the better reason.
        raise next((problem for hint, problem in problems if hint is not type(None)), problems[0][1])

    def members(self, value: Any, hint: type, pointer: str) -> Any:
        members = self.wanted(isinstance(value, dict), value, "an object", pointer)
        hints = typing.get_type_hints(hint)
        found = {}
        for field in dataclasses.fields(hint):
            names = [name for name in (field.name, field.name.replace("_", "-")) if name in members]
            if names:
                found[field.name] = self.read(members[names[0]], hints[field.name], pointer + escaped(names[0]))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise Mismatch(f"{pointer + escaped(field.name)} is missing")
        if self.strict:
            known = {spelling for field in dataclasses.fields(hint) for spelling in (field.name, field.name.replace("_", "-"))}
            for name in members:
                if name not in known:
                    raise Mismatch(f"{pointer + escaped(name)} is not known; there is {', '.join(sorted(known)) or 'nothing'}")
        return hint(**found)

    def wanted(self, fits: bool, value: Any, what: str, pointer: str) -> Any:
        if fits:
            return value
        raise Mismatch(f"{pointer or 'the document'} should be {what}, and is {kind(value)}")


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float, Decimal)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else type(value).__name__


def escaped(name: str) -> str:
    """The step of a JSON pointer to the member `name` (RFC 6901): `/a~1b`."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
