//! A plugin's sources as one ES module, by esbuild. Depends on `places`, `world`.

import { builtinModules } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { namer, places } from "./places.js";
import { entry, isImport } from "./world.js";

const GLOBALS = fileURLToPath(new URL("../src/component/globals.js", import.meta.url));
const SDK = fileURLToPath(new URL("..", import.meta.url));

const SETUP = path.join(SDK, "src/setup.js");

/** `{ code, table, imports, hasSetup, warnings }`; throws what esbuild throws, with its `errors`. */
export async function bundle(esbuild, options) {
  const without = await bundled(esbuild, options, false);
  // Its module is there where the plugin calls it; then it is one of the exports.
  return without.hasSetup ? bundled(esbuild, options, true) : without;
}

async function bundled(esbuild, { folder, plugin, roles }, exportsSetup) {
  const result = await esbuild.build({
    stdin: { contents: entry(roles, plugin, exportsSetup), resolveDir: folder, sourcefile: "lockgate:entry" },
    absWorkingDir: folder,
    bundle: true,
    write: false,
    outfile: "plugin.js",
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["lockgate", "module", "import"],
    target: "es2023",
    define: { "process.env.NODE_ENV": '"production"' },
    inject: [GLOBALS],
    plugins: [imports],
    metafile: true,
    sourcemap: "external",
    // Nothing is minified: the engine tells lines rightly and columns nearly so, and names are for people who read stacks.
    legalComments: "none",
    // The engine counts columns in characters, and this way they are bytes.
    charset: "ascii",
    logLevel: "silent",
  });
  const [map, text] = ["plugin.js.map", "plugin.js"].map((name) => result.outputFiles.find((file) => file.path.endsWith(name)).text);
  const [output] = Object.values(result.metafile.outputs).filter((output) => output.entryPoint !== undefined);
  const used = Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  const hasSetup = used.some(([input]) => path.resolve(folder, input) === SETUP);
  const code = withoutPaths(text, Object.keys(output.inputs));
  const external = output.imports.filter((found) => found.external).map((found) => found.path);
  const table = places(JSON.parse(map), namer(folder, SDK));
  const found = `\nglobalThis.__lockgatePlaces=${JSON.stringify(table)};\n`;
  return { code: code + found, table, imports: new Set(external.filter(isImport)), hasSetup, warnings: result.warnings };
}

/** In front of each part of a module, of which there may be several, stands where it lies on this machine. Without that, the same source gives the same bytes. */
function withoutPaths(code, inputs) {
  const comments = new Set(inputs.map((input) => `// ${input}`));
  const lines = code.split("\n").map((line) => (comments.has(line) ? "//" : line));
  return lines.join("\n");
}

/** What the host gives is left to the engine; what Node.js would give is named. */
const imports = {
  name: "lockgate",
  setup(build) {
    build.onResolve({ filter: /^lockgate:plugin\// }, ({ path }) => ({ path, external: true, sideEffects: false }));
    const builtin = new Set(builtinModules);
    build.onResolve({ filter: /^(?:node:)?[a-z_/]+$/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (pluginData === "asked" || !builtin.has(path.replace(/^node:/, ""))) return null;
      // A package may be called as a module of Node.js is (`buffer`, `events`, `punycode`), and then it is meant.
      const found = path.startsWith("node:") ? null : await build.resolve(path, { kind, importer, resolveDir, pluginData: "asked" });
      if (found !== null && found.errors.length === 0) return found;
      const text = `"${path}" is a module of Node.js, and a plugin does not run in Node.js: it has no files, no sockets and no processes`;
      return { errors: [{ text, notes: [{ text: "What the host offers is in @lockgate/sdk: http, keyValue, queue, log, config." }] }] };
    });
  },
};
