//! Lets Node.js run TypeScript tests: `node --import @lockgate/sdk/typescript --enable-source-maps --test`.
//!
//! From 22.18 on Node.js strips types itself, and this does nothing. Before, esbuild does it, which building takes anyway.

import { register } from "node:module";

if (!process.features.typescript) register("./testing/typescript-hooks.js", import.meta.url);
