//! The roles a plugin can have: what an author exports. Depends on nothing.

export class Role {
  constructor(name, call) {
    if (typeof call !== "function") throw new TypeError(`${name} takes a function, and was given ${call === null ? "null" : typeof call}`);
    this.name = name;
    this.call = call;
  }
}

export class Plugin {
  constructor(roles) {
    this.roles = roles;
  }
}

export const transformer = (call) => new Role("transformer", call);
export const sink = (call) => new Role("sink", call);
export const batchSink = (call) => new Role("batch-sink", call);
export const source = (call) => new Role("source", call);

export function plugin(...roles) {
  for (const role of roles) {
    if (!(role instanceof Role)) throw new TypeError("plugin() takes roles: plugin(transformer(...), sink(...))");
    if (roles.some((other) => other !== role && other.name === role.name)) throw new TypeError(`plugin() has two of the role ${role.name}`);
  }
  return new Plugin(roles);
}

/** The roles of what a plugin's module exports as its default. */
export function rolesOf(exported) {
  if (exported instanceof Role) return [exported];
  if (exported instanceof Plugin) return exported.roles;
  throw new TypeError("the default export of a plugin is a role: export default transformer((message, context) => ...)");
}

export function roleOf(exported, name) {
  const roles = rolesOf(exported);
  const role = roles.find((role) => role.name === name);
  if (role !== undefined) return role;
  const has = roles.map((role) => role.name).join(", ") || "no role";
  throw new TypeError(`the plugin is to be a ${name}, and its default export is of the role ${has}`);
}
