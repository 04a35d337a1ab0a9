//! `lockgate update`: which plugin versions run, pinned.

use clap::Args;

use super::{Common, Failure, output};
use crate::config::prepare::update;
use crate::template;

/// Pin the plugins that run: resolve versions, write lockgate.lock
///
/// Every `name@version` in the integrations is matched with the newest version in the plugin folders, and its digest is pinned.
/// Commit the file: `check` and `run` refuse plugins that are not what it says.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate update
  lockgate update --sdk
  lockgate update -C examples/shop-to-crm")]
pub struct Update {
    /// First bring the workspace's sdk/ and wit/, which `lockgate new` wrote, to what this lockgate carries
    #[arg(long)]
    sdk: bool,
}

impl Update {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let refreshed = if self.sdk { template::refresh(&common.directory)? } else { Vec::new() };
        let update = update(&common.directory)?;
        if common.json {
            let mut told = serde_json::json!(update);
            if self.sdk {
                told["sdk"] = serde_json::json!(refreshed);
            }
            output::json(&told);
            return Ok(());
        }
        for folder in &refreshed {
            output::line(format_args!("{} is that of lockgate {} now", folder.display(), env!("CARGO_PKG_VERSION")));
        }
        if self.sdk && refreshed.is_empty() {
            output::line("sdk is up to date");
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
