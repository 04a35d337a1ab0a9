//! `hello`: greets in the log whoever a message names. A sink that needs no other system, to see one message through.

use lockgate_sdk::{Context, Delivered, Failure, Field, Message, Receipt, Sink, log};
use serde::Deserialize;
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

/// The sink's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "Hello".into()
}

impl Sink for Plugin {
    fn deliver(message: Message, _context: Context) -> Result<Delivered, Failure> {
        let config: Config = lockgate_sdk::config()?;
        let document: Value = message.json()?;
        let name = Field::root(&document).at("name");
        // Without a name the message is a dead letter, which `lockgate dead-letters list` shows.
        let greeting = format!("{}, {}!", config.greeting, name.required(name.text()?)?);
        log::info!("{greeting}");
        Ok(Receipt {
            detail: Some(greeting),
            ..Receipt::default()
        }
        .into())
    }
}

lockgate_sdk::export_sink!(Plugin);
