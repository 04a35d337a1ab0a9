//! A plugin's sources as one ES module, by esbuild. Depends on `places`, `world`.

import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";

import { namer, places } from "./places.js";
import { entry, isImport } from "./world.js";

const GLOBALS = fileURLToPath(new URL("../src/component/globals.js", import.meta.url));
const SDK = fileURLToPath(new URL("..", import.meta.url));

/** `{ code, imports, warnings }`; throws what esbuild throws, with its `errors`. */
export async function bundle(esbuild, { folder, plugin, roles }) {
  const result = await esbuild.build({
    stdin: { contents: entry(roles, plugin), resolveDir: folder, sourcefile: "lockgate:entry" },
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
    // Without the comments that say where the sources lie on this machine: the same source gives the same bytes. Names stay, for stacks.
    minifyWhitespace: true,
    legalComments: "none",
    // Columns count characters, and this way bytes are the same.
    charset: "ascii",
    logLevel: "silent",
  });
  const [map, code] = ["plugin.js.map", "plugin.js"].map((name) => result.outputFiles.find((file) => file.path.endsWith(name)).text);
  const [output] = Object.values(result.metafile.outputs).filter((output) => output.entryPoint !== undefined);
  const used = output.imports.filter((found) => found.external).map((found) => found.path);
  return { code: `${code}${table(JSON.parse(map), folder)}`, imports: new Set(used.filter(isImport)), warnings: result.warnings };
}

function table(map, folder) {
  return `\nglobalThis.__lockgatePlaces=${JSON.stringify(places(map, namer(folder, SDK)))};\n`;
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
