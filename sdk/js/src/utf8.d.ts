/** The UTF-8 of a text. A lone surrogate, which has none, becomes U+FFFD. */
export function encode(text: string): Uint8Array;

/** The text of UTF-8; throws a TypeError where it is none. A byte order mark stays. */
export function decode(bytes: Uint8Array): string;

/** The text of bytes, U+FFFD in place of what is not UTF-8. For people. */
export function decodeLossy(bytes: Uint8Array): string;
