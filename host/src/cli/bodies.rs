//! Bodies on the terminal: a message's own, and what its requests sent and were answered.

use serde_json::{Value, json};

use super::client::{Client, encoded};
use super::output::{list, text};
use crate::layout::laid_out;
use crate::printable::printable;
use crate::problem::Problem;

/// Puts what each request of `message`'s attempts sent and was answered beside it, as `exchange`.
pub async fn fetch(client: &Client, message: &mut Value) -> Result<(), Problem> {
    let id = text(message, "id");
    for attempt in message["attempts"].as_array_mut().into_iter().flatten() {
        let calls = attempt["trace"]["calls"].as_array().into_iter().flatten();
        if calls.flat_map(|call| list(&call["requests"])).next().is_none() {
            continue;
        }
        let path = format!("/api/v1/messages/{}/attempts/{}", encoded(&id), attempt["id"]);
        let mut answer = client.get(&path).await?;
        let mut exchanges = answer["exchanges"].as_array_mut().map(std::mem::take).unwrap_or_default().into_iter();
        let calls = attempt["trace"]["calls"].as_array_mut().into_iter().flatten();
        for request in calls.filter_map(|call| call["requests"].as_array_mut()).flatten() {
            request["exchange"] = exchanges.next().unwrap_or(json!(null));
        }
    }
    Ok(())
}

/// What a request sent and was answered, if that was fetched.
pub fn of_request(request: &Value) -> Vec<String> {
    let exchange = &request["exchange"];
    let sides = [("sent      ", &exchange["sent"]), ("answered  ", &exchange["answer"])];
    sides.iter().filter(|(_, side)| !side.is_null()).flat_map(|(label, side)| of_side(label, side)).collect()
}

fn of_side(label: &str, side: &Value) -> Vec<String> {
    let cut = if side["truncated"] == true { "; the beginning is kept" } else { "" };
    shown(label, &(facts(side["bytes"].as_u64(), side["content-type"].as_str()) + cut), &side["body"])
}

/// `512 bytes, application/json`.
pub fn facts(bytes: Option<u64>, content_type: Option<&str>) -> String {
    let bytes = match bytes.unwrap_or_default() {
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    content_type.map_or(bytes.clone(), |content_type| format!("{bytes}, {}", crate::printable::on_one_line(content_type)))
}

/// Its facts behind `label`, then the body line by line.
pub fn shown(label: &str, facts: &str, body: &Value) -> Vec<String> {
    let (note, text) = match (body["text"].as_str(), body["base64"].as_str()) {
        (Some(text), _) => match laid_out(text) {
            Some(laid_out) if laid_out != text.trim_end() => ("; laid out here", printable(&laid_out)),
            _ => ("", printable(text.trim_end())),
        },
        (None, Some(base64)) => ("; not text, so as base64", base64.to_owned()),
        (None, None) => ("", String::new()),
    };
    std::iter::once(format!("{label}{facts}{note}")).chain(text.lines().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_both_sides_of_a_request_that_was_answered() {
        let sent = json!({ "content-type": "text/plain", "bytes": 70_000, "truncated": true, "body": { "text": "a\u{1b}[2J\nb" } });
        let answer = json!({ "content-type": null, "bytes": 2, "truncated": false, "body": { "base64": "/wA=" } });
        let request = json!({ "exchange": { "sent": sent, "answer": answer } });
        let expected = [
            "sent      70000 bytes, text/plain; the beginning is kept",
            "a\\u{1b}[2J",
            "b",
            "answered  2 bytes; not text, so as base64",
            "/wA=",
        ];
        assert_eq!(of_request(&request), expected);
        assert!(of_request(&json!({ "method": "GET" })).is_empty());
    }
}
