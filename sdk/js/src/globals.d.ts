// What a plugin finds as a global beside the language itself: it runs in no browser and not in Node.js. For `types` of a tsconfig.json.

interface Console {
  /** Writes a line to the host's log, at level `info`. */
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  /** Writes a line at level `error` unless `holds`. */
  assert(holds: unknown, ...values: unknown[]): void;
}

declare var console: Console;

declare class TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
  encodeInto(text: string, into: Uint8Array): { read: number; written: number };
}

/** UTF-8 only, and all of it at once. */
declare class TextDecoder {
  readonly encoding: "utf-8";
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}

declare function atob(text: string): string;
declare function btoa(text: string): string;
