"""Write Lockgate plugins in Python: one decorated function with type hints.

>>> from lockgate_sdk import Context, Draft, Message, Output, Skip, transformer
>>>
>>> @transformer
... def transform(message: Message, context: Context) -> Output:
...     order = message.json()
...     if order.get("test"):
...         return Skip("test-order", "test orders are not sent on")
...     return Draft.json(order, tracked={"order": order["name"]})

`sink`, `batch_sink` and `source` work the same. What the host offers is in `lockgate_sdk.http`, `lockgate_sdk.key_value`,
`lockgate_sdk.queue`, `lockgate_sdk.log` and `config`. A component asks for `http`, `key_value` or `queue` only where a module of
the plugin imports it, and the integration has to grant it. Natively, `lockgate_sdk.testing` stands in for the host:

>>> from lockgate_sdk import testing
>>> run = testing.Host().run(transform, testing.message({"name": "#1001", "total": "10.00"}))
>>> run.drafts[0].body
b'{"name":"#1001","total":"10.00"}'

Owns the shape of what an author writes. Depends on the standard library and on nothing of the host.
"""

from .config import config
from .failure import Failure, Permanent, Transient
from .field import Field
from .message import Context, Draft, Message
from .role import Delivered, Item, Output, Page, Receipt, Skip, attempt, batch_sink, setup, sink, source, transformer

__all__ = [
    "Context",
    "Delivered",
    "Draft",
    "Failure",
    "Field",
    "Item",
    "Message",
    "Output",
    "Page",
    "Permanent",
    "Receipt",
    "Skip",
    "Transient",
    "attempt",
    "batch_sink",
    "config",
    "setup",
    "sink",
    "source",
    "transformer",
]
