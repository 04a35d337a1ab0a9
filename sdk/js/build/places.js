//! From a source map to the table a component carries: which line of the author's a place in the bundle comes from.
//!
//! A source map of version 3 (ECMA-426) says it for every column and every name; lines are enough, and a tenth of its size.
//! `src/component/places.js` reads what is made here. Depends on nothing.

import path from "node:path";

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** `named` turns a source of the map into what people are shown. */
export function places(map, named) {
  const [sources, numbers] = [[], new Map()];
  let [source, line, lastSource, lastLine] = [0, 0, 0, 0];
  const lines = map.mappings.split(";").map((mapping) => {
    let [column, lastColumn] = [0, 0];
    const segments = [];
    for (const segment of mapping === "" ? [] : mapping.split(",")) {
      const [columns, sourceStep, lineStep] = decoded(segment);
      column += columns;
      if (sourceStep === undefined) continue;
      source += sourceStep;
      line += lineStep;
      const number = numberOf(source);
      if (segments.length > 0 && number === lastSource && line === lastLine) continue;
      segments.push([column - lastColumn, number - lastSource, line - lastLine].map((step) => step.toString(36)).join(","));
      [lastColumn, lastSource, lastLine] = [column, number, line];
    }
    return segments.join(";");
  });
  return { sources, lines: lines.join("\n").trimEnd() };

  function numberOf(index) {
    if (!numbers.has(index)) numbers.set(index, sources.push(named(map.sources[index])) - 1);
    return numbers.get(index);
  }
}

/** Base 64 VLQ: six bits a digit, of which the highest says that another follows, and the lowest of the first is the sign. */
function decoded(segment) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const char of segment) {
    const digit = DIGITS.indexOf(char);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}

/** What a source is called: the same wherever the folder lies. */
export function namer(folder, sdk) {
  return (source) => {
    const full = path.resolve(folder, source);
    const inSdk = path.relative(path.join(sdk, "src"), full);
    if (!inSdk.startsWith("..")) return `@lockgate/sdk/${inSdk.split(path.sep).join("/")}`;
    const parts = full.split(path.sep);
    const modules = parts.lastIndexOf("node_modules");
    return modules >= 0 ? parts.slice(modules + 1).join("/") : path.relative(folder, full).split(path.sep).join("/");
  };
}
