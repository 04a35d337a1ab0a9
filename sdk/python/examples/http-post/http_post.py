"""`http-post`: a sink that posts a message's body as it is, with its content type.

2xx is delivered; `ETag` and `Location` go into the receipt. What other answers mean is the SDK's general rule,
`lockgate_sdk.http.Response.failure`. Depends on the SDK only.
"""

from dataclasses import dataclass

from lockgate_sdk import Context, Message, Receipt, config, http, sink


@dataclass
class Config:
    """The sink's configuration; plugin.toml describes it."""

    path: str = "/"


@sink
def deliver(message: Message, context: Context) -> Receipt:
    """Posts the body, and tells what the target answered."""
    request = http.post(config(Config).path).body(message.content_type, message.body)
    answer = request.label("post").send("target").success()
    return Receipt(remote_id=answer.header("location"), remote_version=answer.header("etag"), detail=f"HTTP {answer.status}")
