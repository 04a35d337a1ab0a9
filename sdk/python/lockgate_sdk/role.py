"""The roles a plugin can have, what each gives back, and the decorators that say which function is which.

Owns the register of a component's roles. Depends on `message` and `failure`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from .failure import Failure
from .message import Context, Draft, Message


@dataclass(frozen=True)
class Skip:
    """There is nothing to do for a message, and that is right: `return Skip("test-order", "test orders are not sent on")`."""

    #: Stable, lower-case with hyphens.
    code: str
    #: Why, for people.
    detail: str


@dataclass(frozen=True)
class Receipt:
    """What the target made of a message. All of it may be unknown."""

    #: The target's id of the record.
    remote_id: str | None = None
    #: The target's version of the record (an ETag, a change number).
    remote_version: str | None = None
    #: Anything else worth keeping in the ledger, for people. The host keeps 4 KiB.
    detail: str | None = None


@dataclass(frozen=True)
class Item:
    """A message found by a poll."""

    #: The source's id of the record at this version; two items of one id are one message.
    id: str
    draft: Draft
    #: What must stay in order.
    key: str | None = None


@dataclass(frozen=True)
class Page:
    """What one poll found."""

    #: In the order in which they are to be delivered; at most 10,000.
    items: Sequence[Item]
    #: Where the next poll starts. Committed together with the items, or not at all.
    cursor: str
    #: There is more to fetch now; the host polls again at once.
    more: bool = False


#: What a transformer gives back: one draft, several (a generator will do), or a `Skip`. No draft at all is an empty list, said so.
Output = Draft | Iterable[Draft] | Skip
#: What a sink gives back. `None` is a receipt with nothing known.
Delivered = Receipt | Skip | None

Transformer = Callable[[Message, Context], Output]
Sink = Callable[[Message, Context], Delivered]
BatchSink = Callable[[list[Message], Context], Iterable[Delivered | Failure]]
Source = Callable[[str | None], Page]

TransformerT = TypeVar("TransformerT", bound=Transformer)
SinkT = TypeVar("SinkT", bound=Sink)
BatchSinkT = TypeVar("BatchSinkT", bound=BatchSink)
SourceT = TypeVar("SourceT", bound=Source)
SetupT = TypeVar("SetupT", bound=Callable[[], None])
P = ParamSpec("P")

#: Registered like a role, and none: a plugin has it beside one.
SETUP = "setup"
#: The functions that were decorated, by role. A plugin has one of each at most.
registered: dict[str, list[Callable[..., Any]]] = {}


def transformer(function: TransformerT) -> TransformerT:
    """Makes `function` the plugin's transformer: a message in, messages out. Called again with the same arguments on a retry, in a
    fresh instance.

    >>> from collections.abc import Iterator
    >>> @transformer
    ... def transform(message: Message, context: Context) -> Iterator[Draft]:
    ...     for line in message.json()["lines"]:
    ...         yield Draft.json(line)
    >>> from lockgate_sdk import testing
    >>> [draft.body for draft in testing.Host().run(transform, testing.message({"lines": [1, 2]})).drafts]
    [b'1', b'2']
    """
    return _register("transformer", function)


def sink(function: SinkT) -> SinkT:
    """Makes `function` the plugin's sink: it delivers a message to a system. May be called again for the same message (at least once):
    send the same content, so that the host's `Idempotency-Key` holds, or check before writing.

    >>> @sink
    ... def deliver(message: Message, context: Context) -> Receipt:
    ...     return Receipt(remote_id=message.id)
    """
    return _register("sink", function)


def batch_sink(function: BatchSinkT) -> BatchSinkT:
    """Makes `function` the plugin's batch sink: it delivers several messages at once, oldest first, no two of one key, and gives one
    result for each, in their order: a `Receipt`, a `Skip`, `None`, or the `Failure` of this message (`attempt` helps). A message that
    fails is retried or dead-lettered alone.

    A message may come again (at least once), and then in other company: the host's `Idempotency-Key` and `context.idempotency_base`
    follow from all messages of the call. Have the target know the single message again: write in a way that may be repeated, such as
    an upsert by an external id made of the message's id or of its data.

    A failure that is raised is that of every message. A call that ends with any other exception, goes over a limit or gives back
    another number of results is repeated in halves, until the message that is to blame is alone.

    >>> @batch_sink
    ... def deliver_batch(messages: list[Message], context: Context) -> list[Receipt | Failure]:
    ...     return [attempt(store, message) for message in messages]
    >>> def store(message: Message) -> Receipt:
    ...     return Receipt(remote_id=message.json()["id"])
    >>> from lockgate_sdk import testing
    >>> results = testing.Host().run(deliver_batch, testing.messages(['{"id": "a1"}', "{"])).results
    >>> results[0], results[1].code
    (Receipt(remote_id='a1', remote_version=None, detail=None), 'body-invalid')
    """
    return _register("batch-sink", function)


def source(function: SourceT) -> SourceT:
    """Makes `function` the plugin's source: it fetches what came after `cursor`, which is `None` on the first poll. Where it fails, the
    cursor stays where it was.

    >>> @source
    ... def poll(cursor: str | None) -> Page:
    ...     return Page(items=[], cursor=cursor or "0")
    """
    return _register("source", function)


def setup(function: SetupT) -> SetupT:
    """Makes `function` what is done once for a configuration, and not for every message: a table read into a dictionary, a template
    parsed. The host calls it when a release is deployed and when its configuration changes; every call then begins with the memory as it
    was behind it.

    Nothing of the host is there but `config` and `log`; clocks stand still, and random bytes are the same every time. What it raises says
    what is wrong with the configuration: the release is refused with it.

    >>> from lockgate_sdk import config
    >>> countries: dict[str, str] = {}
    >>> @setup
    ... def read_countries() -> None:
    ...     countries.update(config())
    >>> @transformer
    ... def transform(message: Message, context: Context) -> Draft:
    ...     return Draft.json({"country": countries.get(message.text())})
    >>> from lockgate_sdk import testing
    >>> testing.Host(config={"NL": "Nederland"}).run(transform, testing.message("NL"), setup=read_countries).drafts[0].body
    b'{"country":"Nederland"}'
    """
    return _register(SETUP, function)


T = TypeVar("T")


def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Failure:
    """What `function` returns, or the failure it raises: for the single message of a batch."""
    try:
        return function(*args, **kwargs)
    except Failure as failure:
        return failure


F = TypeVar("F", bound=Callable[..., Any])


def _register(role: str, function: F) -> F:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"a {role} is a plain function, not `async def`: the host runs one call in an instance")
    registered.setdefault(role, []).append(function)
    return function


def role_of(function: Callable[..., Any]) -> str | None:
    """The role `function` was decorated with."""
    return next((role for role, functions in registered.items() if any(function is one for one in functions)), None)
