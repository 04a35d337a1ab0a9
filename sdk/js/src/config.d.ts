/**
 * The step's configuration, as the integration gives it, with `{values.…}` filled in from the environment; `{}` where it gives none.
 * It fits the schema in `plugin.toml`: the host has looked. Numbers as in {@link json.Json}.
 */
export function config<T = any>(): T;
