//! What is built: components that ask the host for nothing their code does not use, and say where a mistake is.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import * as esbuild from "esbuild";
import { bundle } from "../build/bundle.js";
import { BuildError, build, explain, prepare } from "../build/build.js";
import { namer, places } from "../build/places.js";
import { located } from "../src/component/places.js";

/** What the engine calls what it runs. */
const BUNDLE = "componentize-qjs:user.js";
const SDK = fileURLToPath(new URL("..", import.meta.url));
const PACKAGE = "lockgate:plugin";
const folders = fs.mkdtempSync(path.join(os.tmpdir(), "lockgate-sdk-"));
after(() => fs.rmSync(folders, { recursive: true }));

/** A plugin's folder with these files. */
function folder(files, name = "plugin") {
  const folder = fs.mkdtempSync(path.join(folders, `${name}-`));
  for (const [file, text] of Object.entries({ "package.json": '{"type": "module"}', ...files })) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  }
  fs.mkdirSync(path.join(folder, "node_modules/@lockgate"), { recursive: true });
  fs.symlinkSync(SDK, path.join(folder, "node_modules/@lockgate/sdk"), "dir");
  return folder;
}

const built = (folder, roles) => build({ folder, roles, tools: SDK, work: path.join(folder, ".work") });
const index = (text) => folder({ "src/index.js": text });
const MAPPING = 'import { Draft, transformer } from "@lockgate/sdk";\nexport default transformer((message) => Draft.json(message.json()));\n';

/** Names of a component's own imports and exports (Component Model, Binary.md: sections 10 and 11 hold a count, then names first). */
function outline(component) {
  const found = { imports: [], exports: [] };
  const reader = { at: 8 };
  const number = () => {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = component[reader.at++];
      value += (byte & 0x7f) * 2 ** shift;
      shift += 7;
    } while (byte & 0x80);
    return value;
  };
  while (reader.at < component.length) {
    const id = component[reader.at++];
    const end = number() + reader.at;
    const text = component.subarray(reader.at, end).toString("latin1");
    const names = [...text.matchAll(/[a-z-]+:[a-z-]+\/[a-z-]+@\d+\.\d+\.\d+/g)].map(([name]) => name);
    if (id === 10) found.imports.push(...names);
    if (id === 11) found.exports.push(...names);
    reader.at = end;
  }
  return found;
}

/** What a component asks of the host: without its language's runtime, and without types, which hold no function. */
const asked = (component) =>
  outline(component).imports.filter((name) => name.startsWith(PACKAGE) && !name.includes("/types@")).map((name) => name.slice(PACKAGE.length + 1).split("@")[0]).sort();

test("a default export that is no role, or of another role, is named", async () => {
  for (const [text, expected] of [
    ["export default {};", /default export of a plugin is a role/],
    [MAPPING.replace("export default ", ""), /No matching export.*"default"/],
    [MAPPING, /the plugin is to be a sink, and its default export is of the role transformer/],
  ]) {
    await assert.rejects(built(index(text), ["sink"]), (error) => error instanceof BuildError && expected.test(error.message));
  }
});

test("a mistake in the source is named with its file and line, as the compiler says it", async () => {
  await assert.rejects(built(index('import { nothing } from "@lockgate/sdk";\nexport default nothing;'), ["sink"]), /src\/index\.js:1:9/);
  await assert.rejects(built(index("export default ("), ["sink"]), /src\/index\.js:1:16/);
  await assert.rejects(built(index('import "./absent.js";'), ["sink"]), /Could not resolve "\.\/absent\.js"/);
});

test("what is thrown while a module is loaded is named with its file and line", async () => {
  const folder_ = folder({ "src/index.js": `${MAPPING}import "./broken.js";`, "src/broken.js": "// one\n// two\nundefined.name;\n" });
  await assert.rejects(built(folder_, ["transformer"]), /cannot read property 'name' of undefined\n    at src\/broken\.js:3\n/);
});

test("what another program heard of the engine is explained by what lies in the work folder", async () => {
  const folder_ = index(`${MAPPING}undefined.name;\n`);
  const work = path.join(folder_, ".work");
  const { code } = await prepare({ folder: folder_, roles: ["transformer"], tools: SDK, work });
  assert.equal(fs.readFileSync(path.join(work, "plugin.js"), "utf8"), code);
  const line = code.split("\n").findIndex((text) => text.includes("(void 0).name")) + 1;
  const said = `Failed to finish JavaScript module evaluation: Error: no name\n    at <anonymous> (componentize-qjs:user.js:${line}:1)\n`;
  assert.match(await explain(said, work), /does not load: no name\n    at src\/index\.js:3\n/);
  assert.match(await explain("wasm trap: call stack exhausted", work), /calls itself without end/);
  assert.match(await explain("disk full", work), /the engine's tool failed: disk full/);
});

test("the host is not there while a module is loaded", async () => {
  const text = `${MAPPING}import { config } from "@lockgate/sdk";\nexport const early = config();\n`;
  await assert.rejects(built(index(text), ["transformer"]), /the host is there during a call only.*\n    at src\/index\.js:4\n/);
});

test("a module of Node.js is refused with what there is instead", async () => {
  for (const name of ["fs", "node:crypto", "child_process"]) {
    await assert.rejects(built(index(`import x from "${name}";\nexport default x;`), ["sink"]), (error) => error.message.includes(`"${name}" is a module of Node.js`));
  }
});

test("a folder without a module, a tool that is missing and a role there is not are named", async () => {
  await assert.rejects(built(folder({}), ["sink"]), /there is no src\/index\.ts/);
  await assert.rejects(built(folder({ "package.json": '{"main": "lib/x.js"}' }), ["sink"]), /"main" of package\.json names lib\/x\.js/);
  await assert.rejects(build({ folder: index(MAPPING), roles: ["transformer"], tools: folders, work: folders }), /esbuild is not installed/);
  await assert.rejects(built(index(MAPPING), ["sinc"]), /and not sinc/);
});

test("a mapping asks for nothing but log, and each capability is asked for by what calls it", async () => {
  const mapping = await built(index(MAPPING), ["transformer"]);
  assert.deepEqual(asked(mapping.component), ["log"]);
  const connector = `
    import { Draft, batchSink, config, http, keyValue, plugin, queue, sink, source, transformer } from "@lockgate/sdk";
    export default plugin(
      source(() => ({ items: [], cursor: config().start, more: false })),
      transformer((message) => { queue.send("audit", Draft.json(message.json())); return []; }),
      sink((message) => { keyValue.set("seen", message.id); http.get("/").send("target"); return {}; }),
      batchSink((messages) => messages.map(() => ({}))),
    );`;
  const all = await built(index(connector), ["source", "transformer", "sink", "batch-sink"]);
  assert.deepEqual(asked(all.component), ["config", "http", "key-value", "log", "queue"]);
  const exported = outline(all.component).exports.filter((name) => name.startsWith(PACKAGE));
  assert.deepEqual([...new Set(exported)].sort(), ["batch-sink", "sink", "source", "transformer"].map((role) => `${PACKAGE}/${role}@0.1.0`));
});

test("a bundle is the same wherever its folder lies, and names no place on this machine", async () => {
  const files = { "src/index.ts": `import { sum } from "./sum.ts";\n${MAPPING}console.log(sum(1));`, "src/sum.ts": "export const sum = (n: number) => n + 1;" };
  const roles = ["transformer"];
  const [one, other] = await Promise.all(["a", "another"].map((name) => bundle(esbuild, { folder: folder(files, name), plugin: "./src/index.ts", roles })));
  assert.equal(one.code, other.code);
  assert(!one.code.includes(folders) && !one.code.includes(SDK));
});

test("a place in a bundle is found again in its source", async () => {
  const text = `${MAPPING}export function marked(one,\n  two) {\n  return [one.a,\n    two.b]\n    .map((x) => x.MARK);\n}\nglobalThis.kept = marked;\n`;
  const { code, table } = await bundle(esbuild, { folder: index(text), plugin: "./src/index.js", roles: ["transformer"] });
  globalThis.__lockgatePlaces = table;
  const at = code.indexOf("MARK");
  const line = code.slice(0, at).split("\n").length;
  const column = at - code.lastIndexOf("\n", at);
  assert.deepEqual(located(BUNDLE, line, column), { place: "src/index.js:7", isInternal: false });
  assert.deepEqual(located(BUNDLE, 9999, 1).place, `${BUNDLE}:9999:1`);
  assert.deepEqual(located("<input>", 1, 2), { place: "<input>:1:2", isInternal: true });
  delete globalThis.__lockgatePlaces;
  assert.deepEqual(located(BUNDLE, 1, 2), { place: `${BUNDLE}:1:2`, isInternal: false });
});

test("sources are called the same on every machine", () => {
  const named = namer("/home/one/plugin", "/opt/sdk");
  assert.equal(named("src/a.ts"), "src/a.ts");
  assert.equal(named("../../../opt/sdk/src/http.js"), "@lockgate/sdk/http.js");
  assert.equal(named("../node_modules/big/lib/x.js"), "big/lib/x.js");
  assert.deepEqual(places({ mappings: "AAAA,CAAC;;ACCA", sources: ["a", "b"] }, (source) => source), { sources: ["a", "b"], lines: "0,0,0\n\n0,1,1" });
});

test("a plugin that calls setup() exports it, and no other does", async () => {
  const text = `import { Draft, config, plugin, setup, transformer } from "@lockgate/sdk";
    let name;
    export default plugin(setup(() => { name = config().name; }), transformer(() => Draft.json({ name })));`;
  const exported = ({ component }) => outline(component).exports.filter((name) => name.startsWith(PACKAGE));
  const [withSetup, without] = await Promise.all([text, MAPPING].map((text) => built(index(text), ["transformer"])));
  assert.deepEqual(exported(withSetup).sort(), [`${PACKAGE}/setup@0.1.0`, `${PACKAGE}/transformer@0.1.0`]);
  assert.deepEqual(asked(withSetup.component), ["config", "log"]);
  assert.deepEqual(exported(without), [`${PACKAGE}/transformer@0.1.0`]);
});
