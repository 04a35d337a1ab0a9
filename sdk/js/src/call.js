//! One call of a plugin, from the WIT package's shapes and back to them; the same in a component and in a test.
//!
//! Whatever a plugin throws becomes a failure: its own as it stands, anything else a permanent one with its text and line.
//! Depends on `failure`, `log`, `message`, `role`, `uncaught`, `wire`.

import { begin, end } from "#host/calling";
import { Failure } from "./failure.js";
import { write } from "./log.js";
import { Message } from "./message.js";
import { roleOf } from "./role.js";
import { described } from "./uncaught.js";
import { deliveredOf, failureOf, outputOf, pageOf, resultsOf } from "./wire.js";

const UNCAUGHT = "uncaught-exception";

export function transform(exported) {
  const { call } = roleOf(exported, "transformer");
  return (message, context) => during(seedOf([message], context), () => outputOf(call(new Message(message), context)), fail);
}

export function deliver(exported) {
  const { call } = roleOf(exported, "sink");
  return (message, context) => during(seedOf([message], context), () => deliveredOf(call(new Message(message), context)), fail);
}

export function deliverBatch(exported) {
  const { call } = roleOf(exported, "batch-sink");
  return (messages, context) => {
    const failed = (failure) => {
      // Nobody meant to throw this, and which message is to blame is not known. No result at all has the host repeat the call with
      // each half of its messages, until the one to blame is alone.
      if (failure.code === UNCAUGHT && messages.length > 1) return [];
      return messages.map(() => ({ tag: "err", val: failureOf(failure) }));
    };
    return during(seedOf(messages, context), () => resultsOf(call(messages.map((message) => new Message(message)), context)), failed);
  };
}

export function poll(exported) {
  const { call } = roleOf(exported, "source");
  return (cursor) => during(cursor ?? "", () => pageOf(call(cursor ?? null)), fail);
}

/** Before anything else is called. `result<_, string>`: of a failure its detail. */
export function setUp(exported) {
  const { call } = roleOf(exported, "setup");
  return () => during("", () => void call(), refuse);
}

function during(seed, act, failed) {
  begin(seed);
  try {
    return act();
  } catch (error) {
    return failed(failureFrom(error));
  } finally {
    end();
  }
}

/** As the glue of the engine has it: what is thrown is the error of a `result`. */
function fail(failure) {
  throw Object.assign(new Error(failure.code, { cause: failure.cause ?? failure }), { payload: failureOf(failure) });
}

function refuse(failure) {
  throw Object.assign(new Error(failure.code, { cause: failure.cause ?? failure }), { payload: failure.detail });
}

function failureFrom(error) {
  if (error instanceof Failure) return error;
  const { detail, stack } = described(error);
  write("error", `uncaught: ${detail}`, stack === "" ? {} : { stack });
  const failure = new Failure("permanent", UNCAUGHT, detail);
  failure.cause = error;
  return failure;
}

/** What chance follows from: the same for a message on every retry, another for any other. */
function seedOf(messages, context) {
  return [context.idempotencyBase, ...messages.map((message) => message.id)].join(" ");
}
