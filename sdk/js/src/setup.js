//! What is done once for a configuration. A module of its own: that it is in a bundle says that the plugin has one. Depends on `role`.

import { Role } from "./role.js";

/** Its name among a plugin's roles, of which it is none. */
export const SETUP = "setup";

export const setup = (call) => new Role(SETUP, call);
