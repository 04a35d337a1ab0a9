//! A transformer with a setup: gives back the `name` of its config, when it was set up, how often that was, and how often it was called. With
//! `behave = "refuse"` its setup refuses the config, with `"trap"` it panics, with `"endless"` it never ends, with `"ask"` it
//! sends a request.

#![cfg(target_family = "wasm")]

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use lockgate_sdk::{Context, Draft, Failure, Message, Output, Setup, Transformer, http};
use serde_json::json;

#[derive(serde::Deserialize)]
struct Config {
    name: String,
    #[serde(default)]
    behave: String,
}

#[derive(Default)]
struct Seen {
    name: String,
    set_up_ms: u128,
    set_up: u32,
    calls: u32,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

struct Guest;

impl Setup for Guest {
    fn setup() -> Result<(), Failure> {
        let Config { name, behave } = lockgate_sdk::config()?;
        match behave.as_str() {
            "refuse" => return Err(Failure::permanent("config-invalid", format!("nobody is called {name}"))),
            "trap" => panic!("as its config says"),
            "endless" => loop {
                std::hint::black_box(());
            },
            "ask" => drop(http::Request::get("/").send("target")?),
            _ => {}
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut seen = SEEN.lock().unwrap_or_else(|held| held.into_inner());
        let before = seen.as_ref().map_or(0, |seen| seen.set_up);
        *seen = Some(Seen { name, set_up_ms: now.as_millis(), set_up: before + 1, calls: 0 });
        Ok(())
    }
}

impl Transformer for Guest {
    fn transform(_: Message, _: Context) -> Result<Output, Failure> {
        let mut seen = SEEN.lock().unwrap_or_else(|held| held.into_inner());
        let Some(seen) = seen.as_mut() else { return Err(Failure::permanent("not-set-up", "setup was not called")) };
        seen.calls += 1;
        let Seen { name, set_up_ms, set_up, calls } = seen;
        Ok(Draft::json(&json!({ "name": name, "set-up-ms": *set_up_ms as u64, "set-up": set_up, "calls": calls }))?.into())
    }
}

lockgate_sdk::export_setup!(Guest);
lockgate_sdk::export_transformer!(Guest);
