//! What a plugin exports, throws and gives back; and how a run tells of it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Draft, Failure, batchSink, config, permanent, plugin, setup, sink, skip, source, transient, transformer } from "@lockgate/sdk";
import { message, messages, run } from "@lockgate/sdk/testing";

const given = message("{}");

test("what is thrown without being meant is a permanent failure with its text, file and line", () => {
  const broken = transformer(() => undefined.name);
  const { failure, lines } = run(broken, given);
  assert.deepEqual([failure.code, failure.kind], ["uncaught-exception", "permanent"]);
  assert.match(failure.detail, /^TypeError: .*undefined.*, at .*role\.test\.js:\d+/);
  assert(failure.cause instanceof TypeError);
  assert.deepEqual([lines[0].level, lines[0].text], ["error", `uncaught: ${failure.detail}`]);
  assert.match(lines[0].fields.stack, /role\.test\.js/);
});

test("the line is that of the author's code, also where the SDK found the mistake", () => {
  const { detail } = run(transformer(() => Draft.json({}).tracked()), given).drafts[0] ?? {};
  assert.equal(detail, undefined);
  const { failure } = run(transformer(() => new Draft("text/plain", 7)), given);
  assert.match(failure.detail, /^TypeError: the body of a draft is text or bytes.*role\.test\.js/);
});

test("anything can be thrown", () => {
  const thrown = ["text", null, undefined, 7n, { a: 1 }, Object.create(null), Symbol("s")];
  for (const value of thrown) {
    const { failure } = run(sink(() => { throw value; }), given);
    assert.equal(failure.code, "uncaught-exception");
    assert.match(failure.detail, /was thrown; throw an Error/);
  }
});

test("a failure that is thrown is the failure of the call", () => {
  const { failure } = run(sink(() => { throw transient("row-locked", "busy").retryAfter(1500.5); }), given);
  assert.deepEqual([failure.code, failure.detail, failure.isTransient, failure.retryAfterMs], ["row-locked", "busy", true, 1501]);
  assert.equal(run(transformer(() => { throw permanent("no-country", "\ud800"); }), given).failure.detail, "\ufffd");
});

test("a permanent failure never gets a time to retry at, and a wait without end is the longest there is", () => {
  assert.equal(permanent("nope", "never").retryAfter(3000).retryAfterMs, null);
  assert.equal(transient("later", "much").retryAfter(Infinity).retryAfterMs, Number.MAX_SAFE_INTEGER);
  assert.throws(() => transient("later", "much").retryAfter("soon"), TypeError);
});

test("what no role gives back is named, with what it gives", () => {
  const nothing = [undefined, null, 7, "x", {}, [undefined], [{}], Promise.resolve(Draft.text("")), permanent("a", "b")];
  for (const value of nothing) assert.equal(run(transformer(() => value), given).failure.code, "output-invalid", String(value));
  for (const value of [undefined, null, [], "x", Draft.text(""), { id: 7 }, permanent("a", "b")]) {
    assert.equal(run(sink(() => value), given).failure.code, "output-invalid", String(value));
  }
  for (const value of [undefined, {}, { items: [], cursor: 7, more: false }, { items: [], cursor: "7" }, { items: [{ id: 7 }], cursor: "7", more: false }]) {
    assert.equal(run(source(() => value)).failure.code, "output-invalid", JSON.stringify(value));
  }
  assert.match(run(sink(async () => ({})), given).failure.detail, /not async/);
  assert.match(run(sink(() => undefined), given).failure.detail, /not nothing/);
});

test("a batch whose call throws is told apart only when its message is alone", () => {
  const broken = batchSink(() => { throw new Error("which one?"); });
  assert.deepEqual(run(broken, messages(["1", "2"])).results, []);
  const [failure] = run(broken, messages(["1"])).results;
  assert.equal(failure.code, "uncaught-exception");
  const refused = batchSink(() => { throw transient("http-503", "busy"); });
  assert.deepEqual(run(refused, messages(["1", "2"])).results.map((failure) => failure.code), ["http-503", "http-503"]);
});

test("a skip has its reason, and a receipt what is known", () => {
  assert.deepEqual(run(transformer(() => skip("test-order", "no")), given).skip, skip("test-order", "no"));
  assert.deepEqual(run(sink(() => skip("there-already", "no")), given).skip, skip("there-already", "no"));
  assert.deepEqual(run(sink(() => ({})), given).receipt, { remoteId: null, remoteVersion: null, detail: null });
  assert.deepEqual(run(sink(() => ({ remoteId: 820982911946154508n, remoteVersion: 3 })), given).receipt, { remoteId: "820982911946154508", remoteVersion: "3", detail: null });
});

test("a plugin of several roles runs in the one that is named", () => {
  const both = plugin(transformer(() => Draft.text("t")), sink(() => ({ remoteId: "s" })));
  assert.equal(run(both, given, { role: "sink" }).receipt.remoteId, "s");
  assert.equal(run(both, given, { role: "transformer" }).drafts.length, 1);
  assert.throws(() => run(both, given), /say which one runs/);
  assert.throws(() => run(both, null, { role: "source" }), /is to be a source, and its default export is of the role transformer, sink/);
  assert.throws(() => plugin(sink(() => ({})), sink(() => ({}))), /two of the role sink/);
  assert.throws(() => plugin(() => ({})), /takes roles/);
  assert.throws(() => transformer({}), /takes a function/);
  assert.throws(() => run(() => ({}), given), /default export of a plugin is a role/);
});

test("reading an outcome that there is not says what there was", () => {
  const failed = run(sink(() => { throw new Error("odd"); }), given);
  assert.throws(() => failed.receipt, /no receipt, but a failure \(uncaught-exception: Error: odd.*\n.*role\.test\.js/s);
  assert.throws(() => run(transformer(() => []), given).failure, /no failure, but a drafts/);
  assert.equal(failed.outcome, "failure");
});

test("what a call left behind is not there in the next", () => {
  const failing = run(sink(() => { throw new Error("x"); }), given);
  assert(failing.failure instanceof Failure);
  assert.deepEqual(run(sink(() => ({})), given).lines, []);
});

test("a setup is called first, and what it throws is what is wrong with the configuration", () => {
  let rate;
  const priced = plugin(
    setup(() => {
      ({ rate } = config());
      if (typeof rate !== "number") throw permanent("config-invalid", "rate is a number");
    }),
    transformer((message) => Draft.json({ price: message.json().price * rate })),
  );
  const [draft] = run(priced, message({ price: 2 }), { config: { rate: 3 } }).drafts;
  assert.deepEqual(JSON.parse(Buffer.from(draft.body).toString()), { price: 6 });
  const { failure } = run(priced, message({ price: 2 }), { config: {} });
  assert.deepEqual([failure.code, failure.detail], ["setup-refused", "rate is a number"]);
  const broken = plugin(setup(() => undefined.name), transformer(() => []));
  assert.match(run(broken, given).failure.detail, /^TypeError: .*undefined.*, at .*role\.test\.js:\d+/);
  assert.throws(() => plugin(setup(() => {}), setup(() => {})), /two of the role setup/);
});
