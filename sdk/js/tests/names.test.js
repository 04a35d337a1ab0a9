//! What the types name and what there is are the same.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";

import * as sdk from "@lockgate/sdk";
import * as testing from "@lockgate/sdk/testing";

const root = new URL("../", import.meta.url);

/** What a file of types says is there at run time. */
function declared(file) {
  const text = fs.readFileSync(new URL(`src/${file}.d.ts`, root), "utf8");
  const names = [...text.matchAll(/^export (?:function|class|const) (\w+)/gm)].map(([, name]) => name);
  const renamed = [...text.matchAll(/^export \{ \w+ as (\w+) \}/gm)].map(([, name]) => name);
  return [...new Set([...names, ...renamed])].sort();
}

test("every name of the types is there, and no other", async () => {
  const types = fs.readFileSync(new URL("tests/types.ts", root), "utf8");
  const named = /const names: [^{]*\{([^}]*)\}/.exec(types)[1].match(/\w+(?=: true)/g);
  assert.deepEqual(Object.keys(sdk).sort(), named.sort());
  for (const [name, file] of [["base64", "base64"], ["date", "date"], ["http", "http"], ["json", "json"], ["keyValue", "key-value"], ["log", "log"], ["queue", "queue"], ["utf8", "utf8"]]) {
    const present = Object.keys(sdk[name]).sort();
    assert.deepEqual(present, declared(file), name);
  }
  assert.deepEqual(Object.keys(testing).sort(), declared("testing"));
});

test("every member of a class is in its types", async () => {
  const internal = { HttpError: ["of"], Request: ["labelled"], Run: [] };
  for (const [name, file] of [["Message", "message"], ["Draft", "message"], ["Failure", "failure"], ["Decimal", "decimal"], ["Field", "field"], ["http.Request", "http"], ["http.Response", "http"]]) {
    const text = fs.readFileSync(new URL(`src/${file}.d.ts`, root), "utf8");
    const short = name.split(".").at(-1);
    const body = text.slice(text.indexOf(`class ${short}`)).split(/^}/m)[0];
    const there = name.split(".").reduce((object, key) => object[key], sdk);
    const members = [...Object.getOwnPropertyNames(there.prototype), ...Object.getOwnPropertyNames(there)];
    const standard = ["constructor", "prototype", "length", "name", "valueOf", ...(internal[short] ?? [])];
    for (const member of members.filter((member) => !standard.includes(member))) {
      assert.match(body, new RegExp(`\\b${member}\\b`), `${name}.${member} is not in ${file}.d.ts`);
    }
  }
});

test("what plugins are built with is what the SDK is tested with", () => {
  const read = (file) => JSON.parse(fs.readFileSync(new URL(file, root), "utf8"));
  const { devDependencies } = read("package.json");
  const { dependencies } = read("build/tools/package.json");
  for (const [name, version] of Object.entries(dependencies)) assert.equal(devDependencies[name], version, name);
  for (const lock of ["package-lock.json", "build/tools/package-lock.json", "build/engine/package-lock.json"]) {
    const resolved = Object.values(read(lock).packages).map((found) => found.resolved ?? "");
    assert(resolved.every((place) => !place.includes("://")), `${lock} names a registry`);
  }
});
