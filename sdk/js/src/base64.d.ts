/** Base64 of bytes, or of the UTF-8 of a text (RFC 4648 section 4). */
export function encode(value: Uint8Array | string): string;

/** The same for URLs, without padding (section 5). */
export function encodeUrl(value: Uint8Array | string): string;

/** The bytes; throws a TypeError for what is no base64 with its padding. */
export function decode(text: string): Uint8Array;

/** The bytes of base64 for URLs, with or without padding; throws a TypeError. */
export function decodeUrl(text: string): Uint8Array;
