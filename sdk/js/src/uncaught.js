//! What was thrown that nobody meant to throw, in the author's words: text, file and line.
//!
//! Depends on the engine's `located`, which knows where a place in the running code comes from.

import { located } from "#host/places";

const FRAME = /^\s*at (?:(.*?) \()?([^()]*?):(\d+)(?::(\d+))?\)?$/;
const FRAMES_MAX = 12;

/** `detail` for the failure, one line; `stack` for the log. */
export function described(error) {
  if (!(error instanceof Error)) return { detail: `${shown(error)} was thrown; throw an Error to have its line`, stack: "" };
  const text = `${error.name}: ${error.message}${hintOf(error)}`;
  const frames = framesOf(error);
  const first = frames.find((frame) => !frame.isInternal) ?? frames[0];
  const detail = first === undefined ? text : `${text}, at ${first.place}${first.name === "" ? "" : ` in ${first.name}`}`;
  const stack = frames.map(({ name, place }) => (name === "" ? place : `${name} (${place})`)).join(" < ");
  return { detail, stack };
}

/** The engine has an error of its own for what the host's limit refuses. */
function hintOf({ name, message }) {
  return name === "InternalError" && message === "out of memory" ? " (limits.memory of the integration says how much a call may use)" : "";
}

function framesOf({ stack }) {
  const lines = typeof stack === "string" ? stack.split("\n") : [];
  const frames = lines.map((line) => FRAME.exec(line)).filter((found) => found !== null).slice(0, FRAMES_MAX);
  return frames.map(([, name = "", file, line, column = "1"]) => {
    const { place, isInternal } = located(file, Number(line), Number(column));
    return { name: name === "<anonymous>" ? "" : name, place, isInternal };
  });
}

function shown(value) {
  try {
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  } catch {
    return "a value without text";
  }
}
