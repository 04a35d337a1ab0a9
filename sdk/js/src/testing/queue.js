//! Messages the run sent to channels.

import { currentHost, thrown } from "./current.js";

const BODY_BYTES_MAX = 4 * 1024 * 1024;
const MESSAGES_MAX = 1000;

export function send(channel, draft, options) {
  const host = currentHost();
  if (!host.channels(channel)) throw thrown("no-such-channel");
  if (draft.body.length > BODY_BYTES_MAX) throw thrown("too-large");
  if (host.queued.length === MESSAGES_MAX) throw thrown("too-many");
  host.queued.push({ channel, draft, options });
}
