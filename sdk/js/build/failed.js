//! What the engine's tool says when it cannot make a component, in the author's words. Depends on nothing of the build.
export function explained(error, code) {
  return String(error.message ?? error);
}
