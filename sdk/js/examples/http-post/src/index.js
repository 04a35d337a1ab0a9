// @ts-check
//! `http-post`: a sink that posts a message's body as it is, with its content type.
//!
//! 2xx is delivered; `ETag` and `Location` go into the receipt. What other answers mean is the SDK's general rule,
//! `Response.failure`. Depends on the SDK only.

import { config, http, permanent, sink } from "@lockgate/sdk";

export default sink((message) => {
  const answer = http.post(path()).content(message.contentType, message.body).label("post").send("target").success();
  return { remoteId: answer.header("location"), remoteVersion: answer.header("etag"), detail: `HTTP ${answer.status}` };
});

/** The sink's configuration; plugin.toml describes it. */
function path() {
  const { path = "/", ...others } = config();
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw permanent("config-invalid", `the configuration has ${unknown}, and should have path alone`);
  if (typeof path !== "string") throw permanent("config-invalid", `path should be text, and is ${typeof path}`);
  return path;
}
