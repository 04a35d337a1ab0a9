"""`{{name}}`: an order of the web shop becomes what the CRM takes."""

from dataclasses import dataclass

from lockgate_sdk import Context, Draft, Field, Message, Output, Skip, config, transformer


@dataclass
class Config:
    """The step's configuration; plugin.toml describes it."""

    currency: str = "EUR"


@transformer
def transform(message: Message, context: Context) -> Output:
    """A test order is skipped; what is missing or of another type is a dead letter that names the field."""
    settings = config(Config)
    order = Field(message.json())
    if order.at("test").flag():
        return Skip("test-order", "test orders are not sent on")
    number = order.at("number")
    number = number.required(number.text())
    total = order.at("total")
    customer = order.at("customer").object()
    email = customer.at("email").text() if customer else None
    record = {
        "externalId": number,
        "email": email.strip().lower() if email is not None else None,
        "amount": total.required(total.decimal()),
        "currency": order.at("currency").text() or settings.currency,
    }
    return Draft.json(record, tracked={"order": number})
