//! `<data>/host.json`: where the host that runs on a data folder listens, for commands on the same machine.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::problem::{Code, Problem};

const FILE_NAME: &str = "host.json";

/// A host's addresses, as URLs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    pub ingress: String,
    pub admin: String,
    pub pid: u32,
}

/// What the file says; none if no host runs there (or one ended without tidying up: then nothing answers).
pub fn read(data: &Path) -> Option<Running> {
    serde_json::from_slice(&std::fs::read(data.join(FILE_NAME)).ok()?).ok()
}

/// Written last at a start and moved into place whole, so that who finds it finds a host that listens.
pub fn write(data: &Path, (scheme, ingress): (&str, SocketAddr), admin: SocketAddr) -> Result<(), Problem> {
    let running = Running { ingress: url(scheme, ingress), admin: url("http", admin), pid: std::process::id() };
    let written = serde_json::to_vec_pretty(&running).map_err(std::io::Error::other).and_then(|json| {
        let partial = data.join("host.json.partial");
        std::fs::write(&partial, json)?;
        std::fs::rename(partial, data.join(FILE_NAME))
    });
    written.map_err(|error| {
        Problem::new(Code::DataFolderUnwritable, format!("{}: {error}", data.join(FILE_NAME).display()))
            .fix("make the data folder writable")
    })
}

/// Takes the file away; that it is not there is no error.
pub fn remove(data: &Path) {
    drop(std::fs::remove_file(data.join(FILE_NAME)));
}

/// An address one can connect to: a listener on every interface is reached over loopback.
fn url(scheme: &str, address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("{scheme}://{address}")
}
