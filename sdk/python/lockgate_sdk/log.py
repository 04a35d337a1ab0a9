"""Lines in the host's log, marked with integration, message and plugin: `log.info("sent", records=3)`.

64 KiB a call; what is over is counted and dropped. `print` and the standard library's `logging` end up here as well: what is printed
to standard output as `info`, to standard error as `warn`, a record of `logging` at its own level, from `INFO` on unless the plugin
sets another.

>>> from lockgate_sdk import log, testing
>>> testing.Host().run(lambda: log.warn("left over", order="#1001")).lines
[Line(level=<Level.WARN: 3>, text='left over', fields=[('order', '#1001')])]

Depends on the host's `log`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from . import host


class Level(enum.IntEnum):
    """How much a line matters."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4


def write(level: Level, text: str, fields: Mapping[str, object] | None = None) -> None:
    """Writes one line with names and values beside the text."""
    host.current().log_write(level, text, [(name, str(value)) for name, value in (fields or {}).items()])


def trace(text: str, **fields: object) -> None:
    """Writes a line at level `trace`."""
    write(Level.TRACE, text, fields)


def debug(text: str, **fields: object) -> None:
    """Writes a line at level `debug`."""
    write(Level.DEBUG, text, fields)


def info(text: str, **fields: object) -> None:
    """Writes a line at level `info`."""
    write(Level.INFO, text, fields)


def warn(text: str, **fields: object) -> None:
    """Writes a line at level `warn`."""
    write(Level.WARN, text, fields)


def error(text: str, **fields: object) -> None:
    """Writes a line at level `error`."""
    write(Level.ERROR, text, fields)
