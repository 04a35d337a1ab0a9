import type { Failure } from "./failure.js";

/** What `act` gives back, or the {@link Failure} it throws, as a value. Anything else it throws goes on. */
export function attempt<T>(act: () => T): T | Failure;
