//! From a plugin's folder to a component without its manifest. Depends on `bundle`, `failed`, `world`, and on esbuild, at the version in `tools/package.json`.

import fs from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { bundle } from "./bundle.js";
import { HOW, explained } from "./failed.js";
import { ROLES, world } from "./world.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));
/** Names of files in the work folder. */
const BUNDLE = "plugin.js";
const PLACES = "places.json";
/** The world in `wit/world.wit`. */
const WORLD = "plugin";
const LOAD_MS_MAX = 60_000;
const ENTRIES = ["src/index.ts", "src/index.js", "index.ts", "index.js"];

/** What a build cannot go on from, in words for people. */
export class BuildError extends Error {}

/**
 * The bundle of the plugin in `folder`, and the world it is to be linked with; both are written into `work`, with the table that
 * {@link explain} needs. `tools` is a folder whose packages have esbuild.
 */
export async function prepare({ folder, roles, tools = folder, wit = witFolder(), work }) {
  const unknown = roles.find((role) => !Object.hasOwn(ROLES, role));
  if (unknown !== undefined || roles.length === 0) throw new BuildError(`roles are one or more of ${Object.keys(ROLES).join(", ")}${unknown === undefined ? "" : `, and not ${unknown}`}`);
  const esbuild = await tool(tools, "esbuild");
  const plugin = await entryOf(folder);
  let bundled;
  try {
    bundled = await bundle(esbuild, { folder, plugin, roles });
  } catch (error) {
    if (error.errors === undefined) throw error;
    throw new BuildError((await esbuild.formatMessages(error.errors, { kind: "error", color: false })).join("").trimEnd());
  }
  const { code, table, imports, hasSetup } = bundled;
  const witPath = await writeWorld(work, wit, world(roles, imports, hasSetup));
  await fs.writeFile(path.join(work, BUNDLE), code);
  await fs.writeFile(path.join(work, PLACES), JSON.stringify(table));
  const warnings = await esbuild.formatMessages(bundled.warnings, { kind: "warning", color: false });
  return { code, table, witPath, imports: [...imports].sort(), warnings: warnings.map((text) => text.trimEnd()) };
}

/** The same as a component, by the tool that comes with the engine. `tools` has componentize-qjs as well. */
export async function build(options) {
  const prepared = await prepare(options);
  const { componentize } = await tool(options.tools ?? options.folder, "componentize-qjs");
  try {
    const made = componentize({ witPath: prepared.witPath, world: WORLD, jsSource: prepared.code, sync: true });
    const { component } = await inTime(made);
    return { ...prepared, component };
  } catch (error) {
    throw error instanceof BuildError ? error : new BuildError(explained(error, prepared.table));
  }
}

/** What the engine said, in the words and with the lines of the author whose bundle is in `work`. */
export async function explain(said, work) {
  return explained(said, JSON.parse(await fs.readFile(path.join(work, PLACES), "utf8")));
}

/** Loading a plugin's module runs it, and what runs may never end. */
async function inTime(made) {
  let timer;
  const late = new Promise((_, reject) => {
    const why = `the plugin's module does not load within ${LOAD_MS_MAX / 1000} s: is there a loop that never ends?\n  ${HOW}`;
    timer = setTimeout(() => reject(new BuildError(why)), LOAD_MS_MAX);
  });
  return await Promise.race([made, late]).finally(() => clearTimeout(timer));
}

async function tool(folder, name) {
  const require = createRequire(path.join(folder, "package.json"));
  let file;
  try {
    file = require.resolve(name);
  } catch {
    throw new BuildError(`${name} is not installed in ${folder}; build/tools/package.json has the version`);
  }
  const module = await import(pathToFileURL(file));
  return module.default ?? module;
}

/** The author's module: `main` of package.json, or one of the usual names. As an import of the folder. */
async function entryOf(folder) {
  const text = await fs.readFile(path.join(folder, "package.json"), "utf8").catch(() => "{}");
  const { main } = JSON.parse(text);
  for (const name of main === undefined ? ENTRIES : [main]) {
    const isThere = await fs.stat(path.join(folder, name)).then((found) => found.isFile(), () => false);
    if (isThere) return `./${path.posix.normalize(name)}`;
  }
  throw new BuildError(main === undefined ? `there is no ${ENTRIES.join(", ")} in ${folder}` : `"main" of package.json names ${main}, which is not there`);
}

/** The package's own copy, or the one it lies beside in the project. */
function witFolder() {
  return path.join(HERE, "../../../wit/lockgate-plugin-0.1.0");
}

/** The engine is linked with a folder of WIT: the world, and the package it takes from below `deps`. */
async function writeWorld(work, wit, text) {
  const folder = path.join(work, "wit");
  const deps = path.join(folder, "deps", "lockgate-plugin");
  await fs.rm(folder, { recursive: true, force: true });
  await fs.mkdir(deps, { recursive: true });
  const files = (await fs.readdir(wit)).filter((name) => name.endsWith(".wit"));
  await Promise.all(files.map((name) => fs.copyFile(path.join(wit, name), path.join(deps, name))));
  await fs.writeFile(path.join(folder, "world.wit"), text);
  return folder;
}
