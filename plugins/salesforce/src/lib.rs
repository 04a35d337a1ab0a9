//! `salesforce`: a sink that upserts whatever records it is given by external id, all or none, in one composite request.
//!
//! `record` reads what is to be written, `composite` speaks to the REST resource, `verdict` sorts Salesforce's errors into those that
//! may pass and those that will not. README.md says the rules for people. Depends on the SDK only.

mod composite;
mod record;
pub mod verdict;

use lockgate_sdk::{Context, Delivered, Failure, Message, Sink, http};
use serde::Deserialize;
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct Salesforce;

/// The sink's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    #[serde(default = "api_path")]
    api_path: String,
}

fn api_path() -> String {
    "/services/data/v60.0".into()
}

impl Sink for Salesforce {
    fn deliver(message: Message, _context: Context) -> Result<Delivered, Failure> {
        let config = lockgate_sdk::config::<Config>()?;
        let document: Value = message.json()?;
        let records = record::read(&document)?;
        if records.is_empty() {
            return Ok(Delivered::skip("no-records", "the message holds no records to write"));
        }
        let request = composite::request(&records, &config.api_path);
        let answer = http::Request::post("/composite").json(&request)?.label("composite").send("target")?;
        composite::receipt(&records, &answer).map(Delivered::from)
    }
}

lockgate_sdk::export_sink!(Salesforce);
