//! `[ledger]` of `lockgate.toml`: which attempts are recorded, for how long and how much of them.

use super::host::{kept_for, set};
use super::quantity;
use super::reader::{Keys, Node};
use crate::ledger::{Records, Settings};
use crate::problem::Code;

const LEDGER: Keys = Keys::all(&["record", "keep", "size"]);
/// Less would not hold one segment beside the one that is written.
const SIZE_MIN: u64 = 256 << 20;
const SIZE_MAX: u64 = 16 << 40;

/// Reads the table. `bodies` is how long what requests sent is kept: what is recorded holds that, too.
pub(super) fn read(node: &Node<'_>, settings: &mut Settings, bodies: Option<std::time::Duration>) {
    let Some(table) = node.table(LEDGER, "{ record = \"all\" }") else { return };
    set(&mut settings.records, table.optional("record"), |node| {
        node.parsed("\"all\"", |text| match text {
            "all" => Ok(Records::All),
            "failures" => Ok(Records::Failures),
            "nothing" => Ok(Records::Nothing),
            _ => Err("must be `all`, `failures` or `nothing`".to_owned()),
        })
    });
    if let Some(node) = table.optional("keep") {
        set(&mut settings.keep, Some(node.clone()), |node| kept_for(node, "\"7d\""));
        if bodies.is_some_and(|bodies| settings.keep.is_none_or(|keep| keep > bodies)) {
            node.note(
                Code::WrongValue,
                "`ledger.keep` is longer than `retention.bodies`: what is recorded holds what was sent",
                "make it no longer than `retention.bodies`, or leave it out",
            );
        }
    }
    set(&mut settings.bytes_max, table.optional("size"), |node| {
        node.parsed("\"4GiB\"", |text| {
            let bytes = quantity::size(text)?;
            if (SIZE_MIN..=SIZE_MAX).contains(&bytes) { Ok(bytes) } else { Err("must be from 256MiB to 16384GiB".to_owned()) }
        })
    });
}
