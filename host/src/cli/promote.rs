//! `lockgate promote`: what runs on one host to another, by the same digests.

use clap::Args;
use serde_json::Value;

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::progress::Progress;
use super::switching::{Components, Sent, Switching};
use super::{Common, Failure};
use crate::admin::SIGNATURE_HEADER;
use crate::integration::{PinnedPlugin, Release};
use crate::plugin::signature::Signature;
use crate::problem::{Code, Problem};

/// Have another host run the very release that is active on this one
///
/// The release and its plugins are copied as they are: what was tried on one host is what runs on the other, byte by byte. The other host
/// checks them against its own environment, compiles and links them first, and shows what differs from what it runs. Nothing of the
/// environment goes along.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate promote orders-to-crm --from http://qa:8090 --to http://prod:8090 --plan
  LOCKGATE_FROM_TOKEN=… LOCKGATE_TO_TOKEN=… lockgate promote orders-to-crm --from http://qa:8090 --to http://prod:8090")]
pub struct Promote {
    /// The integrations
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Admin address of the host that runs it
    #[arg(long, value_name = "URL")]
    from: String,
    /// Admin address of the host that is to run it
    #[arg(long, value_name = "URL")]
    to: String,
    /// Token for the first host, a deployer's [default: --token]
    #[arg(long, value_name = "TOKEN", env = "LOCKGATE_FROM_TOKEN", hide_env_values = true)]
    from_token: Option<String>,
    /// Token for the second host, a deployer's [default: --token]
    #[arg(long, value_name = "TOKEN", env = "LOCKGATE_TO_TOKEN", hide_env_values = true)]
    to_token: Option<String>,
    /// Only show what would follow on the second host
    #[arg(long)]
    plan: bool,
}

impl Promote {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let host = |url: &str, token: &Option<String>| {
            let token = token.clone().or_else(|| common.token.clone());
            Client::of(&Common { host: Some(url.to_owned()), token, ..common.clone() }, None)
        };
        let (from, to) = (host(&self.from, &self.from_token)?, host(&self.to, &self.to_token)?);
        let progress = Progress::new(common.json);
        let mut releases = Vec::new();
        for name in &self.names {
            releases.push(active(&from, name).await?);
        }
        let switching = Switching { client: &to, releases, how: "promote", trying: None, progress };
        Ok(switching.run(&Source(&from), self.plan, common.json).await?)
    }
}

/// The active release of `name` on `host`.
async fn active(host: &Client, name: &str) -> Result<Release, Problem> {
    let listed = host.get(&format!("/api/v1/integrations/{}/releases", encoded(name))).await;
    let listed = listed.map_err(|problem| or_fix(problem, "`lockgate status --host URL` shows the names"))?;
    let row = list(&listed["releases"]).iter().find(|row| row["state"] == "active");
    let id = row.map(|row| text(row, "release")).ok_or_else(|| {
        Problem::new(Code::NotFound, format!("no release of {name} is active on {}", host.url(""))).fix("deploy it there first")
    })?;
    let release: Value = host.get(&format!("/api/v1/releases/{id}")).await?;
    let release: Release = serde_json::from_value(release)
        .map_err(|error| Problem::new(Code::Internal, format!("the host shows a release in a way that is not ours: {error}")))?;
    // Whoever stands in between changes nothing unnoticed.
    if release.id().0 != id {
        return Err(Problem::new(Code::LockOutdated, format!("what {} shows as release {id} of {name} is another one", host.url("")))
            .fix("both hosts have to run the same version of Lockgate"));
    }
    Ok(release)
}

/// The host that has the components.
struct Source<'a>(&'a Client);

impl Components for Source<'_> {
    async fn component(&self, plugin: &PinnedPlugin) -> Result<Sent, Problem> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD as BASE64;
        let (bytes, headers) = self.0.bytes(&format!("/api/v1/plugins/{}", plugin.digest)).await?;
        if crate::plugin::sha256_hex(&bytes) != plugin.digest {
            return Err(Problem::new(
                Code::LockOutdated,
                format!("what {} gives for {} {} has another digest", self.0.url(""), plugin.name, plugin.version),
            )
            .fix("look at that host's data folder: lockgate status --host URL"));
        }
        let signature = headers.get(SIGNATURE_HEADER).and_then(|value| BASE64.decode(value).ok());
        Ok(Sent { bytes, signature: signature.and_then(|bytes| Signature::of(&bytes)) })
    }
}
