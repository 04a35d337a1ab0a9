//! A plugin in every role that uses all a host offers: it polls a ticket system, drops what it has seen, and writes back.

use lockgate_sdk::{BatchSink, Context, Delivered, Draft, Failure, Item, Message, Output, Page, Receipt, Sink, Source, Transformer};
use lockgate_sdk::{http, key_value, log, queue};
use serde::Deserialize;
use serde_json::Value;

struct Tickets;

#[derive(Deserialize)]
struct Config {
    project: String,
}

impl Source for Tickets {
    fn poll(cursor: Option<String>) -> Result<Page, Failure> {
        let config = lockgate_sdk::config::<Config>()?;
        let since = cursor.unwrap_or_else(|| "0".into());
        let path = format!("/projects/{}/changes?since={since}", config.project);
        let changes: Vec<Value> = http::Request::get(path).send("tickets")?.success()?.json()?;
        let item = |change: &Value| {
            let id = change["id"].as_str().unwrap_or_default().to_owned();
            Ok(Item { id: id.clone(), key: Some(id), draft: Draft::json(change)? })
        };
        let items: Vec<Item> = changes.iter().map(item).collect::<Result<_, Failure>>()?;
        let cursor = items.last().map_or(since, |item| item.id.clone());
        Ok(Page { more: items.len() == 100, items, cursor })
    }
}

impl Transformer for Tickets {
    fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
        let change: Value = message.json()?;
        let seen = format!("seen/{}", change["id"].as_str().unwrap_or_default());
        if !key_value::compare_and_swap(&seen, None, b"1")? {
            return Ok(Output::skip("seen-before", "this change went through already"));
        }
        queue::send("audit", Draft::json(&change)?, queue::Options::default())?;
        Ok(Draft::json(&change)?.into())
    }
}

impl Sink for Tickets {
    fn deliver(message: Message, context: Context) -> Result<Delivered, Failure> {
        log::info!("attempt {}", context.attempt);
        let answer = http::Request::put("/tickets").body(&message.content_type, message.body).send("tickets")?.success()?;
        Ok(Receipt { remote_version: answer.header("etag").map(str::to_owned), ..Receipt::default() }.into())
    }
}

impl BatchSink for Tickets {
    fn deliver_batch(messages: Vec<Message>, _context: Context) -> Vec<Result<Delivered, Failure>> {
        let requests = messages
            .iter()
            .map(|message| http::Request::put("/tickets").body(&message.content_type, message.body.clone()).label(&message.id));
        let answers = http::send_all("tickets", requests.collect());
        let verdict = |answer: Result<http::Response, http::Error>| {
            answer?.success()?;
            Ok(Receipt::default().into())
        };
        answers.into_iter().map(verdict).collect()
    }
}

lockgate_sdk::export_source!(Tickets);
lockgate_sdk::export_transformer!(Tickets);
lockgate_sdk::export_sink!(Tickets);
lockgate_sdk::export_batch_sink!(Tickets);
