"""`shop-order`: a Shopify order (the Order resource of the REST Admin API) becomes one canonical order per shipment.

Takes the bare order, as webhooks send it, or the order wrapped as `{"order": …}`, as the REST API answers. The rules are in `canonical`
(fields) and `shipments` (splitting, amounts). Depends on the SDK only.
"""

from lockgate_sdk import Context, Draft, Field, Message, Output, Skip, transformer

from .canonical import Order, required_text
from .shipments import split


@transformer
def transform(message: Message, context: Context) -> Output:
    """One draft for each shipment of the order."""
    document = Field(message.json())
    root = document.object()
    if root is None:
        raise document.wrong("an object")
    order = root.at("order").object() or root
    if order.at("test").flag():
        return Skip("test-order", "Shopify marks this order as a test; it is not sent on")
    name = required_text(order, "name")
    canonical = Order.read(order)
    return [Draft.json(canonical.with_shipment(shipment), tracked={"order": name}) for shipment in split(order, canonical)]
