//! `lockgate deploy`: the workspace's releases to a running host.

use bytes::Bytes;
use clap::Args;

use super::client::Client;
use super::output::text;
use super::progress::Progress;
use super::run::prepare_workspace;
use super::switching::{Components, Sent, Switching};
use super::{Common, Failure};
use crate::config::prepare::{MissingLock, Prepared};
use crate::config::reader::nearest;
use crate::integration::{PinnedPlugin, Release, Trying};
use crate::problem::{Code, Problem};

/// Have a running host run what the workspace says, while messages flow
///
/// Plugins that the host lacks are sent to it, by the digests that lockgate.lock pins. The host checks, compiles and links the releases
/// first: one that does not fit changes nothing. What differs, and what a release newly asks for, is shown before they are switched,
/// all at once. Deliveries under way end on the release they started on. Where lockgate.toml of the host has [approval], a release may
/// wait until somebody has approved it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate deploy --plan               what would follow, for a pull request; changes nothing that runs
  lockgate deploy                      every integration of the workspace that differs
  lockgate deploy orders-to-crm --host https://lockgate.acme.example
  lockgate deploy orders-to-crm --canary 10%    try it on a tenth of the keys first
  lockgate deploy orders-to-crm --shadow        run it beside the active one, without effect
  lockgate rollback orders-to-crm      back to the release before")]
pub struct Deploy {
    /// Integrations [default: every one of the workspace]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only show what would follow; the host checks, compiles and links all the same
    #[arg(long)]
    plan: bool,
    /// Try it on a share of the keys beside the active release, such as 10%: it ends by itself where it is worse
    #[arg(long, value_name = "PERCENT", value_parser = per_mille)]
    canary: Option<u32>,
    /// Have it run on what the active release has settled, delivering nothing: `lockgate shadow show` tells what it would make otherwise
    #[arg(long, conflicts_with = "canary")]
    shadow: bool,
    /// The environment to check against before the host is asked: environments/<ENV>.toml [default: the one the host runs]
    #[arg(long, value_name = "ENV")]
    env: Option<String>,
}

impl Deploy {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let progress = Progress::new(common.json);
        let environment = match &self.env {
            Some(name) => name.clone(),
            None => text(&client.get("/api/v1/environment").await?, "name"),
        };
        let prepared = prepare_workspace(&common.directory, &environment, MissingLock::Write, &progress)?;
        let releases = self.chosen(&prepared)?;
        if releases.len() != 1 && (self.shadow || self.canary.is_some()) {
            let flag = if self.shadow { "--shadow" } else { "--canary" };
            let name = releases.first().map_or("NAME", |release| release.integration.as_str());
            let problem = Problem::new(Code::WrongUsage, format!("{flag} takes one integration, and the workspace has {}", releases.len()));
            return Err(problem.fix(format!("name it: lockgate deploy {name} {flag}")).into());
        }
        let trying = self.canary.map(Trying::Canary).or(self.shadow.then_some(Trying::Shadow));
        let switching = Switching { client: &client, releases, how: "deploy", trying, progress };
        Ok(switching.run(&prepared, self.plan, common.json).await?)
    }

    fn chosen(&self, prepared: &Prepared) -> Result<Vec<Release>, Problem> {
        let all = prepared.releases();
        for name in &self.names {
            if !all.iter().any(|release| release.integration == *name) {
                let known: Vec<&str> = all.iter().map(|release| release.integration.as_str()).collect();
                let fix = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has: {}", known.join(", ")),
                };
                return Err(Problem::new(Code::WrongUsage, format!("the workspace has no integration {name}")).fix(fix));
            }
        }
        let releases: Vec<Release> =
            all.into_iter().filter(|release| self.names.is_empty() || self.names.contains(&release.integration)).collect();
        if releases.is_empty() {
            return Err(Problem::new(Code::NoWorkspace, "the workspace has no integrations").fix("write integrations/<name>.toml"));
        }
        Ok(releases)
    }
}

/// `10%` in thousandths.
fn per_mille(text: &str) -> Result<u32, String> {
    let number: f64 = text.strip_suffix('%').unwrap_or(text).trim().parse().map_err(|_| "a percentage, such as 10%".to_owned())?;
    if !(0.1..=99.9).contains(&number) {
        return Err("a canary takes a part of the keys: from 0.1% to 99.9%".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 999")]
    let thousandths = (number * 10.0).round() as u32;
    Ok(thousandths)
}

impl Components for Prepared {
    async fn component(&self, plugin: &PinnedPlugin) -> Result<Sent, Problem> {
        let found = self.components.iter().find(|component| component.pinned.digest == plugin.digest);
        let component = found.ok_or_else(|| {
            let message =
                format!("the host lacks {} {} ({}), which the workspace does not have", plugin.name, plugin.version, plugin.digest);
            Problem::new(Code::PluginsLacking, message).fix("deploy without naming other integrations, or from the workspace that has it")
        })?;
        Ok(Sent { bytes: Bytes::copy_from_slice(&component.bytes), signature: component.signature })
    }
}
