//! `lockgate check`: everything that can be known before running.

use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::progress::Progress;
use super::run::prepare_workspace;
use super::{Common, Failure, output};
use crate::config::prepare::{MissingLock, Prepared};
use crate::integration::PinnedPlugin;
use crate::plugin::compile::CompileChild;
use crate::problem::Problems;

/// Check a workspace without running it and without secrets
///
/// Files and their keys, aliases and values, channels, plugins and their roles, grants against what components import, slots, hard-coded
/// endpoints. Plugins in source form are built. Every mistake is told, with its place and its fix; exit status 1 if there is any.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate check --env dev
  lockgate check examples/shop-to-crm --env dev
  lockgate check --env prod --json | jq '.problems[] | {file, line, code, fix}'")]
pub struct Check {
    /// The workspace folder [default: that of -C]
    dir: Option<PathBuf>,
    /// The environment: environments/<ENV>.toml
    #[arg(long, value_name = "ENV")]
    env: String,
}

impl Check {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let dir = self.dir.unwrap_or_else(|| common.directory.clone());
        let progress = Progress::new(common.json);
        let prepared = prepare_workspace(&dir, &self.env, MissingLock::Ignore, &progress);
        drop(progress);
        let prepared = match prepared.and_then(|prepared| validated(&prepared).map(|()| prepared)) {
            Ok(prepared) => prepared,
            Err(problems) => return Err(tell(common, &problems)),
        };
        let summary = prepared.summary();
        if common.json {
            output::json(&serde_json::json!({ "problems": [], "summary": summary }));
            return Ok(());
        }
        let folder = std::fs::canonicalize(&dir).unwrap_or(dir);
        output::line(format_args!("{} is in order for environment {}", folder.display(), summary.environment));
        for name in &summary.integrations {
            output::line(format_args!("  integration  {name}"));
        }
        for plugin in &summary.plugins {
            let asks: Vec<String> = plugin.imports.iter().map(|import| format!("{import:?}").to_lowercase()).collect();
            let asks = if asks.is_empty() { "nothing beyond log and config".to_owned() } else { asks.join(", ") };
            output::line(format_args!("  plugin       {} {} uses {asks}", plugin.name, plugin.version));
        }
        Ok(())
    }
}

/// Whether every plugin is valid: found out in children under limits, since there are plugins that take hours to be found out.
fn validated(prepared: &Prepared) -> Result<(), Problems> {
    let children = CompileChild::new(prepared.workspace.host.plugins.compile);
    let invalid = prepared.components.par_iter().filter_map(|component| {
        let PinnedPlugin { name, version, .. } = &component.pinned;
        children.validate(&component.bytes).err().map(|why| why.problem(&format!("plugin {name}@{version}")))
    });
    Problems(invalid.collect()).or(())
}

fn tell(common: &Common, problems: &Problems) -> Failure {
    output::problems(common.json, problems);
    if !common.json {
        let count = problems.0.len();
        output::complaint(&format!("{count} {}", if count == 1 { "problem" } else { "problems" }));
    }
    Failure::No
}
