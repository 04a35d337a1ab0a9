//! Where a place in the bundle comes from: the author's file and line. `build` puts the table behind the bundle.
//!
//! The table is `{ sources, lines }`: for each line of the bundle, `column,source,line` for every place from which on the author's line is
//! another, in base 36, each as the difference to the one before.

/** What the engine calls the bundle. Others are no code of anybody's: `<input>` is the text that `JSON.parse` was given. */
const BUNDLE = /^componentize-qjs:/;

export function located(file, line, column) {
  if (!BUNDLE.test(file)) return { place: `${file}:${line}:${column}`, isInternal: true };
  const place = placeIn(globalThis.__lockgatePlaces, line, column);
  return place ?? { place: `${file}:${line}:${column}`, isInternal: false };
}

/** `line` and `column` count from one; null where the table does not know. */
export function placeIn(table, line, column) {
  const found = table === undefined ? undefined : search(table, line, column);
  if (found === undefined) return null;
  const [source, sourceLine] = found;
  // Source maps count lines from zero.
  return { place: `${source}:${sourceLine + 1}`, isInternal: source.startsWith("@lockgate/sdk/") };
}

function search({ sources, lines }, line, column) {
  let found;
  let [source, sourceLine] = [0, 0];
  for (const [index, segments] of lines.split("\n").entries()) {
    if (index >= line) break;
    let at = 0;
    for (const segment of segments === "" ? [] : segments.split(";")) {
      const [columns, sourceStep, lineStep] = segment.split(",").map((number) => parseInt(number, 36));
      at += columns;
      source += sourceStep;
      sourceLine += lineStep;
      if (index === line - 1 && at < column) found = [sources[source], sourceLine];
    }
  }
  return found;
}
