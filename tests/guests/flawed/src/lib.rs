//! A plugin on the SDK with the one flaw that the `flaw` of its config names, and sound without one: what the failure suite has to find,
//! and what it must not find. The transformer makes an invoice of an order, the sink posts records, the source reads a feed.

#![cfg(target_family = "wasm")]

use lockgate_sdk::{Context, Delivered, Draft, Failure, Field, Item, Message, Output, Page, Receipt, Sink, Source, Transformer, http};
use serde_json::{Value, json};

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Config {
    flaw: String,
}

fn flaw() -> Result<String, Failure> {
    Ok(lockgate_sdk::config::<Config>()?.flaw)
}

struct Flawed;

impl Transformer for Flawed {
    fn transform(message: Message, _: Context) -> Result<Output, Failure> {
        let flaw = flaw()?;
        let order: Value = match flaw.as_str() {
            "trap-on-body" => serde_json::from_slice(&message.body).unwrap(),
            _ => message.json()?,
        };
        let field = Field::root(&order);
        if field.object()?.is_none() {
            return Err(Failure::permanent("body-invalid", "there is no order in it"));
        }
        let customer = field.at("customer");
        customer.object()?;
        let note = field.at("note").text()?;
        let name = match flaw.as_str() {
            "trap" => order["customer"]["name"].as_str().unwrap(),
            _ => text(&customer.at("name"))?,
        };
        let total = match flaw.as_str() {
            // A total that came as a number is none, and nobody is told.
            "silently-null" => order["total"].as_str().map_or(Value::Null, Value::from),
            // Where there is none, it is nought.
            "default" => json!(field.at("total").text()?.unwrap_or("0.00")),
            _ => json!(text(&field.at("total"))?),
        };
        if flaw == "loop" && note.is_some_and(|note| note.len() > 10_000) {
            spin();
        }
        let note = match flaw.as_str() {
            "mangle" => note.map(|note| note.chars().filter(char::is_ascii).collect::<String>()),
            _ => note.map(str::to_owned),
        };
        let mut lines = Vec::new();
        for item in field.at("items").objects()?.unwrap_or_default() {
            // A line that is not as it should be is left out, and nobody is told.
            if flaw == "drops-lines" && text(&item.at("sku")).is_err() {
                continue;
            }
            lines.push(json!({ "sku": text(&item.at("sku"))?, "quantity": item.at("quantity").value() }));
        }
        let invoice = json!({
            "reference": text(&field.at("id"))?,
            "debtor": { "name": name, "email": customer.at("email").text()? },
            "total": total,
            "kind": "invoice",
            "note": note,
            "lines": lines,
        });
        Ok(Draft::json(&invoice)?.into())
    }
}

/// What has to be there.
fn text<'a>(field: &Field<'a>) -> Result<&'a str, Failure> {
    field.required(field.text()?)
}

impl Sink for Flawed {
    fn deliver(message: Message, context: Context) -> Result<Delivered, Failure> {
        let flaw = flaw()?;
        let label = if flaw == "relabel" { format!("attempt {}", context.attempt) } else { "record".into() };
        let mut body = message.body;
        if flaw == "restless" {
            body.extend(format!("\nattempt {}", context.attempt).bytes());
        }
        let request = match flaw.as_str() {
            "put" => http::Request::put("/records/1"),
            _ => http::Request::post("/records"),
        };
        let answer = match request.body(&message.content_type, body).label(label).send("target") {
            Ok(answer) => answer,
            Err(_) if flaw == "skip" => return Ok(Delivered::skip("not-now", "it did not answer")),
            Err(_) if flaw == "lose" => return Ok(Receipt::default().into()),
            Err(error) => return Err(error.into()),
        };
        match flaw.as_str() {
            // Whatever was answered.
            "lose" => return Ok(Receipt::default().into()),
            "skip" if !answer.is_success() => return Ok(Delivered::skip("not-now", "it did not answer well")),
            "park" if !answer.is_success() => return Err(Failure::permanent("refused", answer.status.to_string())),
            _ => {}
        }
        let answer = answer.success()?;
        let record: Value = match flaw.as_str() {
            "trap" => serde_json::from_slice(&answer.body).unwrap(),
            // By the status alone.
            "blind" => Value::Null,
            _ => answer.json()?,
        };
        Ok(Receipt { remote_id: record["id"].as_str().map(str::to_owned), ..Receipt::default() }.into())
    }
}

/// Asks `/feed?after=N`, which answers with a list of `{id, text}`; the cursor is the number of the last.
impl Source for Flawed {
    fn poll(cursor: Option<String>) -> Result<Page, Failure> {
        let flaw = flaw()?;
        let cursor = cursor.unwrap_or_else(|| "0".into());
        let on = |cursor: &str| cursor.parse::<u64>().unwrap_or(0).saturating_add(1).to_string();
        let empty = |cursor: String| Page { items: Vec::new(), cursor, more: false };
        let answer = match http::Request::get(format!("/feed?after={cursor}")).send("target") {
            Ok(answer) if answer.is_success() => answer,
            // What could not be read is left out.
            _ if flaw == "forget" => return Ok(empty(on(&cursor))),
            Ok(answer) => return Err(answer.failure()),
            Err(error) => return Err(error.into()),
        };
        let records: Vec<Value> = match flaw.as_str() {
            "trap" => serde_json::from_slice(&answer.body).unwrap(),
            _ => answer.json()?,
        };
        let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let item = |record: &Value| {
            let id = if flaw == "rename" { format!("{}-{}", text(record, "id"), now()) } else { text(record, "id") };
            Item { id, key: None, draft: Draft::new("text/plain", text(record, "text")) }
        };
        let items: Vec<Item> = records.iter().map(item).collect();
        // One that counts on being asked twice gives the same again.
        let cursor = if items.is_empty() || flaw == "rename" { cursor } else { on(&cursor) };
        Ok(Page { items, cursor, more: false })
    }
}

fn now() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |passed| passed.as_millis())
}

fn spin() {
    let mut sum = 1_u64;
    while sum != 0 {
        sum = std::hint::black_box(sum.wrapping_mul(31) | 1);
    }
}

lockgate_sdk::export_transformer!(Flawed);
lockgate_sdk::export_sink!(Flawed);
lockgate_sdk::export_source!(Flawed);
