"""`hello`: greets in the log whoever a message names. A sink that needs no other system, to see one message through."""

from dataclasses import dataclass

from lockgate_sdk import Context, Field, Message, Receipt, config, log, sink


@dataclass
class Config:
    """The sink's configuration; plugin.toml describes it."""

    greeting: str = "Hello"


@sink
def deliver(message: Message, context: Context) -> Receipt:
    """Without a name the message is a dead letter, which `lockgate dead-letters list` shows."""
    name = Field(message.json()).at("name")
    greeting = f"{config(Config).greeting}, {name.required(name.text())}!"
    log.info(greeting)
    return Receipt(detail=greeting)
