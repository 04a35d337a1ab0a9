export type Level = "trace" | "debug" | "info" | "warn" | "error";
/** Names and values beside the text. */
export type Fields = Record<string, string | number | bigint | boolean | null>;

/** Writes one line: `log.info("sent", { order: "#1001" })`. `console.log` and its like do the same, at their level. */
export function info(text: string, fields?: Fields): void;
export function trace(text: string, fields?: Fields): void;
export function debug(text: string, fields?: Fields): void;
export function warn(text: string, fields?: Fields): void;
export function error(text: string, fields?: Fields): void;
export function write(level: Level, text: string, fields?: Fields): void;
