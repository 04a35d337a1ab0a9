//! A batch sink on the SDK: posts the bodies of a call as lines of one request, and takes each line of the answer for what became of
//! its message. A body that is `poison` makes it panic before it sends anything.

#![cfg(target_family = "wasm")]

use lockgate_sdk::{BatchSink, Context, Delivered, Failure, Message, Receipt, http};

struct Bulk;

impl BatchSink for Bulk {
    fn deliver_batch(messages: Vec<Message>, _: Context) -> Vec<Result<Delivered, Failure>> {
        let lines: Vec<_> = messages.iter().map(|message| String::from_utf8_lossy(&message.body)).collect();
        assert!(!lines.iter().any(|line| line == "poison"), "poison among {}", lines.len());
        match post(&lines.join("\n")) {
            Ok(answer) => answer.lines().map(verdict).collect(),
            Err(failure) => messages.iter().map(|_| Err(failure.clone())).collect(),
        }
    }
}

fn post(lines: &str) -> Result<String, Failure> {
    let answer = http::Request::post("/bulk").body("text/plain", lines).send("target")?.success()?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

fn verdict(line: &str) -> Result<Delivered, Failure> {
    match line.split_once(' ') {
        Some(("ok", id)) => Ok(Receipt { remote_id: Some(id.to_owned()), ..Receipt::default() }.into()),
        _ => Err(Failure::permanent("refused", line)),
    }
}

lockgate_sdk::export_batch_sink!(Bulk);
