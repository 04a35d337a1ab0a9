//! `lockgate build` runs this for a plugin's folder; BUILDING.md says how.
//!
//!     node build/main.js --folder DIR --roles sink,source --bundle --work DIR [--tools DIR] [--wit DIR]
//!     node build/main.js --explain --work DIR < what-the-engine-said
//!     node build/main.js --folder DIR --roles sink,source --out FILE [--tools DIR] [--wit DIR] [--work DIR]
//!
//! What went wrong is on standard error, for people; the last line of standard output is a JSON object about the build.

import { createHash } from "node:crypto";
import fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";

import { BuildError, build, explain, prepare } from "./build.js";

const TEXT = { type: "string" };
const FLAG = { type: "boolean" };
const OPTIONS = { folder: TEXT, roles: TEXT, out: TEXT, tools: TEXT, wit: TEXT, work: TEXT, bundle: FLAG, explain: FLAG };

async function main() {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.explain) return console.log(await explain(await text(process.stdin), needed(values, "work")));
  const started = performance.now();
  const folder = path.resolve(needed(values, "folder"));
  const work = path.resolve(values.bundle || values.work !== undefined ? needed(values, "work") : await fs.mkdtemp(path.join(os.tmpdir(), "lockgate-build-")));
  const options = { ...values, folder, work, roles: needed(values, "roles").split(","), tools: path.resolve(values.tools ?? folder) };
  const result = await (values.bundle ? prepare(options) : build(options));
  result.warnings.forEach((warning) => console.error(warning));
  const about = { imports: result.imports, bytes: { bundle: Buffer.byteLength(result.code) } };
  if (!values.bundle) await write(path.resolve(needed(values, "out")), result.component, about);
  if (!values.bundle && values.work === undefined) await fs.rm(work, { recursive: true });
  console.log(JSON.stringify({ ...about, ms: Math.round(performance.now() - started) }));
}

async function write(file, component, about) {
  await fs.mkdir(path.dirname(file), { recursive: true });
  await fs.writeFile(file, component);
  about.bytes.component = component.length;
  about.sha256 = createHash("sha256").update(component).digest("hex");
}

function needed(values, name) {
  if (values[name] === undefined) throw new BuildError(`--${name} is missing`);
  return values[name];
}

await main().catch((error) => {
  console.error(error instanceof BuildError || error.code?.startsWith("ERR_PARSE_ARGS") ? error.message : error);
  // At once: a module that never ends still runs.
  process.exit(1);
});
