//! The demo's surroundings: the example's workspace led to a CRM and an audit service of its own, a fresh data folder.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use url::Url;

use super::audit::{self, Audit};
use super::crm::{CLIENT_SECRET, Crm};
use super::shop;
use crate::alias::secret::{Secret, SecretPlace, SecretRef, SecretSource};
use crate::alias::{Alias, Auth};
use crate::app::{Host, Progress, Start};
use crate::clock::SystemClock;
use crate::config::prepare::Prepared;
use crate::problem::{Code, Problem, Problems};
use crate::telemetry::events::Events;

/// The data folder in the demo's own.
pub(super) const DATA: &str = "data";

/// A host on the example, and the systems it talks to.
#[derive(Debug)]
pub struct World {
    pub host: Host,
    pub crm: Crm,
    pub audit: Audit,
    /// Deleted when the demo ends.
    pub data: TempDir,
}

impl World {
    /// Starts the systems and the host on a prepared example.
    ///
    /// # Errors
    /// What stands in the way of a start.
    pub async fn start(mut prepared: Prepared, progress: Progress) -> Result<Self, Problems> {
        let data = tempfile::Builder::new().prefix("lockgate-demo-").tempdir().map_err(|error| stuck("a folder", &error))?;
        let crm = Crm::start().await.map_err(|error| stuck("the CRM", &error))?;
        let audit = Audit::start().await.map_err(|error| stuck("the audit service", &error))?;
        lead_to(&mut prepared, &crm, &audit, data.path());
        let clock = Arc::new(SystemClock::new());
        let events = Events::new(clock.clone());
        let start = Start { prepared, secrets: Arc::new(DemoSecrets), deploy: false, clock, events };
        Ok(Self { host: Host::start(start, progress).await?, crm, audit, data })
    }
}

/// The example's environment names fixed ports; the demo's systems are where there was room.
fn lead_to(prepared: &mut Prepared, crm: &Crm, audit: &Audit, data: &Path) {
    let host = &mut prepared.workspace.host;
    host.data = data.join(DATA);
    host.secrets_key = Some(SecretPlace::File(data.join("secrets.key")));
    host.ingress.set_port(0);
    host.admin.set_port(0);
    let moved = |url: &mut Url, port: u16| {
        // Only a URL without a host has no port to set; an alias's has one.
        let _ = url.set_port(Some(port));
    };
    for Alias { name, url, auth, .. } in prepared.workspace.environment.environment.aliases.values_mut() {
        let port = if name == "audit" { audit.address().port() } else { crm.address().port() };
        if let Some(url) = url {
            moved(url, port);
        }
        if let Auth::OAuth2ClientCredentials { token_url, .. } = auth {
            moved(token_url, port);
        }
    }
}

fn stuck(what: &str, error: &std::io::Error) -> Problem {
    Problem::new(Code::Internal, format!("{what} of the demo cannot be started: {error}"))
        .fix("look at the machine's temporary folder and free ports")
}

/// The secrets of the demo, so that nobody has to set any.
#[derive(Debug)]
struct DemoSecrets;

impl SecretSource for DemoSecrets {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        let secret = match &reference.place {
            SecretPlace::Env(name) if name == "SHOP_SECRET" => shop::SECRET,
            SecretPlace::Env(name) if name == "CRM_SECRET" => CLIENT_SECRET,
            SecretPlace::Env(name) if name == "AUDIT_TOKEN" => audit::TOKEN,
            _ => {
                return Err(Problem::new(Code::MissingSecret, format!("the demo has no {reference}"))
                    .fix("the demo runs the project's own example"));
            }
        };
        Ok(Secret::new(secret))
    }
}
