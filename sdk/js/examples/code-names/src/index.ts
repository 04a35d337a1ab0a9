//! `code-names`: a name in the place of a code, by a table in the configuration.
//!
//! The table is read in `setup`, once for a configuration; a call only looks a code up. Depends on the SDK only.

import { Draft, config, field, permanent, plugin, setup, transformer } from "@lockgate/sdk";

/** The plugin's configuration; plugin.toml describes it. */
interface Table {
  field: string;
  names: Map<string, string>;
  keepsUnknown: boolean;
}

let table: Table;

export default plugin(
  setup(() => {
    table = read(config() as Record<string, unknown>);
  }),
  transformer((message) => {
    const document = message.json() as Record<string, unknown>;
    const root = field(document);
    if (root.object() === null) throw root.wrong("an object");
    const code = root.required(table.field).text();
    const name = table.names.get(code);
    if (name === undefined && !table.keepsUnknown) {
      throw permanent("code-unknown", `${root.at(table.field).pointer} is ${code}, and names has no name for it`);
    }
    if (name !== undefined) document[table.field] = name;
    return Draft.json(document);
  }),
);

function read({ field, names, unknown = "fail", ...others }: Record<string, unknown>): Table {
  const [misspelt] = Object.keys(others);
  if (misspelt !== undefined) throw permanent("config-invalid", `the configuration has ${misspelt}, which is nothing it knows`);
  if (typeof field !== "string") throw permanent("config-invalid", "field should be text");
  if (typeof names !== "object" || names === null) throw permanent("config-invalid", "names should be an object");
  const entries = Object.entries(names as Record<string, string>);
  if (entries.length === 0) throw permanent("config-invalid", "names has no code at all");
  if (unknown !== "fail" && unknown !== "keep") throw permanent("config-invalid", "unknown should be fail or keep");
  return { field, names: new Map(entries), keepsUnknown: unknown === "keep" };
}
