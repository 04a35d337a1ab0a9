//! `{{name}}`: creates a record through a REST interface, one for each message.

use lockgate_sdk::{Context, Delivered, Failure, Message, Receipt, Sink, http};
use serde::Deserialize;
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

/// The sink's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "records")]
    path: String,
}

fn records() -> String {
    "/records".into()
}

impl Sink for Plugin {
    fn deliver(message: Message, _context: Context) -> Result<Delivered, Failure> {
        let config: Config = lockgate_sdk::config()?;
        let record: Value = message.json()?;
        // The host adds the credential and an Idempotency-Key; the same content goes out on every attempt.
        let answer = http::Request::post(config.path)
            .json(&record)?
            .send("target")?;
        if answer.status == 409 {
            return Ok(Delivered::skip(
                "already-there",
                "the target has this record already",
            ));
        }
        // 408, 425, 429 and 5xx may pass and are tried again, in time with Retry-After; the rest is a dead letter.
        let created: Value = answer.success()?.json()?;
        let id = created["id"].as_str().map(str::to_owned);
        Ok(Receipt {
            remote_id: id,
            ..Receipt::default()
        }
        .into())
    }
}

lockgate_sdk::export_sink!(Plugin);
