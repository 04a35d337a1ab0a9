//! `batch` of a `[sink]`: how a plugin that takes several messages at once is given them, and what does not go together with it.
//!
//! Depends on `integration`'s types and `config::reader`.

use std::time::Duration;

use super::host::bounded_duration;
use super::reader::{Keys, Node, Table};
use crate::integration::{Batching, DeliveryPolicy, Order};
use crate::problem::Code;

const BATCH: Keys = Keys::all(&["max", "within"]);
const EXAMPLE: &str = "{ max = 100, within = \"1s\" }";
/// Messages in one batch.
const MAX_CEILING: u64 = 1_000;
const WITHIN_MAX: Duration = Duration::from_secs(5 * 60);
/// Messages that the batches of an integration may hold at once, all together: each has its body in memory.
const AT_ONCE_MAX: usize = 10_000;

/// Reads `sink.batch`, if it is there, into `policy`.
pub fn batching(root: &Table<'_>, policy: &mut DeliveryPolicy) {
    let Some(node) = root.optional("sink").filter(|sink| sink.value().is_table()).and_then(|sink| sink.map("[sink]")?.optional("batch"))
    else {
        return;
    };
    let Some(batching) = read(&node) else { return };
    if policy.order == Order::Strict {
        node.note(
            Code::WrongValue,
            "`sink.batch` and `delivery.order` = \"strict\": strict order with batches across keys",
            "take `batch` away, so that messages go one by one, or set `order = \"key\"`",
        );
    }
    let at_once = policy.concurrency.saturating_mul(batching.max);
    if at_once > AT_ONCE_MAX {
        let (max, concurrency) = (batching.max, policy.concurrency);
        node.note(
            Code::WrongValue,
            format!("`sink.batch.max` = {max} and `delivery.concurrency` = {concurrency}: {at_once} messages would be held at once; {AT_ONCE_MAX} are the most"),
            format!("for example `concurrency = {}`: it counts batches", AT_ONCE_MAX / max),
        );
    }
    policy.batch = Some(batching);
}

fn read(node: &Node<'_>) -> Option<Batching> {
    let table = node.table(BATCH, EXAMPLE)?;
    let default = Batching::default();
    let max = table.optional("max").map_or(Some(default.max), |node| {
        if node.value().as_integer().is_some_and(|number| number.as_str() == "1") {
            node.note(
                Code::WrongValue,
                "`sink.batch.max` = 1 is no batch",
                format!("for example `max = {}`, or take `batch` away", default.max),
            );
            return None;
        }
        usize::try_from(node.integer(2..MAX_CEILING + 1, "100")?).ok()
    });
    let within =
        table.optional("within").map_or(Some(default.within), |node| bounded_duration(&node, "\"1s\"", Duration::ZERO, WITHIN_MAX));
    Some(Batching { max: max?, within: within? })
}
