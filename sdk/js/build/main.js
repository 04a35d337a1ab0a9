//! Builds a plugin's folder into a component without its manifest, which `lockgate build` puts in. BUILDING.md says how it is called.
//!
//!     node build/main.js --folder DIR --roles sink,source --out FILE [--tools DIR] [--wit DIR] [--work DIR]
//!
//! What went wrong is on standard error, for people; the last line of standard output is a JSON object about the build.

import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { bundle } from "./bundle.js";
import { explained } from "./failed.js";
import { ROLES, world } from "./world.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const LOAD_MS_MAX = 60_000;
const ENTRIES = ["src/index.ts", "src/index.js", "index.ts", "index.js"];

/** What a build cannot go on from, in words for people. */
export class BuildError extends Error {}

export async function build({ folder, roles, tools = folder, wit = witFolder(), work }) {
  const unknown = roles.find((role) => !Object.hasOwn(ROLES, role));
  if (unknown !== undefined || roles.length === 0) throw new BuildError(`roles are one or more of ${Object.keys(ROLES).join(", ")}${unknown === undefined ? "" : `, and not ${unknown}`}`);
  const { esbuild, componentize } = await toolsIn(tools);
  const plugin = await entryOf(folder);
  let bundled;
  try {
    bundled = await bundle(esbuild, { folder, plugin, roles });
  } catch (error) {
    if (error.errors === undefined) throw error;
    throw new BuildError((await esbuild.formatMessages(error.errors, { kind: "error", color: false })).join("").trimEnd());
  }
  const { code, table, imports, warnings } = bundled;
  const witPath = await writeWorld(work, wit, world(roles, imports), code);
  try {
    const { component } = await inTime(componentize({ witPath, world: "plugin", jsSource: code, sync: true }));
    const shown = await esbuild.formatMessages(warnings, { kind: "warning", color: false });
    return { component, code, imports: [...imports].sort(), warnings: shown.map((text) => text.trimEnd()) };
  } catch (error) {
    throw error instanceof BuildError ? error : new BuildError(explained(error, table));
  }
}

/** Loading a plugin's module runs it, and what runs may never end. */
async function inTime(made) {
  let timer;
  const late = new Promise((_, reject) => {
    const why = `the plugin's module does not load within ${LOAD_MS_MAX / 1000} s: is there a loop that never ends?\n  a module is loaded once, while the plugin is built`;
    timer = setTimeout(() => reject(new BuildError(why)), LOAD_MS_MAX);
  });
  return await Promise.race([made, late]).finally(() => clearTimeout(timer));
}

async function toolsIn(folder) {
  const require = createRequire(path.join(folder, "package.json"));
  const load = async (name) => {
    let file;
    try {
      file = require.resolve(name);
    } catch {
      throw new BuildError(`${name} is not installed in ${folder}; build/tools/package.json has the version`);
    }
    const module = await import(pathToFileURL(file));
    return module.default ?? module;
  };
  const [esbuild, { componentize }] = await Promise.all([load("esbuild"), load("componentize-qjs")]);
  return { esbuild, componentize };
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

/** The engine's tool reads a folder: the world, and the package it takes from below `deps`. */
async function writeWorld(work, wit, text, code) {
  const folder = path.join(work, "wit");
  const deps = path.join(folder, "deps", "lockgate-plugin");
  await fs.rm(folder, { recursive: true, force: true });
  await fs.mkdir(deps, { recursive: true });
  const files = (await fs.readdir(wit)).filter((name) => name.endsWith(".wit"));
  await Promise.all(files.map((name) => fs.copyFile(path.join(wit, name), path.join(deps, name))));
  await fs.writeFile(path.join(folder, "world.wit"), text);
  // For whoever looks for a place in it; nothing reads it.
  await fs.writeFile(path.join(work, "plugin.js"), code);
  return folder;
}

async function main() {
  const options = { folder: { type: "string" }, roles: { type: "string" }, out: { type: "string" }, tools: { type: "string" }, wit: { type: "string" }, work: { type: "string" } };
  const { values } = parseArgs({ options });
  for (const name of ["folder", "roles", "out"]) {
    if (values[name] === undefined) throw new BuildError(`--${name} is missing`);
  }
  const started = performance.now();
  const folder = path.resolve(values.folder);
  const work = values.work === undefined ? await fs.mkdtemp(path.join(os.tmpdir(), "lockgate-build-")) : path.resolve(values.work);
  const result = await build({ ...values, folder, work, roles: values.roles.split(","), tools: path.resolve(values.tools ?? folder) });
  result.warnings.forEach((warning) => console.error(warning));
  await fs.mkdir(path.dirname(values.out), { recursive: true });
  await fs.writeFile(values.out, result.component);
  if (values.work === undefined) await fs.rm(work, { recursive: true });
  const sha256 = createHash("sha256").update(result.component).digest("hex");
  const bytes = { bundle: Buffer.byteLength(result.code), component: result.component.length };
  console.log(JSON.stringify({ imports: result.imports, bytes, sha256, ms: Math.round(performance.now() - started) }));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(await fs.realpath(process.argv[1])).href) {
  await main().catch((error) => {
    console.error(error instanceof BuildError ? error.message : error);
    // At once: a module that never ends still runs.
    process.exit(1);
  });
}
