"""Appends to channels of the host. What is sent becomes a message when the delivery settles, or never.

A plugin that imports this module asks for the grant `queue`.

>>> from lockgate_sdk import Draft, queue, testing
>>> run = testing.Host().run(lambda: queue.send("audit", Draft.text("hi"), dedup_token="42"))
>>> run.queued[0].channel, run.queued[0].draft.body
('audit', b'hi')

Depends on `message`, `failure` and on the host's `queue`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from . import host
from .failure import Permanent, milliseconds
from .message import Draft


@dataclass(frozen=True)
class Options:
    """How a message is sent."""

    #: Readers get the message this many milliseconds after the delivery settled.
    delay_ms: int | None = None
    #: A second message with the same token on the same channel is dropped (kept for 7 days).
    dedup_token: str | None = None


class Error(Permanent):
    """Why the message was not taken."""


class NoSuchChannel(Error):
    """No integration reads such a channel, or the integration may not write to it."""

    def __init__(self) -> None:
        super().__init__("queue-no-such-channel", "no integration reads the channel, or this one may not write to it")


class TooLarge(Error):
    """The body is over the limit (4 MiB)."""

    def __init__(self) -> None:
        super().__init__("queue-too-large", "a body is over 4 MiB")


class TooMany(Error):
    """This call has sent as many messages as it may (1,000)."""

    def __init__(self) -> None:
        super().__init__("queue-too-many", "more than 1,000 messages in one call")


def send(channel: str, draft: Draft, *, delay: float | timedelta | None = None, dedup_token: str | None = None) -> None:
    """Sends `draft` to `channel`: readers get it `delay` seconds after the delivery settled, and a second message with the same
    `dedup_token` is dropped. Raises an `Error`.
    """
    options = Options(None if delay is None else milliseconds(delay), dedup_token)
    host.current().queue_send(channel, draft, options)
