//! Where a place in the bundle comes from: the author's file and line. `build` puts the table behind the bundle.
//!
//! The table is `{ sources, lines }`: of each line of the bundle, `column source line` for every place from which on the author's line is another,
//! in base 36, each as the difference to the one before.

export function located(file, line, column) {
  const table = globalThis.__lockgatePlaces;
  const found = table === undefined ? undefined : search(table, line, column);
  if (found === undefined) return { place: `${file}:${line}:${column}`, isInternal: false };
  const [source, sourceLine] = found;
  return { place: `${source}:${sourceLine}`, isInternal: source.startsWith("@lockgate/sdk/") };
}

function search({ sources, lines }, line, column) {
  let found;
  let [at, source, sourceLine] = [0, 0, 0];
  for (const [index, segments] of lines.split("\n").entries()) {
    if (index >= line) break;
    at = 0;
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
