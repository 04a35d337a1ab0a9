//! What a plugin asks of its host, on the host for tests; what goes wrong first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Draft, Failure, batchSink, attempt, config, http, keyValue, log, queue, sink, source, transformer, utf8 } from "@lockgate/sdk";
import { answer, message, messages, noAnswer, run } from "@lockgate/sdk/testing";

/** Runs `act` within a call, and gives what it gives back. */
function within(act, options) {
  let result;
  const plugin = sink(() => {
    result = act();
    return {};
  });
  const ran = run(plugin, message(""), options);
  if (ran.outcome === "failure") throw ran.failure.cause;
  return { result, ...ran };
}

const sent = (respond) => within(() => http.get("/x").send("target"), { answers: [respond] }).result;

test("statuses are sorted into what may pass and what will not", () => {
  for (const status of [408, 425, 429, 500, 502, 503, 504, 599]) assert(sent(answer(status)).failure().isTransient, `${status}`);
  for (const status of [301, 304, 400, 401, 403, 404, 409, 410, 413, 415, 422, 600]) assert(!sent(answer(status)).failure().isTransient, `${status}`);
  assert.equal(sent(answer(404)).failure().code, "http-404");
  assert.throws(() => sent(answer(404, "no such thing")).success(), { detail: "the target answered HTTP 404: no such thing" });
  assert.equal(sent(answer(204)).success().status, 204);
});

test("Retry-After is read in seconds and relative to the answer's Date", () => {
  const until = { "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT" };
  for (const [headers, waitMs] of [
    [{}, null],
    [{ "Retry-After": "120" }, 120_000],
    [{ "Retry-After": "soon" }, null],
    [{ "Retry-After": "-1" }, null],
    [until, null],
    [{ ...until, Date: "Wed, 21 Oct 2015 07:28:00 GMT" }, 30_000],
    [{ ...until, Date: "Wed, 21 Oct 2015 07:29:00 GMT" }, 0],
    [{ ...until, Date: "Wednesday, 21-Oct-15 07:28:00 GMT" }, 30_000],
    [{ ...until, Date: "Wed Oct 21 07:28:00 2015" }, 30_000],
    [{ ...until, Date: "Wed, 31 Feb 2015 07:28:00 GMT" }, null],
  ]) {
    assert.equal(sent(answer(429, "", headers)).retryAfterMs(), waitMs, JSON.stringify(headers));
  }
  assert.equal(sent(answer(503, "", { "retry-after": "2" })).failure().retryAfterMs, 2000);
  assert.equal(sent(answer(404, "", { "retry-after": "2" })).failure().retryAfterMs, null);
});

test("what stands in the way is transient and what the plugin did wrong is not", () => {
  for (const reason of ["timed-out", "unreachable", "breaker-open", "rate-limited", "credential-refused"]) {
    assert.throws(() => sent(noAnswer(reason)), { reason, isTransient: true });
  }
  for (const reason of ["denied", "too-large", "too-many-requests"]) assert.throws(() => sent(noAnswer(reason)), { reason, isTransient: false });
  assert.throws(() => sent(noAnswer("rate-limited", 1500)), { retryAfterMs: 1500, code: "http-rate-limited" });
  assert.throws(() => sent(noAnswer("denied", "path /x is not allowed")), { detail: "path /x is not allowed" });
});

test("an answer that is no JSON may pass", () => {
  assert.throws(() => sent(answer(200, "<html>maintenance</html>")).json(), { code: "answer-invalid", isTransient: true, detail: /maintenance/ });
});

test("an excerpt never cuts a character, and no byte stops it", () => {
  assert.equal(sent(answer(500, "😀".repeat(1000))).excerpt(), "😀".repeat(512));
  assert.equal(sent(answer(500, new Uint8Array([0x61, 0xff]))).excerpt(), "a\ufffd");
});

test("a request is what its builder says", () => {
  const { requests } = within(
    () => http.put("/a b").query("q", "ä&=").query("n", 2).header("X-Odd", "\ud800").json({ id: 820982911946154508n }).label("one").timeout(1.5).send("crm"),
    { answers: [answer(200)] },
  );
  const [{ body, ...request }] = requests;
  const headers = [{ name: "x-odd", value: "\ufffd" }, { name: "content-type", value: "application/json" }];
  assert.deepEqual(request, { slot: "crm", method: "PUT", path: "/a b?q=%C3%A4%26%3D&n=2", headers, label: "one", timeoutMs: 2 });
  assert.equal(utf8.decode(body), '{"id":820982911946154508}');
  assert.throws(() => within(() => http.get("/").send()), /name of a slot/);
  assert.throws(() => http.get("/").timeout("soon"), TypeError);
  assert.throws(() => http.post("/").content("text/plain", 7), TypeError);
});

test("several requests have their answers in order, each with its own way to fail", () => {
  const respond = ({ path }) => (path === "/2" ? noAnswer("timed-out") : answer(200, path));
  const { result } = within(() => http.sendAll("target", [http.get("/1"), http.delete("/2"), http.get("/3")]), { respond });
  assert.deepEqual([result[0].text(), result[1].reason, result[2].text()], ["/1", "timed-out", "/3"]);
  assert(result[1] instanceof Failure);
});

test("the thirty-third request of a call is refused", () => {
  const respond = () => answer(200);
  assert.throws(() => within(() => { for (let n = 0; n < 33; n += 1) http.get("/").send("t"); }, { respond }), { reason: "too-many-requests" });
});

test("a request without a scripted answer finds the target unreachable", () => {
  assert.throws(() => within(() => http.get("/x").send("target")), { reason: "unreachable" });
});

test("the map refuses what the host refuses", () => {
  const refused = (act, reason) => assert.throws(() => within(act, { keyValues: { word: "x", most: String(2n ** 63n - 1n), large: String(2 ** 53) } }), { reason, kind: "permanent" });
  refused(() => keyValue.set("", "v"), "invalid-key");
  refused(() => keyValue.get("k".repeat(513)), "invalid-key");
  refused(() => keyValue.get("a\0b"), "invalid-key");
  refused(() => keyValue.set("k", new Uint8Array(1024 * 1024 + 1)), "value-too-large");
  refused(() => keyValue.increment("word"), "not-a-number");
  refused(() => keyValue.increment("most"), "not-a-number");
  assert.throws(() => within(() => keyValue.increment("large"), { keyValues: { large: String(2 ** 53) } }), { code: "key-value-not-a-number" });
  for (const act of [() => keyValue.get(7), () => keyValue.set("k", 7), () => keyValue.increment("n", 0.5), () => keyValue.set("k", "v", { ttlMs: "1h" })]) {
    assert.throws(() => within(act), TypeError);
  }
});

test("the map counts, swaps and pages", () => {
  const { keyValues } = within(() => {
    assert.equal(keyValue.increment("n", 2), 2);
    assert.equal(keyValue.increment("n", -3), -1);
    assert.equal(keyValue.compareAndSwap("a/1", "x", "y"), false);
    assert.equal(keyValue.compareAndSwap("a/1", null, "y"), true);
    assert.equal(keyValue.compareAndSwap("a/1", "y", "z"), true);
    keyValue.setJson("a/2", { id: 820982911946154508n }, { ttlMs: 1000 });
    assert.deepEqual(keyValue.getJson("a/2"), { id: 820982911946154508n });
    assert.deepEqual(keyValue.list("a/", { limit: 1 }), { keys: ["a/1"], cursor: "a/1" });
    assert.deepEqual(keyValue.list("a/", { cursor: "a/1", limit: 1 }), { keys: ["a/2"], cursor: null });
    keyValue.delete("a/2");
    keyValue.delete("absent");
    assert.equal(keyValue.get("a/2"), null);
    assert.equal(keyValue.getText("a/1"), "z");
  });
  assert.deepEqual([...keyValues.keys()].sort(), ["a/1", "n"]);
});

test("a channel takes what fits, and says why not", () => {
  const { queued } = within(() => queue.send("audit", Draft.text("hi").tracked("order", 7), { delayMs: 1.2, dedupToken: "t" }));
  assert.deepEqual(queued, [{ channel: "audit", draft: Draft.text("hi").tracked("order", "7"), options: { delayMs: 2, dedupToken: "t" } }]);
  assert.throws(() => within(() => queue.send("nowhere", Draft.text("")), { channels: ["audit"] }), { code: "queue-no-such-channel" });
  assert.throws(() => within(() => queue.send("audit", new Draft("x/y", new Uint8Array(4 * 1024 * 1024 + 1)))), { code: "queue-too-large" });
  assert.throws(() => within(() => queue.send("audit", "hi")), { code: "output-invalid" });
});

test("log lines have their level and fields", () => {
  const { lines } = within(() => {
    log.warn("3 left");
    log.info("sent", { order: "#1001", tries: 2 });
  });
  assert.deepEqual(lines, [{ level: "warn", text: "3 left", fields: {} }, { level: "info", text: "sent", fields: { order: "#1001", tries: "2" } }]);
});

test("a configuration keeps its digits", () => {
  assert.deepEqual(within(() => config(), { config: '{"project": 820982911946154508}' }).result, { project: 820982911946154508n });
  assert.deepEqual(within(() => config()).result, {});
});

test("a message is what was accepted", () => {
  const given = message("x", { headers: { "X-Shopify-Topic": "orders/create" }, key: "7", receivedAt: new Date(5) });
  const check = transformer((message) => {
    assert.deepEqual([message.header("x-SHOPIFY-topic"), message.header("absent"), message.key], ["orders/create", null, "7"]);
    assert.equal(message.receivedAt.getTime(), 5);
    return [];
  });
  assert.deepEqual(run(check, given).drafts, []);
  assert.equal(run(transformer((message) => Draft.text(message.text())), message(new Uint8Array([0xff]))).failure.code, "body-invalid");
  assert.equal(run(transformer((message) => Draft.json(message.json())), message('{"id": ')).failure.code, "body-invalid");
});

test("a source gives its page, and starts with no cursor", () => {
  const orders = source((cursor) => {
    const found = http.get(`/orders?after=${cursor ?? "0"}`).send("shop").success().json();
    const items = found.map((order) => ({ id: `${order.version}`, key: `${order.id}`, draft: Draft.json(order) }));
    return { items, cursor: items.at(-1)?.id ?? cursor ?? "0", more: false };
  });
  const { page, requests } = run(orders, null, { answers: [answer(200, [{ id: 7, version: 41 }])] });
  assert.deepEqual(page, { items: [{ id: "41", key: "7", draft: Draft.json({ id: 7, version: 41 }) }], cursor: "41", more: false });
  assert.equal(requests[0].path, "/orders?after=0");
  assert.equal(run(orders, "41", { answers: [answer(503)] }).failure.code, "http-503");
});

test("each message of a batch has an outcome of its own", () => {
  const bulk = batchSink((messages) => {
    const rows = messages.map((message) => attempt(() => ({ id: message.id, data: message.json() })));
    const good = rows.filter((row) => !(row instanceof Failure));
    const answers = http.post("/bulk").json(good).send("target").success().json();
    return rows.map((row) => (row instanceof Failure ? row : { remoteId: answers.shift().id }));
  });
  const { results, requests } = run(bulk, messages(["1", "{", "2"]), { answers: [answer(200, [{ id: "a1" }, { id: "a2" }])] });
  assert.deepEqual([results[0].remoteId, results[1].code, results[2].remoteId], ["a1", "body-invalid", "a2"]);
  assert.equal(JSON.parse(utf8.decode(requests[0].body)).length, 2);
});

test("outside a run the host's functions say so", () => {
  assert.throws(() => http.get("/").send("target"), /only inside run\(\)/);
  assert.throws(() => log.info("x"), /only inside run\(\)/);
});
