//! The workspaces that Lockgate is measured on: `examples/order-to-invoice`, with the bench's target for billing, once or many times.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use super::plugins::{Plugins, TRANSFORMER, unwritable};
use super::subject::SECRET_VARIABLE;
use crate::problem::{Code, Problem};

/// Where the example is in the project's folder.
pub const EXAMPLE: &str = "examples/order-to-invoice";
/// The environment that is written.
pub const ENVIRONMENT: &str = "bench";
/// Deliveries of an integration under way at once. The floor has as many.
pub const CONCURRENCY: usize = 64;
/// Where orders come in.
pub const PATH: &str = "/orders";
/// More than any run leaves waiting.
const WAITING: u64 = 10_000_000;
const INTEGRATION_FILE: &str = "integrations/order-to-invoice.toml";

/// The example's integration, under a name of its own.
#[derive(Clone, Debug)]
pub struct Flow {
    pub name: String,
    path: String,
    transformer: String,
    target: To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// The bench's target.
    Billing,
    /// Where nobody listens, or nobody answers.
    Down,
    /// The target too, but nobody sends anything.
    Idle,
}

impl Flow {
    /// As the example has it.
    pub fn example() -> Self {
        Self { name: "order-to-invoice".into(), path: PATH.into(), transformer: TRANSFORMER.into(), target: To::Billing }
    }

    /// One whose target is down, under another path.
    pub fn parked() -> Self {
        Self { name: "parked".into(), path: "/parked".into(), target: To::Down, ..Self::example() }
    }

    /// Where orders for [`Flow::hanging`] come in.
    pub const HANGING_PATH: &str = "/hanging";

    /// One whose target never answers, under another path.
    pub fn hanging() -> Self {
        Self { name: "hanging".into(), path: Self::HANGING_PATH.into(), target: To::Down, ..Self::example() }
    }

    /// `count` that are the same but for their names and paths; the first `busy` get orders.
    pub fn many(count: usize, busy: usize) -> Vec<Self> {
        let flow = |number: usize| Self {
            name: format!("order-to-invoice-{number:04}"),
            path: numbered(PATH, number),
            target: if number < busy { To::Billing } else { To::Idle },
            ..Self::example()
        };
        (0..count).map(flow).collect()
    }

    /// The example, and `count - 1` integrations that wait for orders, each with a transformer of its own.
    pub fn with_plugins(count: usize) -> Vec<Self> {
        let others = (1..count).map(|number| Self {
            name: format!("order-to-invoice-{number:04}"),
            path: numbered(PATH, number),
            transformer: format!("{TRANSFORMER}-{number:04}"),
            target: To::Idle,
        });
        std::iter::once(Self::example()).chain(others).collect()
    }

    /// Whether it gets orders.
    pub fn is_busy(&self) -> bool {
        self.target == To::Billing
    }
}

/// The path of the `number`-th of several integrations.
pub fn numbered(path: &str, number: usize) -> String {
    format!("{path}/{number:04}")
}

/// Writes a workspace with `flows` into `folder`. Deliveries of busy flows go to the first address, those of flows that are down or hang to the second.
pub fn write(example: &Path, plugins: &Plugins, folder: &Path, [target, other]: [SocketAddr; 2], flows: &[Flow]) -> Result<(), Problem> {
    let integration = std::fs::read_to_string(example.join(INTEGRATION_FILE)).map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("{} cannot be read: {error}", example.join(INTEGRATION_FILE).display()))
            .fix("run the bench in the project's folder, or name it with -C DIR")
    })?;
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| unwritable(&path, &error))
    };
    write("lockgate.toml", &format!("[limits]\nwaiting = {WAITING}\n"))?;
    write(&format!("environments/{ENVIRONMENT}.toml"), &environment(target, other))?;
    for flow in flows {
        write(&format!("integrations/{}.toml", flow.name), &rewritten(&integration, flow)?)?;
    }
    let transformers: BTreeSet<&str> = flows.iter().map(|flow| flow.transformer.as_str()).collect();
    plugins.write(&folder.join("plugins"), transformers.into_iter())
}

/// The example's file with what differs put in its place.
fn rewritten(integration: &str, flow: &Flow) -> Result<String, Problem> {
    let alias = if flow.target == To::Down { "down" } else { "billing" };
    let places = [
        (format!("\"{PATH}\""), format!("\"{}\"", flow.path)),
        (format!("\"{TRANSFORMER}@"), format!("\"{}@", flow.transformer)),
        ("alias = \"billing\"".to_owned(), format!("alias = \"{alias}\"")),
    ];
    let mut text = format!("{integration}\n[delivery]\nconcurrency = {CONCURRENCY}\n");
    for (from, to) in places {
        if !text.contains(&from) {
            let what = format!("{EXAMPLE} is not what the bench expects: its integration does not say {from}");
            return Err(Problem::new(Code::BenchFailed, what).fix("take the example as it is in the project"));
        }
        text = text.replacen(&from, &to, 1);
    }
    Ok(text)
}

fn environment(target: SocketAddr, other: SocketAddr) -> String {
    let owner = "owner = { contact = \"bench@lockgate.example\" }";
    let alias = |name: &str, to: SocketAddr| format!("[alias.{name}]\n{owner}\nurl = \"http://{to}\"\nnetwork = [\"127.0.0.0/8\"]\n");
    let verify = format!("{{ hmac = {{ secret = {{ env = \"{SECRET_VARIABLE}\" }}, header = \"X-Signature\", encoding = \"hex\" }} }}");
    format!("[alias.shop]\n{owner}\nverify = {verify}\n\n{}\n{}", alias("billing", target), alias("down", other))
}
