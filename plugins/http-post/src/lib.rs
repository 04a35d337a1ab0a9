//! `http-post`: a sink that posts a message's body as it is, with its content type.
//!
//! 2xx is delivered; `ETag` and `Location` go into the receipt. What other answers mean is the SDK's general rule,
//! `lockgate_sdk::http::Response::failure`. Depends on the SDK only.

use lockgate_sdk::{Context, Delivered, Failure, Message, Receipt, Sink, http};
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct HttpPost;

/// The sink's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "path")]
    path: String,
}

fn path() -> String {
    "/".into()
}

impl Sink for HttpPost {
    fn deliver(message: Message, _context: Context) -> Result<Delivered, Failure> {
        let config = lockgate_sdk::config::<Config>()?;
        let request = http::Request::post(config.path).body(&message.content_type, message.body);
        let answer = request.label("post").send("target")?.success()?;
        let header = |name| answer.header(name).map(str::to_owned);
        Ok(Receipt { remote_id: header("location"), remote_version: header("etag"), detail: Some(format!("HTTP {}", answer.status)) }
            .into())
    }
}

lockgate_sdk::export_sink!(HttpPost);
