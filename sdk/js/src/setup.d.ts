/** What a plugin does once for its configuration: an argument of `plugin()` beside a role. */
export interface Setup {
  readonly name: "setup";
}

/**
 * What is done once for a configuration, and not for every message: a table read into a map, a template parsed. The host calls it when a release
 * is deployed and when its configuration changes; every call then begins with the memory as it was behind it.
 *
 * ```js
 * let countries;
 *
 * export default plugin(
 *   setup(() => {
 *     countries = new Map(Object.entries(config()));
 *   }),
 *   transformer((message) => Draft.json({ country: countries.get(message.text()) ?? null })),
 * );
 * ```
 *
 * Nothing of the host is there but `config` and `log`; clocks stand still, and chance is the same every time. What it throws says what is wrong with the
 * configuration: the release is refused with it.
 */
export function setup(setup: () => void): Setup;
