//! The host of the run that is on, for the functions that stand in for a component's imports.

let current = null;

export function during(host, act) {
  if (current !== null) throw new Error("one run at a time: a plugin is not run from within another run");
  current = host;
  try {
    return act();
  } finally {
    current = null;
  }
}

export function currentHost() {
  if (current === null) throw new Error("outside a component the host's functions work only inside run() of @lockgate/sdk/testing");
  return current;
}

/** As the engine of a component throws what an import gives as an error. */
export function thrown(tag, value) {
  return Object.assign(new Error(tag), { payload: value === undefined ? { tag } : { tag, val: value } });
}
