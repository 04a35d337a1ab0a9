//! `Math.random` of a call. The engine's own was seeded when the component was built, so every call would see the same numbers.
//!
//! The generator is sfc32 of PractRand, seeded by FNV-1a (32 bits) in four variants, and stirred as its author says.

let a = 0;
let b = 0;
let c = 0;
let counter = 1;
/** What the next number follows from, until it is asked for: most calls ask for none. */
let unread = "";

export function seed(text) {
  unread = text;
}

function stir() {
  [a, b, c] = [0x811c9dc5, 0x9e3779b9, 0x85ebca6b].map((basis) => fnv(unread, basis));
  counter = 1;
  unread = null;
  for (let round = 0; round < 12; round += 1) next();
}

function fnv(text, basis) {
  let hash = basis;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

function next() {
  const sum = (((a + b) | 0) + counter) | 0;
  counter = (counter + 1) | 0;
  a = b ^ (b >>> 9);
  b = (c + (c << 3)) | 0;
  c = (((c << 21) | (c >>> 11)) + sum) | 0;
  return sum >>> 0;
}

/** 53 bits, as many as a number has. */
Math.random = () => {
  if (unread !== null) stir();
  return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
};
