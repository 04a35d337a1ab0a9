//! Dates as they stand in messages: read strictly, and written in one way.
//!
//! `Date` of the language reads much that is no date, and each engine something else. Depends on nothing.

/** RFC 3339 section 5.6; a leap second is none that a computer's clock knows. */
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))$/;
const DAY = /^(\d{4})-(\d\d)-(\d\d)$/;
/** RFC 9110 section 5.6.7: the form that is sent, and the two that still have to be read. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const MINUTE_MS = 60_000;
const OFFSET_MINUTES_MAX = 23 * 60 + 59;

/** The day of an RFC 3339 time, in the offset it was written in, which is the sender's own day. Null where there is no such day. */
export function day(time) {
  const split = time.indexOf("T");
  if (split < 0) return null;
  const text = time.slice(0, split);
  const parts = DAY.exec(text);
  return parts !== null && isDay(...parts.slice(1).map(Number)) ? text : null;
}

/** The moment an RFC 3339 time names; null where it is none. Digits of a second beyond the third are cut. */
export function parse(time) {
  const parts = RFC_3339.exec(time);
  if (parts === null) return null;
  const [year, month, dayOfMonth, hour, minute, second] = parts.slice(1, 7).map(Number);
  const [, , , , , , , fraction = "", , sign, offsetHours = "0", offsetMinutes = "0"] = parts;
  if (!isDay(year, month, dayOfMonth) || hour > 23 || minute > 59 || second > 59) return null;
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return null;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === "-" ? -1 : 1);
  const moment = utc(year, month, dayOfMonth, hour, minute, second) + Number(fraction.slice(0, 3).padEnd(3, "0"));
  return new Date(moment - offset * MINUTE_MS);
}

/** RFC 3339 of a moment, in UTC or with an offset in minutes. Fractions of a second are written where there are any. */
export function format(date, offsetMinutes = 0) {
  if (!Number.isInteger(offsetMinutes) || Math.abs(offsetMinutes) > OFFSET_MINUTES_MAX) {
    throw new TypeError(`an offset is in whole minutes, less than a day, and not ${offsetMinutes}`);
  }
  const shifted = new Date(date.getTime() + offsetMinutes * MINUTE_MS);
  const year = shifted.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) throw new RangeError("no moment of the years 0000 to 9999");
  const text = shifted.toISOString().slice(0, -1).replace(/\.000$/, "");
  if (offsetMinutes === 0) return `${text}Z`;
  const minutes = Math.abs(offsetMinutes);
  return `${text}${offsetMinutes < 0 ? "-" : "+"}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
}

/** Milliseconds since 1970 of a date as HTTP writes it; null where it is none. */
export function httpDate(text) {
  const parts = HTTP_DATES.map((form) => form.exec(text)).find((found) => found !== null)?.groups;
  if (parts === undefined) return null;
  const [hour, minute, second] = parts.time.split(":").map(Number);
  const month = MONTHS.indexOf(parts.month) + 1;
  const dayOfMonth = Number(parts.day);
  // A year of two digits is of this century or the last, whichever a server can have meant.
  const year = parts.year.length === 4 ? Number(parts.year) : Number(parts.year) + (parts.year < "70" ? 2000 : 1900);
  if (!isDay(year, month, dayOfMonth) || hour > 23 || minute > 59 || second > 59) return null;
  return utc(year, month, dayOfMonth, hour, minute, second);
}

/** `Date.UTC` takes the years 0 to 99 for 1900 to 1999. */
function utc(year, month, dayOfMonth, hour, minute, second) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, dayOfMonth);
  date.setUTCHours(hour, minute, second);
  return date.getTime();
}

function isDay(year, month, dayOfMonth) {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && dayOfMonth >= 1 && dayOfMonth <= days;
}

function two(number) {
  return String(number).padStart(2, "0");
}
