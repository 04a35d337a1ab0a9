//! Which releases wait until somebody has approved them: `[approval]` of `lockgate.toml`.

use super::host::set;
use super::reader::{Keys, Node};

const KEYS: Keys = Keys::all(&["count", "not-author", "of"]);
const COUNT_MAX: u64 = 16;

/// The rule; none where nobody has to approve anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalRule {
    /// How many have to approve a release.
    pub count: u32,
    /// Who brought it, or asked for it to be activated, is none of them.
    pub not_author: bool,
    pub of: Approved,
}

/// What has to be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approved {
    /// Releases that ask for more than the ones they replace.
    AsksForMore,
    /// All of them.
    Every,
}

impl ApprovalRule {
    /// Whether a release that newly asks for `asks` has to be approved.
    pub fn covers(&self, asks: &[String]) -> bool {
        self.of == Approved::Every || !asks.is_empty()
    }
}

/// Reads `[approval]`.
pub(super) fn read(node: &Node<'_>) -> Option<ApprovalRule> {
    let table = node.table(KEYS, "{ count = 1, not-author = true }")?;
    let mut rule = ApprovalRule { count: 1, not_author: true, of: Approved::AsksForMore };
    set(&mut rule.count, table.optional("count"), |node| node.integer(1..COUNT_MAX + 1, "1").and_then(|count| count.try_into().ok()));
    set(&mut rule.not_author, table.optional("not-author"), |node| node.boolean("true"));
    set(&mut rule.of, table.optional("of"), |node| node.word(&[("asks-for-more", Approved::AsksForMore), ("every", Approved::Every)]));
    Some(rule)
}
