//! Where a place in the running code comes from. Node.js maps places itself (`--enable-source-maps`).

import path from "node:path";
import { fileURLToPath } from "node:url";

const SDK = fileURLToPath(new URL("../../", import.meta.url));

export function located(file, line) {
  const isFile = file.startsWith("file:") || path.isAbsolute(file);
  const full = file.startsWith("file:") ? fileURLToPath(file) : file;
  const relative = isFile ? path.relative(process.cwd(), full) : file;
  const isInternal = file.startsWith("node:") || (full.startsWith(path.join(SDK, "src")) && isFile);
  return { place: `${relative}:${line}`, isInternal };
}
