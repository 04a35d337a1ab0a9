//! The JavaScript of the pages for authors, run; its tests, too.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const SDK = fileURLToPath(new URL("..", import.meta.url));

for (const page of ["../../docs/plugins-javascript.md", "README.md"]) {
  const text = fs.readFileSync(path.join(SDK, page), "utf8");
  const shown = [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)];
  assert(shown.length > 0, `${page} shows no JavaScript`);
  for (const [, code] of shown) {
    const line = text.slice(0, text.indexOf(code)).split("\n").length;
    test(`${page}:${line} runs`, async () => {
      // Below the SDK's folder, where its own name leads to it.
      const folder = fs.mkdtempSync(path.join(SDK, ".shown-"));
      try {
        const file = path.join(folder, "shown.js");
        fs.writeFileSync(file, code);
        await import(pathToFileURL(file));
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });
  }
}
