//! A host for tests in Node.js: configuration, scripted HTTP answers, key-value and queue, all in memory. The plugin runs natively,
//! through the same conversions as in a component.

import { bytesOf } from "./bytes.js";
import * as call from "./call.js";
import { write } from "./json.js";
import { Message } from "./message.js";
import { rolesOf } from "./role.js";
import { SETUP } from "./setup.js";
import { Run, failureFrom, outcomeFrom, pageFrom, resultFrom } from "./testing/run.js";
import { during } from "./testing/current.js";

const RECEIVED_AT = new Date(1_700_000_000_000);
const UNREACHABLE = { error: "unreachable", value: "no scripted answer is left" };

export function message(body, { id, key, contentType, headers, receivedAt } = {}) {
  return new Message({
    id: id ?? "01890a5d-ac96-774b-bcce-b302099a8057",
    key: key ?? null,
    contentType: contentType ?? "application/json",
    headers: headerList(headers),
    body: bodyOf(body),
    receivedAt: receivedAt ?? RECEIVED_AT,
  });
}

export function messages(bodies, options = {}) {
  return [...bodies].map((body, number) => {
    const id = `01890a5d-ac96-774b-bcce-${number.toString(16).padStart(12, "0")}`;
    return message(body, { id, key: `key-${number}`, ...options });
  });
}

export function answer(status, body = "", headers = {}) {
  return { status, headers: headerList(headers), body: bodyOf(body) };
}

export function noAnswer(reason, value) {
  return { error: reason, ...(value === undefined ? defaults(reason) : { value }) };
}

function defaults(reason) {
  if (reason === "denied") return { value: "the integration does not allow this" };
  if (reason === "unreachable") return { value: "connection refused" };
  return reason === "rate-limited" ? { value: null } : {};
}

/** Runs `plugin` in one role; see `testing.d.ts`. */
export function run(plugin, input, options = {}) {
  const host = hostOf(options);
  const role = options.role ?? theRole(plugin);
  const outcome = during(host, () => refusedBySetup(plugin) ?? CALLS[role](plugin, input, contextOf(options.context)));
  return new Run(outcome, host);
}

const CALLS = {
  transformer: (plugin, message, context) => attempt(() => outcomeFrom(call.transform(plugin)(wireOf(message), context))),
  sink: (plugin, message, context) => attempt(() => outcomeFrom(call.deliver(plugin)(wireOf(message), context))),
  "batch-sink": (plugin, messages, context) => {
    const results = call.deliverBatch(plugin)(messages.map(wireOf), context);
    return { results: results.map(resultFrom) };
  },
  source: (plugin, cursor) => attempt(() => ({ page: pageFrom(call.poll(plugin)(cursor ?? null)) })),
};

/** As a host that calls `setup` in each call. */
function refusedBySetup(plugin) {
  if (!rolesOf(plugin).some(({ name }) => name === SETUP)) return null;
  try {
    call.setUp(plugin)();
    return null;
  } catch (error) {
    if (typeof error?.payload !== "string") throw error;
    return { failure: failureFrom({ tag: "permanent", val: { code: "setup-refused", detail: error.payload } }, error.cause) };
  }
}

function attempt(act) {
  try {
    return act();
  } catch (error) {
    if (error?.payload === undefined) throw error;
    return { failure: failureFrom(error.payload, error.cause) };
  }
}

function theRole(plugin) {
  const names = rolesOf(plugin).map((role) => role.name).filter((name) => name !== SETUP);
  if (names.length === 1) return names[0];
  throw new TypeError(`the plugin has the roles ${names.join(", ")}: say which one runs, { role: "${names[0]}" }`);
}

function hostOf({ config = {}, answers = [], respond, keyValues = {}, channels = () => true }) {
  const left = [...answers];
  const entries = Object.entries(keyValues).map(([key, value]) => [key, bytesOf(value, "a value")]);
  return {
    config: typeof config === "string" ? config : write(config),
    respond: respond ?? (() => left.shift() ?? UNREACHABLE),
    keyValues: new Map(entries),
    channels: typeof channels === "function" ? channels : (channel) => channels.includes(channel),
    requests: [],
    lines: [],
    queued: [],
  };
}

function contextOf({ attempt = 0, replay = 0, idempotencyBase = "00" } = {}) {
  return { attempt, replay, idempotencyBase };
}

function wireOf({ id, key, contentType, headers, body, receivedAt }) {
  return { id, key, contentType, headers, body, receivedAt: receivedAt.getTime() };
}

/** Text and bytes as they are; anything else as JSON. */
function bodyOf(body) {
  const isRaw = typeof body === "string" || body instanceof ArrayBuffer || ArrayBuffer.isView(body);
  return bytesOf(isRaw ? body : write(body), "a body");
}

function headerList(headers = {}) {
  const pairs = Array.isArray(headers) ? headers.map(({ name, value }) => [name, value]) : Object.entries(headers);
  return pairs.map(([name, value]) => ({ name: name.toLowerCase(), value: String(value) }));
}
