"""Why a call did not do its work, as exceptions.

Owns the two kinds of failure and the rule for exceptions nobody caught. Depends on nothing of this package.
"""

from __future__ import annotations

import math
from datetime import timedelta

#: The host keeps so much of a detail (`types.wit`).
DETAIL_BYTES_MAX = 4096
#: The most milliseconds a `retry-after` can say (`u64`).
_MILLISECONDS_MAX = 2**64 - 1


class Failure(Exception):
    """What a plugin raises when it could not do its work: `Transient` or `Permanent`. It decides between trying again and a dead letter."""

    #: Stable, lower-case with hyphens: `row-locked`. Groups dead letters.
    code: str
    #: What happened, for people. The host keeps 4 KiB.
    detail: str

    def __init__(self, code: str, detail: str) -> None:
        if type(self) is Failure:
            raise TypeError("raise Transient(…) or Permanent(…): a failure is one or the other")
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    @property
    def is_transient(self) -> bool:
        """Whether the host tries again."""
        return isinstance(self, Transient)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Permanent(Failure):
    """Trying again cannot work: the message becomes a dead letter at once, grouped by `code`. `detail` should say what would mend it.

    >>> raise Permanent("required-field-missing", "/currency is missing")
    Traceback (most recent call last):
    lockgate_sdk.failure.Permanent: required-field-missing: /currency is missing
    """


class Transient(Failure):
    """Trying again later may work: the host retries with growing, jittered waits until the integration's `give-up-after`.

    `retry_after` says not to before so many seconds, or that `timedelta`, if the target said so.

    >>> failure = Transient("row-locked", "another job holds the record", retry_after=1.5)
    >>> failure.retry_after_ms
    1500
    """

    #: Not to be tried again before this many milliseconds, if the target said so.
    retry_after_ms: int | None

    def __init__(self, code: str, detail: str, *, retry_after: float | timedelta | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after_ms = None if retry_after is None else milliseconds(retry_after)


def milliseconds(wait: float | timedelta, most: int = _MILLISECONDS_MAX) -> int:
    """`wait`, in seconds or as a `timedelta`, as whole milliseconds from 0 to `most`."""
    if isinstance(wait, timedelta):
        exact = wait // timedelta(milliseconds=1)
    elif math.isnan(wait):
        raise ValueError("a wait is a number of seconds")
    elif math.isinf(wait):
        exact = most if wait > 0 else 0
    else:
        exact = int(wait * 1000)
    return min(max(exact, 0), most)
