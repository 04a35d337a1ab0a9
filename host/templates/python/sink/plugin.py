"""`{{name}}`: creates a record through a REST interface, one for each message."""

from dataclasses import dataclass

from lockgate_sdk import Context, Delivered, Field, Message, Receipt, Skip, config, http, sink


@dataclass
class Config:
    """The sink's configuration; plugin.toml describes it."""

    path: str = "/records"


@sink
def deliver(message: Message, context: Context) -> Delivered:
    """The host adds the credential and an Idempotency-Key; the same content goes out on every attempt."""
    answer = http.post(config(Config).path).json(message.json()).send("target")
    if answer.status == 409:
        return Skip("already-there", "the target has this record already")
    # 408, 425, 429 and 5xx may pass and are tried again, in time with Retry-After; the rest is a dead letter.
    created = Field(answer.success().json())
    return Receipt(remote_id=created.at("id").text())
