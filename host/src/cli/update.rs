//! `lockgate update`: which plugin versions run, pinned.

use clap::Args;

use super::{Common, Failure, output};
use crate::config::prepare::update;

/// Pin the plugins that run: resolve versions, write lockgate.lock
///
/// Every `name@version` in the integrations is matched with the newest version in the plugin folders, and its digest is pinned.
/// Commit the file: `check` and `run` refuse plugins that are not what it says.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate update
  lockgate update -C examples/shop-to-crm")]
pub struct Update {}

impl Update {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let update = update(&common.directory)?;
        if common.json {
            output::json(&update);
            return Ok(());
        }
        for change in &update.changes {
            output::line(change);
        }
        let count = update.lock.plugins.len();
        let what = if update.changes.is_empty() { "is up to date" } else { "written" };
        output::line(format_args!("lockgate.lock {what}: {count} plugins"));
        Ok(())
    }
}
