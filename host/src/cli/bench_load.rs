//! `lockgate bench load`: the load generator and its target alone, for whatever else does what Lockgate does.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use url::Url;

use super::signals::until_a_signal;
use super::{Common, Failure, output};
use crate::bench::figures::readable;
use crate::bench::standalone::{self, Aim, Shown};
use crate::problem::{Code, Problem};

/// Aim the load generator at any URL, and count at a target what becomes of it
///
/// Posts orders as JSON, signed with HMAC-SHA256 in `X-Signature`, and expects an HTTP request to the target for each, with the order's number
/// (`LGB-` and ten digits) somewhere in its body. Tells what was accepted, what arrived, what was lost and what arrived twice.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate bench load --url http://127.0.0.1:1880/orders --target 127.0.0.1:9030
  lockgate bench load --url http://127.0.0.1:8080/orders --target 127.0.0.1:9030 --rate 500 --json")]
pub struct Load {
    /// Where orders are posted to
    #[arg(long, value_name = "URL")]
    url: Url,
    /// Where invoices are expected: the address that is listened on
    #[arg(long, value_name = "ADDRESS")]
    target: SocketAddr,
    /// How long to load, after a fifth of that for warming up
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// So many a second, whatever becomes of them [default: as many as are answered]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Connections that are kept
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Without --rate: orders that are sent and have not arrived, at most
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    undelivered: u64,
    /// How long to wait for more once nothing arrives any more
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    quiet: u64,
    /// What orders are signed with
    #[arg(long, value_name = "TEXT", default_value = "bench-secret")]
    secret: String,
    /// A header to send along, such as 'Authorization: Bearer x'; may be given more than once
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let parts = (name.trim().to_owned(), value.trim().to_owned());
    let is_valid = http::HeaderName::try_from(&parts.0).is_ok() && http::HeaderValue::try_from(&parts.1).is_ok();
    if is_valid { Ok(parts) } else { Err("no header can be called or hold that".to_owned()) }
}

impl Load {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let aim = self.aim().await?;
        let shown = until_a_signal(move |stop| standalone::aim(&aim, stop)).await?;
        if common.json {
            output::json(&shown);
        } else {
            lines(&shown).into_iter().for_each(output::line);
        }
        Ok(())
    }

    async fn aim(self) -> Result<Aim, Problem> {
        let wrong = |why: String| Problem::new(Code::WrongUsage, why).fix("name it like http://127.0.0.1:1880/orders");
        if self.url.scheme() != "http" {
            return Err(wrong(format!("{} is not http", self.url)));
        }
        let (name, port) = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(80));
        let found = tokio::net::lookup_host((name.trim_matches(['[', ']']), port)).await;
        let to = found.ok().and_then(|mut all| all.next()).ok_or_else(|| wrong(format!("{name} is no host that is known here")))?;
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Aim {
            to,
            host: format!("{name}:{port}"),
            path: format!("{}{query}", self.url.path()),
            headers: self.header,
            secret: self.secret,
            target: self.target,
            connections: usize::from(self.connections),
            lasts: Duration::from_secs(self.seconds),
            warm_up: Duration::from_secs(self.seconds) / 5,
            per_second: self.rate.filter(|rate| rate.is_finite() && *rate > 0.0),
            undelivered_max: self.undelivered.max(1),
            quiet: Duration::from_secs(self.quiet),
        })
    }
}

fn lines(shown: &Shown) -> [String; 4] {
    [
        format!(
            "accepted   {} ({}/s), refused {}, not answered {}",
            shown.accepted,
            readable(shown.accepted_per_second),
            shown.refused,
            shown.failed
        ),
        format!(
            "delivered  {} ({}/s), lost {}, doubled {}, strays {}",
            shown.delivered,
            readable(shown.delivered_per_second),
            shown.lost,
            shown.doubled,
            shown.strays
        ),
        format!("answered   after {} ms (p50), {} ms (p99)", readable(shown.p50_ms), readable(shown.p99_ms)),
        format!("own cost   {} µs of processor time a message", readable(shown.own_cpu_us)),
    ]
}
