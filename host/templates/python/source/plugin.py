"""`{{name}}`: fetches the orders that changed since the last poll."""

from dataclasses import dataclass
from typing import Any

from lockgate_sdk import Draft, Field, Item, Page, config, http, source

#: Asked for at once; a full page means that there is more.
LIMIT = 100


@dataclass
class Config:
    """The poll's configuration; plugin.toml describes it."""

    path: str = "/orders"


@source
def poll(cursor: str | None) -> Page:
    """The cursor is the plugin's own to read: the change it has seen last. It is kept together with the page, or not at all."""
    since = cursor or "0"
    path = f"{config(Config).path}?after={since}&limit={LIMIT}"
    items = [item(order) for order in http.get(path).send("shop").success().json()]
    # An empty page leaves the cursor where it is.
    return Page(items, cursor=items[-1].id if items else since, more=len(items) == LIMIT)


def item(order: Any) -> Item:
    """`change` counts all changes of the shop, so that an order that changes again is a new message; changes of one order stay in order."""
    change = Field(order).at("change")
    return Item(id=change.required(change.digits()), key=Field(order).at("number").text(), draft=Draft.json(order))
