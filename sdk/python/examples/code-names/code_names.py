"""`code-names`: a name in the place of a code, by a table in the configuration.

The table is read in `setup`, once for a configuration; a call only looks a code up. Depends on the SDK only.
"""

from dataclasses import dataclass

from lockgate_sdk import Context, Draft, Field, Message, Permanent, config, setup, transformer


@dataclass
class Table:
    """The plugin's configuration; plugin.toml describes it."""

    field: str
    names: dict[str, str]
    unknown: str = "fail"


_tables: list[Table] = []


@setup
def read_table() -> None:
    """Keeps the table for every call."""
    table = config(Table)
    if not table.names:
        raise Permanent("config-invalid", "names has no code at all")
    _tables[:] = [table]


@transformer
def transform(message: Message, context: Context) -> Draft:
    """The document with a name in the place of the code."""
    [table] = _tables
    document = message.json()
    root = Field(document)
    if root.object() is None:
        raise root.wrong("an object")
    at = root.at(table.field)
    code = at.required(at.text())
    name = table.names.get(code)
    if name is None and table.unknown != "keep":
        raise Permanent("code-unknown", f"{at.pointer} is {code}, and names has no name for it")
    if name is not None:
        document[table.field] = name
    return Draft.json(document)
