"""Dates and times as they stand in messages, and time zones.

A component has a clock (virtual, see the page on plugins) and Python's `datetime` and `zoneinfo`, and no files: so a time zone is read when
the plugin starts, at the top of a module, and not during a call.

Depends on nothing of this package.
"""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def day(time: str) -> str | None:
    """The day of an RFC 3339 time, in the offset it was written in, which is the sender's own day. `None` where there is no such day.

    >>> day("2026-03-14T00:30:00+01:00"), day("2026-02-29T00:00:00Z")
    ('2026-03-14', None)
    """
    written, separator, _ = time.partition("T")
    found = _DAY.fullmatch(written)
    if not separator or found is None or not found[0].isascii():
        return None
    year, month, number = int(found[1]), int(found[2]), int(found[3])
    if not 1 <= month <= 12:
        return None
    # Python has no year 0, the calendar of RFC 3339 has; it is a leap year.
    days = calendar.monthrange(year or 4, month)[1]
    return written if 1 <= number <= days else None


def parse(time: str) -> datetime | None:
    """An RFC 3339 time with its offset; `None` for what is none. Digits beyond microseconds are cut.

    >>> parse("2026-03-14T09:26:53.5+01:00").isoformat()
    '2026-03-14T09:26:53.500000+01:00'
    >>> parse("14.03.2026") is None
    True
    """
    if _TIME.fullmatch(time) is None:
        return None
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        return None


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Call it at the top of a module: `BERLIN = zone("Europe/Berlin")`.

    >>> berlin = zone("Europe/Berlin")
    >>> parse("2026-07-01T10:00:00Z").astimezone(berlin).isoformat()
    '2026-07-01T12:00:00+02:00'

    In a component, zones come from the package `tzdata`; natively from the machine, or from the same package.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise LookupError(
            f"no time zone {name!r} can be read: in a component call zone() at the top of a module and name `tzdata` among the "
            "dependencies of pyproject.toml; natively install `tzdata`"
        ) from None


def of_milliseconds(since_1970: int) -> datetime:
    """The time of a message's `received_at_ms`, in UTC.

    >>> of_milliseconds(1_700_000_000_123).isoformat()
    '2023-11-14T22:13:20.123000+00:00'
    """
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=since_1970)
