"""A host for native tests: configuration, scripted HTTP answers, key-value and queue, all in memory.

>>> from lockgate_sdk import Context, Message, Receipt, config, http, sink, testing
>>> @sink
... def notify(message: Message, context: Context) -> Receipt:
...     http.post("/notes").json({"room": config()["room"], "text": message.text()}).send("chat").success()
...     return Receipt()
>>> run = testing.Host(config={"room": "ops"}, answers=[testing.answer(503, "busy")]).run(notify, testing.message("hello"))
>>> run.failure.code, run.failure.is_transient, run.requests[0].request.path
('http-503', True, '/notes')

Works with `unittest`, `pytest` or nothing. Takes the place of the component's imports, and does with what a plugin gives back what the
component does. Depends on every other module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import call, exact_json, host, http, key_value, queue
from .failure import Failure, Permanent
from .log import Level
from .message import Context, Draft, Message, headers_of
from .printing import redirected
from .role import Page, Receipt, Skip, role_of

_KEY_BYTES_MAX = 512
_VALUE_BYTES_MAX = 1024 * 1024
_QUEUE_BODY_BYTES_MAX = 4 * 1024 * 1024
_QUEUE_MESSAGES_MAX = 1000
_REQUESTS_MAX = 32

Answer = http.Response | http.Error
Responder = Callable[[str, http.Request], Answer]


@dataclass(frozen=True)
class Line:
    """One line of the log."""

    level: Level
    text: str
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """One outbound request."""

    slot: str
    request: http.Request


@dataclass(frozen=True)
class Queued:
    """One message sent to a channel."""

    channel: str
    draft: Draft
    options: queue.Options


@dataclass
class Run:
    """What a call gave, and what the plugin did meanwhile."""

    #: Why it did not do its work; `None` if it did.
    failure: Failure | None
    _output: Any
    #: Outbound requests in the order in which they were sent.
    requests: list[Sent]
    #: Log lines.
    lines: list[Line]
    #: Messages sent to channels.
    queued: list[Queued]
    #: The whole key-value map afterwards. A TTL starts when a delivery settles, so nothing expires within a call.
    key_values: dict[str, bytes]

    @property
    def output(self) -> Any:
        """What the call gave back. Raises its failure if it failed."""
        if self.failure is not None:
            raise self.failure
        return self._output

    @property
    def drafts(self) -> list[Draft]:
        """The drafts of a transformer."""
        assert isinstance(self.output, list), f"no drafts: {self.output}"
        return self.output

    @property
    def skip(self) -> Skip:
        """The skip of a transformer or a sink."""
        assert isinstance(self.output, Skip), f"not skipped: {self.output}"
        return self.output

    @property
    def receipt(self) -> Receipt:
        """The receipt of a sink."""
        assert isinstance(self.output, Receipt), f"no receipt: {self.output}"
        return self.output

    @property
    def results(self) -> list[Any]:
        """The results of a batch sink, one for each message."""
        assert isinstance(self.output, list), f"no results: {self.output}"
        return self.output

    @property
    def page(self) -> Page:
        """The page of a source."""
        assert isinstance(self.output, Page), f"no page: {self.output}"
        return self.output


def message(
    body: bytes | str | Mapping[str, Any] | Sequence[Any],
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    key: str | None = None,
    id: str = "01890a5d-ac96-774b-bcce-b302099a8057",
) -> Message:
    """A message with this body; what is neither text nor bytes is written as JSON."""
    if isinstance(body, str):
        data = body.encode()
    else:
        data = bytes(body) if isinstance(body, (bytes, bytearray)) else exact_json.write(body)
    return Message(id, key, content_type, headers_of(headers), data, 1_700_000_000_000)


def messages(bodies: Iterable[bytes | str | Mapping[str, Any]]) -> list[Message]:
    """Messages with these bodies, as a batch has them: each with an id and a key of its own."""
    return [
        message(body, id=f"01890a5d-ac96-774b-bcce-{number:012x}", key=f"key-{number}")
        for number, body in enumerate(bodies)
    ]


def answer(
    status: int,
    body: bytes | str | Mapping[str, Any] | Sequence[Any] = b"",
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
) -> http.Response:
    """An answer with this status and body; what is neither text nor bytes is written as JSON."""
    return http.Response(status, headers_of(headers), message(body).body)


class Host:
    """What a plugin under test can reach. Each test makes its own.

    `answers` are given to requests in their order, one each: responses, or an `http.Error` for none. When they are used up, or there
    are none, the target is unreachable. `respond` answers every request with what it makes of slot and request instead.
    """

    def __init__(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        answers: Iterable[Answer] = (),
        respond: Responder | None = None,
        key_values: Mapping[str, bytes] | None = None,
    ) -> None:
        self._config = exact_json.write(dict(config or {})).decode()
        self._respond = respond or _in_order(answers)
        self._key_values = dict(key_values or {})

    def run(self, function: Callable[..., Any], *args: Any, setup: Callable[[], None] | None = None) -> Run:
        """Runs `function` with this host as the component would: a decorated one by its role (the context may be left out), and any
        other one with `args` as they are, for tests of a plugin's parts. `setup` is called before it, and what it raises is the failure
        `setup-refused`.
        """
        functions = _Functions(self._config, self._respond, self._key_values)
        output: Any = None
        failure: Failure | None = None
        with _entered(functions):
            try:
                if setup is not None:
                    _set_up(setup)
                output = _called(function, args)
            except Failure as raised:
                failure = raised
        return Run(failure, output, functions.requests, functions.lines, functions.queued, functions.key_values)


def _set_up(setup: Callable[[], None]) -> None:
    try:
        call.set_up(setup)
    except Failure as failure:
        raise Permanent("setup-refused", failure.detail) from failure


def _called(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    with_context = args if len(args) > 1 else (*args, Context())
    match role_of(function):
        case "transformer":
            return call.transform(function, *with_context)
        case "sink":
            return call.deliver(function, *with_context)
        case "batch-sink":
            return call.deliver_batch(function, *with_context)
        case "source":
            return call.poll(function, *(args or (None,)))
        case _:
            return function(*args)


def _in_order(answers: Iterable[Answer]) -> Responder:
    left = list(answers)
    scripted = bool(left)

    def respond(_slot: str, _request: http.Request) -> Answer:
        if left:
            return left.pop(0)
        return http.Unreachable("no scripted answer is left" if scripted else "the test scripted no answer")

    return respond


@contextlib.contextmanager
def _entered(functions: _Functions) -> Iterator[None]:
    host.enter(functions)
    try:
        with redirected():
            yield
    finally:
        host.enter(None)


class _Functions:
    """The host's functions; `component` has the same ones inside a component."""

    def __init__(self, config: str, respond: Responder, key_values: dict[str, bytes]) -> None:
        self.config = config
        self.respond = respond
        self.requests: list[Sent] = []
        self.lines: list[Line] = []
        self.queued: list[Queued] = []
        self.key_values = dict(key_values)

    def config_get(self) -> str:
        return self.config

    def log_write(self, level: Level, text: str, fields: Sequence[tuple[str, str]]) -> None:
        self.lines.append(Line(level, text, list(fields)))

    def http_send(self, slot: str, request: http.Request) -> Answer:
        if len(self.requests) >= _REQUESTS_MAX:
            return http.TooManyRequests()
        self.requests.append(Sent(slot, request))
        return self.respond(slot, request)

    def http_send_all(self, slot: str, requests: Sequence[http.Request]) -> list[Answer]:
        return [self.http_send(slot, request) for request in requests]

    def key_value_get(self, key: str) -> bytes | None:
        if not key or len(key.encode()) > _KEY_BYTES_MAX or "\0" in key:
            raise key_value.InvalidKey
        return self.key_values.get(key)

    def key_value_set(self, key: str, value: bytes, ttl_ms: int | None) -> None:
        self.key_value_get(key)
        if len(value) > _VALUE_BYTES_MAX:
            raise key_value.ValueTooLarge
        self.key_values[key] = value

    def key_value_delete(self, key: str) -> None:
        self.key_value_get(key)
        self.key_values.pop(key, None)

    def key_value_list(self, prefix: str, cursor: str | None, limit: int) -> key_value.KeyPage:
        limit = min(max(limit, 1), 1000)
        after = "" if cursor is None else cursor
        keys = sorted((key for key in self.key_values if key.startswith(prefix) and key.encode() > after.encode()), key=str.encode)
        more = len(keys) > limit
        return key_value.KeyPage(keys[:limit], keys[limit - 1] if more else None)

    def key_value_compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> bool:
        if self.key_value_get(key) != expected:
            return False
        self.key_value_set(key, value, None)
        return True

    def key_value_increment(self, key: str, delta: int) -> int:
        now = self.key_value_get(key) or b"0"
        text = now.decode(errors="replace")
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdigit()):
            raise key_value.NotANumber
        total = int(text) + delta
        if not -(2**63) <= total < 2**63:
            raise key_value.NotANumber
        self.key_value_set(key, str(total).encode(), None)
        return total

    def queue_send(self, channel: str, draft: Draft, options: queue.Options) -> None:
        if len(draft.body) > _QUEUE_BODY_BYTES_MAX:
            raise queue.TooLarge
        if len(self.queued) >= _QUEUE_MESSAGES_MAX:
            raise queue.TooMany
        self.queued.append(Queued(channel, draft, options))


def json_of(draft: Draft) -> Any:
    """The body of a draft as plain JSON, for comparing in a test; numbers as `exact_json` reads them."""
    return exact_json.read(draft.body)
