//! `{{name}}`: writes records through a bulk interface, several messages in one request.

use lockgate_sdk::{BatchSink, Context, Delivered, Failure, Message, Receipt, http};
use serde::Deserialize;
use serde_json::{Value, json};

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

/// The sink's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "bulk")]
    path: String,
}

fn bulk() -> String {
    "/records/bulk".into()
}

impl BatchSink for Plugin {
    fn deliver_batch(messages: Vec<Message>, _context: Context) -> Vec<Result<Delivered, Failure>> {
        // What is wrong with one message is that message's failure, and nobody else's.
        let rows: Vec<Result<Value, Failure>> = messages.iter().map(row).collect();
        let good: Vec<&Value> = rows.iter().flatten().collect();
        let mut verdicts = match write(&good) {
            Ok(answers) => answers.iter().map(verdict).collect(),
            Err(failure) => vec![Err(failure); good.len()],
        }
        .into_iter();
        let unanswered = || {
            Err(Failure::transient(
                "row-unanswered",
                "the target said nothing of this row",
            ))
        };
        rows.into_iter()
            .map(|row| row.and_then(|_| verdicts.next().unwrap_or_else(unanswered)))
            .collect()
    }
}

/// Under the message's own id: a row that comes again, in whatever company, is written once.
fn row(message: &Message) -> Result<Value, Failure> {
    Ok(json!({ "externalId": message.id, "data": message.json::<Value>()? }))
}

fn write(rows: &[&Value]) -> Result<Vec<Value>, Failure> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let config: Config = lockgate_sdk::config()?;
    http::Request::post(config.path)
        .json(rows)?
        .send("target")?
        .success()?
        .json()
}

fn verdict(answer: &Value) -> Result<Delivered, Failure> {
    match answer["id"].as_str() {
        Some(id) => Ok(Receipt {
            remote_id: Some(id.into()),
            ..Receipt::default()
        }
        .into()),
        None => Err(Failure::permanent(
            "row-refused",
            answer["error"].to_string(),
        )),
    }
}

lockgate_sdk::export_batch_sink!(Plugin);
