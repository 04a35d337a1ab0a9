//! The world of one component: the roles its manifest names, and the imports its code really calls.
//!
//! What the engine links is what the world says, used or not; so the world is made anew for each bundle. Depends on nothing.
//! `setup` is no role: a plugin has it if its code does.

export const PACKAGE = "lockgate:plugin";
export const VERSION = "0.1.0";

/** What a role's export is called, in WIT, in the engine (lower camel case), and in the SDK. */
export const ROLES = {
  transformer: { name: "transformer", func: "transform" },
  sink: { name: "sink", func: "deliver" },
  "batch-sink": { name: "batchSink", func: "deliverBatch" },
  source: { name: "source", func: "poll" },
};

export function isImport(path) {
  return path.startsWith(`${PACKAGE}/`);
}

/** The module that is bundled: the author's default export, as a component's exports. */
export function entry(roles, plugin, hasSetup) {
  const funcs = roles.map((role) => ROLES[role].func);
  const exports = roles.map((role) => {
    const { name, func } = ROLES[role];
    return `export const ${name} = { ${func}: ${func}(plugin) };`;
  });
  if (hasSetup) {
    funcs.push("setUp");
    exports.push("export const setup = { setup: setUp(plugin) };");
  }
  return [`import plugin from ${JSON.stringify(plugin)};`, `import { ${funcs.join(", ")} } from "@lockgate/sdk/component";`, ...exports, ""].join("\n");
}

export function world(roles, imports, hasSetup) {
  const exports = hasSetup ? [...roles, "setup"] : roles;
  const lines = [...[...imports].sort().map((path) => `  import ${path};`), ...exports.map((name) => `  export ${PACKAGE}/${name}@${VERSION};`)];
  return `package lockgate:build;\n\nworld plugin {\n${lines.join("\n")}\n}\n`;
}
