/**
 * The day of an RFC 3339 time, `2026-03-14` of `2026-03-14T09:26:53+01:00`: in the offset it was written in, which is the
 * sender's own day. Null where there is no such day.
 */
export function day(time: string): string | null;

/**
 * The moment an RFC 3339 time names, `2026-03-14T09:26:53.250+01:00`; null where it is none: no offset, no such day. Digits beyond the
 * millisecond are cut. `Date.parse` reads much that is no date, and each engine something else.
 */
export function parse(time: string): Date | null;

/** RFC 3339 of a moment: `2026-03-14T08:26:53Z`, or with an offset in minutes `2026-03-14T09:26:53+01:00`. */
export function format(date: Date, offsetMinutes?: number): string;

/** Milliseconds since 1970 of a date as HTTP writes it (RFC 9110 section 5.6.7); null where it is none. */
export function httpDate(text: string): number | null;
