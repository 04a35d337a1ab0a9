"""HTTP to the systems the integration bound to this plugin's slots.

The host adds endpoint, credential and idempotency key: a plugin gives a slot and a path, and sees neither a host name nor a secret.
A plugin that imports this module asks for `http`.

>>> from lockgate_sdk import http, testing
>>> def quote() -> object:
...     answer = http.post("/v2/quote").json(["a"]).label("quote").send("tax").success()
...     return answer.json()["rate"]
>>> testing.Host(answers=[testing.answer(200, '{"rate": 0.190}')]).run(quote).output
Decimal('0.190')

Owns requests, answers, and what each answer means where a target says nothing better. Depends on `message` and `failure`.
"""

from __future__ import annotations

import calendar
import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, overload

from . import exact_json, host
from .failure import Failure, Permanent, Transient, milliseconds
from .message import Headers, first, headers_of, to_json
from .shape import Mismatch, shaped

T = TypeVar("T")

_EXCERPT_CHARS_MAX = 512
#: The most milliseconds a request's time-out can say (`u32`).
_TIMEOUT_MS_MAX = 2**32 - 1


@dataclass(frozen=True)
class Request:
    """One request: `get`, `post`, `put`, `patch`, `delete` or `head` makes one, its methods give changed copies, `send` sends it."""

    #: `GET`, `POST`, `PUT`, `PATCH`, `DELETE` or `HEAD`.
    method: str
    #: Path and query under the alias's base URL, starting with `/`.
    path: str
    headers: Headers = field(default_factory=list)
    #: Empty for none.
    content: bytes = b""
    #: Names the request for its idempotency key.
    name: str | None = None
    #: How long it may take in all, in milliseconds; the host has its own limits besides.
    timeout_ms: int | None = None

    def header(self, name: str, value: str) -> Request:
        """Adds a header."""
        return dataclasses.replace(self, headers=[*self.headers, *headers_of([(name, value)])])

    def body(self, content_type: str, content: bytes | str) -> Request:
        """Sets the body and its media type."""
        data = content.encode() if isinstance(content, str) else bytes(content)
        return dataclasses.replace(self, content=data).header("content-type", content_type)

    def json(self, value: object) -> Request:
        """Sets the body to `value` as JSON. Fails permanently as `not-serializable` if it cannot be."""
        return self.body("application/json", to_json(value))

    def label(self, name: str) -> Request:
        """Names the request for its idempotency key. Give one where the order of requests may change between attempts."""
        return dataclasses.replace(self, name=name)

    def timeout(self, wait: float | timedelta) -> Request:
        """Limits how long the request may take in all, in seconds."""
        return dataclasses.replace(self, timeout_ms=milliseconds(wait, _TIMEOUT_MS_MAX))

    def send(self, slot: str) -> Response:
        """Sends the request through the alias bound to `slot` and waits for the answer, whatever its status.

        Raises an `Error` where there was none. Nobody has to catch it: each is the fitting `Failure`.
        """
        answer = host.current().http_send(slot, self)
        if isinstance(answer, Failure):
            raise answer
        return answer


def get(path: str) -> Request:
    """`GET path`."""
    return Request("GET", path)


def post(path: str) -> Request:
    """`POST path`."""
    return Request("POST", path)


def put(path: str) -> Request:
    """`PUT path`."""
    return Request("PUT", path)


def patch(path: str) -> Request:
    """`PATCH path`."""
    return Request("PATCH", path)


def delete(path: str) -> Request:
    """`DELETE path`."""
    return Request("DELETE", path)


def head(path: str) -> Request:
    """`HEAD path`."""
    return Request("HEAD", path)


def send_all(slot: str, requests: Sequence[Request]) -> list[Response | Error]:
    """Sends several requests at once (at most 6 are under way). Answers, and errors where there is none, come in the order of the requests."""
    return host.current().http_send_all(slot, requests)


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int
    #: Lower-case names.
    headers: Headers
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def success(self) -> Response:
        """The answer if its status is 2xx. Raises `failure()` for any other."""
        if self.is_success:
            return self
        raise self.failure()

    @overload
    def json(self) -> Any: ...

    @overload
    def json(self, into: type[T]) -> T: ...

    def json(self, into: Any = None) -> Any:
        """The body, read as JSON as `Message.json` reads it.

        Fails transiently as `answer-invalid` if it is none, or does not fit: something between here and the target may have
        answered in its place.
        """
        try:
            value = exact_json.read(self.body)
            return value if into is None else shaped(value, into, strict=False)
        except (ValueError, Mismatch) as error:
            detail = f"HTTP {self.status} with a body of another shape ({error}): {self.excerpt()}"
            raise Transient("answer-invalid", detail) from None

    def header(self, name: str) -> str | None:
        """The first value of the header `name`, whatever its case."""
        return first(self.headers, name)

    def excerpt(self) -> str:
        """The start of the body as text, for people: at most 512 characters."""
        # A character takes at most four bytes, so no more of a long body needs decoding.
        return self.body[: _EXCERPT_CHARS_MAX * 4].decode(errors="replace")[:_EXCERPT_CHARS_MAX]

    def failure(self) -> Failure:
        """The failure this answer means where a target says nothing better: 408, 425, 429 and 5xx are transient, with the answer's
        `Retry-After`; everything else is permanent. Codes are `http-408`, `http-404`, ….

        408 and 425 ask to be repeated (RFC 9110 §15.5.9, RFC 8470 §5.2), 429 to be slowed down (RFC 6585 §4).
        """
        excerpt = self.excerpt()
        detail = f"the target answered HTTP {self.status}" + (f": {excerpt}" if excerpt else "")
        if self.status in (408, 425, 429) or 500 <= self.status <= 599:
            return Transient(f"http-{self.status}", detail, retry_after=self.retry_after())
        return Permanent(f"http-{self.status}", detail)

    def retry_after(self) -> timedelta | None:
        """How long the target asks to be left alone: `Retry-After` in seconds, or a date read relative to the answer's own `Date`
        (RFC 9110 §10.2.3), since the clocks of host and target may differ. `None` where it says nothing readable.
        """
        value = (self.header("retry-after") or "").strip()
        if value.isascii() and value.isdigit():
            return _seconds(int(value[:20]))
        until, now = _http_date(value), _http_date(self.header("date") or "")
        return None if until is None or now is None else _seconds(max(until - now, 0))


def _seconds(count: int) -> timedelta:
    return timedelta(seconds=count) if count < timedelta.max.days * 86400 else timedelta.max


class Error(Failure):
    """Why there is no answer. Each error is a `Transient` or a `Permanent`, and is what to raise if nobody catches it."""


class Denied(Error, Permanent):
    """The integration does not allow this; the text says which rule."""

    def __init__(self, rule: str) -> None:
        super().__init__("http-denied", rule)


class TimedOut(Error, Transient):
    """No answer in time. The target may have done the work."""

    def __init__(self) -> None:
        super().__init__("http-timed-out", "no answer in time; the target may have done the work")


class Unreachable(Error, Transient):
    """The target could not be reached, or the connection broke."""

    def __init__(self, why: str) -> None:
        super().__init__("http-unreachable", why)


class TooLarge(Error, Permanent):
    """The answer was over the limit on body (10 MiB) or headers (100)."""

    def __init__(self) -> None:
        super().__init__("http-answer-too-large", "the answer was over 10 MiB or 100 headers")


class BreakerOpen(Error, Transient):
    """The host has stopped sending to this alias for now."""

    def __init__(self) -> None:
        super().__init__("http-breaker-open", "the host has stopped sending to this alias for now")


class RateLimited(Error, Transient):
    """The alias's rate is used up, or its target asked the host to wait; with how long, if known."""

    def __init__(self, retry_after: float | timedelta | None = None) -> None:
        detail = "the alias's rate is used up, or its target asked to wait"
        Transient.__init__(self, "http-rate-limited", detail, retry_after=retry_after)


class CredentialRefused(Error, Transient):
    """The target refused the alias's credential even after a refresh."""

    def __init__(self) -> None:
        super().__init__("http-credential-refused", "the target refused the alias's credential even after a refresh")


class TooManyRequests(Error, Permanent):
    """This call has sent as many requests as it may (32)."""

    def __init__(self) -> None:
        super().__init__("http-too-many-requests", "more than 32 requests in one call")


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAY, _TIME = r"[A-Z][a-z]{2,8}", r"(?P<time>\d\d:\d\d:\d\d)"
#: The three forms of a date (RFC 9110 §5.6.7).
_DATES = [
    re.compile(rf"{_DAY}, (?P<day>\d\d) (?P<month>[A-Z][a-z][a-z]) (?P<year>\d{{4}}) {_TIME} GMT"),
    re.compile(rf"{_DAY}, (?P<day>\d\d)-(?P<month>[A-Z][a-z][a-z])-(?P<year>\d\d) {_TIME} GMT"),
    re.compile(rf"{_DAY} (?P<month>[A-Z][a-z][a-z]) (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})"),
]


def _http_date(text: str) -> int | None:
    """Seconds since 1970 of an HTTP date; `None` for what is none."""
    found = next((match for form in _DATES if (match := form.fullmatch(text.strip()))), None)
    if found is None or found["month"] not in _MONTHS:
        return None
    year = int(found["year"])
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = map(int, found["time"].split(":"))
    try:
        return calendar.timegm((year, _MONTHS.index(found["month"]) + 1, int(found["day"]), hour, minute, second))
    except ValueError:
        return None
