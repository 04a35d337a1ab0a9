//! Requests of the run, and the answers a test scripted.

import { currentHost, thrown } from "./current.js";

/** As the host limits a call. */
const REQUESTS_MAX = 32;

export function send(slot, request) {
  const host = currentHost();
  if (host.requests.length === REQUESTS_MAX) throw thrown("too-many-requests");
  const sent = { slot, ...request, headers: request.headers.map((header) => ({ ...header })) };
  host.requests.push(sent);
  const answer = host.respond(sent);
  if (answer.error !== undefined) throw thrown(answer.error, answer.value);
  return { status: answer.status, headers: answer.headers.map((header) => ({ ...header })), body: answer.body };
}

export function sendAll(slot, requests) {
  return requests.map((request) => {
    try {
      return { tag: "ok", val: send(slot, request) };
    } catch (error) {
      if (error.payload === undefined) throw error;
      return { tag: "err", val: error.payload };
    }
  });
}
