"""One call of a plugin: its function run, what it gives back put into one form, and every exception made a failure.

The component and the host made for tests go through it alike. Owns the code `uncaught-exception`. Depends on `role` and `failure`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from .failure import DETAIL_BYTES_MAX, Failure, Permanent
from .message import Context, Draft, Message
from .role import Page, Receipt, Skip

#: So many places of a traceback are told.
_FRAMES_MAX = 6
_SDK = __name__.rpartition(".")[0]


def set_up(function: Any) -> None:
    """Raises `Failure` and nothing else."""
    try:
        function()
    except Failure:
        raise
    except BaseException as error:
        raise uncaught(error) from error


def transform(function: Any, message: Message, context: Context) -> list[Draft] | Skip:
    """Raises `Failure` and nothing else."""
    try:
        output = function(message, context)
        if isinstance(output, Skip):
            return output
        if isinstance(output, Draft):
            return [output]
        if isinstance(output, Iterable) and not isinstance(output, (str, bytes, dict)):
            drafts = list(output)
            if all(isinstance(draft, Draft) for draft in drafts):
                return drafts
            output = next(draft for draft in drafts if not isinstance(draft, Draft))
        raise wrong_result(function, output, "a Draft, several, or a Skip")
    except Failure:
        raise
    except BaseException as error:
        raise uncaught(error) from error


def deliver(function: Any, message: Message, context: Context) -> Receipt | Skip:
    """Raises `Failure` and nothing else."""
    try:
        return delivered(function, function(message, context))
    except Failure:
        raise
    except BaseException as error:
        raise uncaught(error) from error


def deliver_batch(function: Any, messages: list[Message], context: Context) -> list[Receipt | Skip | Failure]:
    """Raises what the function raises where there are several messages and it is no `Failure`: the host then finds the one to blame."""
    try:
        given = list(function(messages, context))
        results = [result if isinstance(result, Failure) else delivered(function, result) for result in given]
        if len(results) != len(messages):
            raise ValueError(f"{function.__name__} gave {len(results)} results for {len(messages)} messages")
        return results
    except Failure as failure:
        return [failure] * len(messages)
    except BaseException as error:
        if len(messages) != 1:
            raise
        return [uncaught(error)]


def poll(function: Any, cursor: str | None) -> Page:
    """Raises `Failure` and nothing else."""
    try:
        page = function(cursor)
        if isinstance(page, Page):
            return page
        raise wrong_result(function, page, "a Page")
    except Failure:
        raise
    except BaseException as error:
        raise uncaught(error) from error


def delivered(function: Any, result: Any) -> Receipt | Skip:
    if result is None:
        return Receipt()
    if isinstance(result, (Receipt, Skip)):
        return result
    raise wrong_result(function, result, "a Receipt, a Skip or None")


def wrong_result(function: Any, result: Any, wanted: str) -> TypeError:
    return TypeError(f"{function.__name__} gave {type(result).__name__} back, and not {wanted}")


def uncaught(error: BaseException) -> Permanent:
    """The failure of a call that ended with `error`: its text, and where it came from, innermost first.

    `KeyError: 'customer' at orders.py:12 in read: order["customer"]; from orders.py:30 in transform`
    """
    tracked = list(traceback.extract_tb(error.__traceback__))
    frames = [frame for frame in tracked if PurePath(frame.filename).parent.name != _SDK]
    places = [f"{_file(frame.filename)}:{frame.lineno} in {frame.name}" for frame in reversed(frames[-_FRAMES_MAX:])]
    line = frames[-1].line if frames else None
    said = "".join(traceback.format_exception_only(error)).strip().replace("\n", " ")
    detail = said if isinstance(error, SyntaxError) or not places else f"{said} at {places[0]}" + (f": {line}" if line else "")
    detail += "".join(f"; from {place}" for place in places[1:])
    return Permanent("uncaught-exception", _cut(detail))


def _file(name: str) -> str:
    """`/0/orders/lines.py`, as files are named inside a component, as the author knows it: `orders/lines.py`."""
    parts = PurePath(name).parts
    if len(parts) > 2 and parts[0] == "/" and parts[1].isdigit():
        return "/".join(parts[2:])
    return "/".join(parts[-2:])


def _cut(text: str) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= DETAIL_BYTES_MAX else data[:DETAIL_BYTES_MAX].decode(errors="ignore")
