//! A loader for Node.js that strips the types of TypeScript modules.

import fs from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

export async function load(url, context, next) {
  if (!url.startsWith("file:") || !/\.[cm]?ts$/.test(url)) return next(url, context);
  const file = fileURLToPath(url);
  const { transform } = await esbuild();
  const options = { loader: "ts", format: "esm", target: "es2023", sourcefile: file, sourcemap: "inline" };
  const { code } = await transform(await fs.readFile(file, "utf8"), options);
  return { format: "module", source: code, shortCircuit: true };
}

/** As the folder with the tests has it, or the SDK. */
async function esbuild() {
  const places = [path.join(process.cwd(), "package.json"), import.meta.url];
  for (const place of places) {
    try {
      return createRequire(place)("esbuild");
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  throw new Error("TypeScript tests take esbuild on Node.js before 22.18: npm install --save-dev esbuild");
}
