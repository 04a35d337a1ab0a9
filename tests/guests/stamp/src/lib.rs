//! A transformer on the SDK: puts the `stamp` of its config into each message, so that whoever gets it sees which release made it. With
//! `behave = "trap"` it panics, with `"slow"` it takes its time, with `"for-long"` seconds of it, with `"refuse"` it gives the message back as one that will never do, with `"split"` it makes two of it.

#![cfg(target_family = "wasm")]

use lockgate_sdk::{Context, Draft, Failure, Message, Output, Transformer};
use serde_json::Value;

#[derive(serde::Deserialize)]
struct Config {
    stamp: String,
    #[serde(default)]
    behave: String,
}

struct Stamp;

impl Transformer for Stamp {
    fn transform(message: Message, _: Context) -> Result<Output, Failure> {
        let Config { stamp, behave } = lockgate_sdk::config()?;
        match behave.as_str() {
            "trap" => panic!("as its config says"),
            "slow" => spin(),
            "for-long" => (0..1_000).for_each(|_| spin()),
            "refuse" => return Err(Failure::permanent("refused", "as its config says")),
            _ => {}
        }
        let mut body: Value = message.json()?;
        body["stamp"] = stamp.into();
        if behave == "split" {
            let mut second = body.clone();
            body["part"] = 1.into();
            second["part"] = 2.into();
            return Ok(Output::Drafts(vec![Draft::json(&body)?, Draft::json(&second)?]));
        }
        Ok(Draft::json(&body)?.into())
    }
}

/// Some tens of milliseconds of a core, whatever the optimizer thinks of it.
fn spin() {
    let mut sum = 0_u64;
    for number in 0..60_000_000_u64 {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
    }
    std::hint::black_box(sum);
}

lockgate_sdk::export_transformer!(Stamp);
