"""What a plugin prints, and what it writes with `logging`, as lines in the host's log.

Owns the streams that take the place of standard output and standard error during a call. Depends on `log`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any

from . import log

#: A line longer than this is written in pieces.
_LINE_CHARS_MAX = 8192


class LogStream(io.TextIOBase):
    """Collects what is printed, and writes a line of the log where one ends."""

    encoding = "utf-8"

    def __init__(self, level: log.Level) -> None:
        super().__init__()
        self._level = level
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            log.write(self._level, line)
        while len(self._line) > _LINE_CHARS_MAX:
            log.write(self._level, self._line[:_LINE_CHARS_MAX])
            self._line = self._line[_LINE_CHARS_MAX:]
        return len(text)

    def end(self) -> None:
        """Writes the line that has not ended."""
        if self._line:
            line, self._line = self._line, ""
            log.write(self._level, line)


@contextlib.contextmanager
def redirected() -> Iterator[None]:
    """Standard output, standard error and `logging` go into the log; and are put back."""
    streams = LogStream(log.Level.INFO), LogStream(log.Level.WARN)
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        undo = take_over_logging()
        try:
            yield
        finally:
            undo()
            for stream in streams:
                stream.end()


def take_over_logging() -> Any:
    """Has records of `logging` written to the log, if the plugin uses it; gives what undoes it."""
    logging = sys.modules.get("logging")
    if logging is None:
        return lambda: None

    class Handler(logging.Handler):  # type: ignore[misc,name-defined]
        def emit(self, record: Any) -> None:
            names = [log.Level.TRACE, log.Level.DEBUG, log.Level.INFO, log.Level.WARN, log.Level.ERROR]
            level = names[min(max(record.levelno // 10, 0), 4)]
            log.write(level, self.format(record), {"logger": record.name})

    root = logging.getLogger()
    kept = root.handlers[:], root.level
    # Handlers that print would say everything twice.
    root.handlers = [handler for handler in root.handlers if not _prints(logging, handler)] + [Handler()]
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)

    def undo() -> None:
        root.handlers = kept[0]
        root.setLevel(kept[1])

    return undo


def _prints(logging: Any, handler: Any) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)
