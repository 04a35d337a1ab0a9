"""Why a build ends without a component: what, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Problem(Exception):
    """For people. `file` is relative to the plugin's folder, `line` and `column` count from 1."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    #: The line of the source.
    text: str | None = None
    fix: str | None = None
    #: What Python or the tool said in full.
    traceback: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        lines = [f"{place}: {self.message}" if place else self.message]
        if self.text and self.text.strip():
            lines.append(f"    {self.text.strip()}")
        if self.traceback:
            lines += ["", self.traceback.rstrip()]
        if self.fix:
            lines.append(f"fix: {self.fix}")
        return "\n".join(lines)
