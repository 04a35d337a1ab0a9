"""`{{name}}`: writes records through a bulk interface, several messages in one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockgate_sdk import Context, Failure, Field, Message, Permanent, Receipt, Transient, attempt, batch_sink, config, http


@dataclass
class Config:
    """The sink's configuration; plugin.toml describes it."""

    path: str = "/records/bulk"


@batch_sink
def deliver_batch(messages: list[Message], context: Context) -> list[Receipt | Failure]:
    """What is wrong with one message is that message's failure, and nobody else's."""
    rows = [attempt(row, message) for message in messages]
    verdicts = iter(write([row for row in rows if not isinstance(row, Failure)]))
    unanswered = Transient("row-unanswered", "the target said nothing of this row")
    return [row if isinstance(row, Failure) else next(verdicts, unanswered) for row in rows]


def row(message: Message) -> dict[str, Any]:
    """Under the message's own id: a row that comes again, in whatever company, is written once."""
    return {"externalId": message.id, "data": message.json()}


def write(rows: list[dict[str, Any]]) -> Sequence[Receipt | Failure]:
    """A verdict for each row; a failure of the whole call is every row's."""
    if not rows:
        return []
    answers = attempt(post, rows)
    return [answers] * len(rows) if isinstance(answers, Failure) else [verdict(answer) for answer in answers]


def post(rows: list[dict[str, Any]]) -> list[Any]:
    """What the target says of each row."""
    answers: list[Any] = http.post(config(Config).path).json(rows).send("target").success().json()
    return answers


def verdict(answer: Any) -> Receipt | Failure:
    """What became of one row."""
    said = Field(answer)
    remote_id = said.at("id").text()
    if remote_id is None:
        return Permanent("row-refused", said.at("error").text() or "the target says no id")
    return Receipt(remote_id=remote_id)
