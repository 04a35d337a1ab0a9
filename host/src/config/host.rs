//! `lockgate.toml`: the host itself. Everything in it has a default; the file may be absent.
//!
//! Depends on `config::reader`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::approval::{self, ApprovalRule};
use super::auth::place;
use super::ledger;
use super::limits;
use super::plugins::{self, PluginsConfig};
use super::quantity;
use super::reader::{Keys, Node, Page, Table};
use crate::alias::secret::SecretPlace;
use crate::integration::{CallLimits, WaitingMax};
use crate::ledger::Settings;
use crate::problem::{Code, Problems};

/// The host as `lockgate.toml` says it. Paths are relative to the workspace until [`HostConfig::under`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Where webhooks come in.
    pub ingress: SocketAddr,
    /// Where the API, health and metrics are.
    pub admin: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// How long a shutdown waits for what is in flight.
    pub drain: Duration,
    pub plugins: PluginsConfig,
    /// The largest body accepted.
    pub body_bytes_max: usize,
    /// How many deliveries may wait before intake answers 429 for one integration, 503 for all.
    pub waiting_max: WaitingMax,
    /// Where the key of the secrets store is; none: where the user's own is.
    pub secrets_key: Option<SecretPlace>,
    /// What the ingress listener shows of itself; none: it speaks plain HTTP.
    pub tls: Option<HostTls>,
    pub retention: Retention,
    /// What is recorded of attempts.
    pub ledger: Settings,
    /// The most that an integration may say of what one call of its plugins may use.
    pub call_limits: CallLimits,
    /// Which releases have to be approved; none: no release has.
    pub approval: Option<ApprovalRule>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTls {
    /// The chain, in PEM.
    pub certificate: PathBuf,
    pub key: SecretPlace,
}

/// How long what is done with is kept; none is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Messages that ended, with all that was written about them.
    pub messages: Option<Duration>,
    /// What their requests sent and were answered.
    pub bodies: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { messages: Some(30 * DAY), bodies: Some(7 * DAY) }
    }
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            ingress: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)),
            data: "data".into(),
            drain: Duration::from_secs(10),
            plugins: PluginsConfig::default(),
            body_bytes_max: 4 << 20,
            waiting_max: WaitingMax::default(),
            secrets_key: None,
            tls: None,
            retention: Retention::default(),
            ledger: Settings::default(),
            call_limits: CallLimits::ceiling(),
            approval: None,
        }
    }
}

/// Bodies are held in memory; a larger limit is a mistake.
const BODY_BYTES_CEILING: u64 = 64 << 20;
const DRAIN_MAX: Duration = Duration::from_secs(60 * 60);
/// Whoever is paged in the night wants to find yesterday.
const RETENTION_MIN: Duration = Duration::from_secs(60 * 60);
const RETENTION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const WAITING_CEILING: u64 = 100_000_000;

const ROOT: Keys =
    Keys { known: &["host", "plugins", "limits", "retention", "ledger", "secrets", "approval"], not_built: &["alerts", "backup"] };
const HOST: Keys = Keys::all(&["ingress", "admin", "data", "drain", "tls"]);
const TLS: Keys = Keys::all(&["certificate", "key"]);
const RETENTION: Keys = Keys::all(&["messages", "bodies"]);
const SECRETS: Keys = Keys::all(&["key"]);
const LIMITS: Keys = Keys::all(&["body", "call", "waiting", "waiting-in-all"]);

impl HostConfig {
    /// Reads the text of a `lockgate.toml`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problems> {
        Page::new(file, text).read(ROOT, |root| Some(read(root))).map(|(config, _)| config)
    }

    /// The same with its paths under the workspace `dir`.
    pub fn under(mut self, dir: &Path) -> Self {
        self.data = dir.join(&self.data);
        if let Some(SecretPlace::File(path)) = &mut self.secrets_key {
            *path = dir.join(&*path);
        }
        // Not those of `tls`: certificate and key are read as secrets are, whose source knows the workspace.
        self.plugins.paths = self.plugins.paths.iter().map(|path| dir.join(path)).collect();
        self
    }
}

fn read(root: &Table<'_>) -> HostConfig {
    let mut config = HostConfig::default();
    if let Some(host) = root.optional("host").and_then(|node| node.table(HOST, "{ ingress = \"127.0.0.1:8080\" }")) {
        set(&mut config.ingress, host.optional("ingress"), |node| address(node, "\"127.0.0.1:8080\""));
        set(&mut config.admin, host.optional("admin"), |node| address(node, "\"127.0.0.1:8090\""));
        set(&mut config.data, host.optional("data"), |node| node.text(1024, "\"data\"").map(PathBuf::from));
        set(&mut config.drain, host.optional("drain"), |node| bounded_duration(node, "\"10s\"", Duration::ZERO, DRAIN_MAX));
        config.tls = host.optional("tls").and_then(|node| tls(&node));
        if config.ingress == config.admin
            && config.ingress.port() != 0
            && let Some(node) = host.optional("admin").or_else(|| host.optional("ingress"))
        {
            node.invalid(&format!("= {}: intake and administration cannot share an address", config.admin), "\"127.0.0.1:8090\"");
        }
    }
    if let Some(node) = root.optional("plugins") {
        plugins::read(&node, &mut config.plugins);
    }
    if let Some(table) = root.optional("limits").and_then(|node| node.table(LIMITS, "{ body = \"4MiB\" }")) {
        set(&mut config.body_bytes_max, table.optional("body"), body_bytes_max);
        if let Some(node) = table.optional("call") {
            config.call_limits = limits::ceiling(&node);
        }
        let count = |node: &Node<'_>, example| node.integer(1..WAITING_CEILING + 1, example);
        set(&mut config.waiting_max.integration, table.optional("waiting"), |node| count(node, "100000"));
        // Room for one integration is room for all of them, unless the file says otherwise.
        config.waiting_max.host = config.waiting_max.host.max(config.waiting_max.integration);
        if let Some(node) = table.optional("waiting-in-all") {
            set(&mut config.waiting_max.host, Some(node.clone()), |node| count(node, "1000000"));
            if config.waiting_max.host < config.waiting_max.integration {
                let WaitingMax { integration, host } = config.waiting_max;
                let message =
                    format!("`limits.waiting-in-all` = {host}: `waiting` is {integration}, and no integration could ever have so many");
                node.note(Code::WrongValue, message, format!("at least {integration}, or a smaller `waiting`"));
            }
        }
    }
    if let Some(retention) = root.optional("retention").and_then(|node| node.table(RETENTION, "{ messages = \"30d\" }")) {
        set(&mut config.retention.messages, retention.optional("messages"), |node| kept_for(node, "\"30d\""));
        // What is sent of a message is not kept longer than the message.
        config.retention.bodies = shorter(config.retention.bodies, config.retention.messages);
        if let Some(node) = retention.optional("bodies") {
            set(&mut config.retention.bodies, Some(node.clone()), |node| kept_for(node, "\"7d\""));
            if shorter(config.retention.bodies, config.retention.messages) != config.retention.bodies {
                node.note(
                    Code::WrongValue,
                    "`retention.bodies` is longer than `messages`: they go with their message",
                    "make it no longer than `messages`, or leave it out",
                );
            }
        }
    }
    config.approval = root.optional("approval").and_then(|node| approval::read(&node));
    // What is recorded holds bodies, and is kept no longer than they are.
    config.ledger.keep = shorter(config.ledger.keep, config.retention.bodies);
    if let Some(node) = root.optional("ledger") {
        ledger::read(&node, &mut config.ledger, config.retention.bodies);
    }
    if let Some(secrets) = root.optional("secrets").and_then(|node| node.table(SECRETS, KEY_EXAMPLE)) {
        config.secrets_key = secrets.optional("key").and_then(|node| secrets_key(&node));
    }
    config
}

const KEY_EXAMPLE: &str = "{ file = \"/etc/lockgate/secrets.key\" }";

fn secrets_key(node: &Node<'_>) -> Option<SecretPlace> {
    let others = " or `key = { env = \"SECRETS_KEY\" }`";
    outside_the_store(node, (KEY_EXAMPLE, others), "opens the secrets store, and so cannot be in it")
}

const TLS_EXAMPLE: &str = "{ certificate = \"tls/chain.pem\", key = { file = \"tls/key.pem\" } }";

fn tls(node: &Node<'_>) -> Option<HostTls> {
    let example = "{ file = \"tls/key.pem\" }";
    let table = node.table(TLS, TLS_EXAMPLE)?;
    let certificate = table.required("certificate", "certificate = \"tls/chain.pem\"");
    let certificate = certificate.and_then(|node| node.text(1024, "\"tls/chain.pem\"").map(PathBuf::from));
    let key = table.required("key", &format!("key = {example}"));
    let key = key.and_then(|node| {
        let others = " or `key = { env = \"TLS_KEY\" }`";
        outside_the_store(
            &node,
            (example, others),
            "is renewed with its certificate, by what renews that, and so cannot be in the secrets store",
        )
    });
    Some(HostTls { certificate: certificate?, key: key? })
}

/// Where a `key` is, which cannot be in the secrets store for the reason `why`.
fn outside_the_store(node: &Node<'_>, (example, others): (&str, &str), why: &str) -> Option<SecretPlace> {
    match place(node, "key", example, others)? {
        SecretPlace::Store => {
            node.invalid(why, example);
            None
        }
        place => Some(place),
    }
}

/// None is for ever.
pub(super) fn kept_for(node: &Node<'_>, example: &str) -> Option<Option<Duration>> {
    if node.value().as_str() == Some("forever") {
        return Some(None);
    }
    bounded_duration(node, example, RETENTION_MIN, RETENTION_MAX).map(Some)
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Replaces a default by what the file says, if it says something that can be read.
pub(super) fn set<T>(target: &mut T, node: Option<Node<'_>>, read: impl FnOnce(&Node<'_>) -> Option<T>) {
    if let Some(value) = node.and_then(|node| read(&node)) {
        *target = value;
    }
}

fn address(node: &Node<'_>, example: &str) -> Option<SocketAddr> {
    node.parsed(example, |text| text.parse().map_err(|_| "expected an IP address and a port".to_owned()))
}

fn body_bytes_max(node: &Node<'_>) -> Option<usize> {
    node.parsed("\"4MiB\"", |text| {
        let bytes = quantity::size(text)?;
        let within = (1..=BODY_BYTES_CEILING).contains(&bytes);
        usize::try_from(bytes).ok().filter(|_| within).ok_or_else(|| "must be from 1B to 64MiB".to_owned())
    })
}

/// A duration from `min` to `max`.
pub(super) fn bounded_duration(node: &Node<'_>, example: &str, min: Duration, max: Duration) -> Option<Duration> {
    node.parsed(example, |text| {
        let duration = quantity::duration(text)?;
        let within = (min..=max).contains(&duration);
        if within { Ok(duration) } else { Err(format!("must be from {} to {}", quantity::shown(min), quantity::shown(max))) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Records;

    fn parse(text: &str) -> Result<HostConfig, String> {
        HostConfig::parse(Path::new("lockgate.toml"), text).map_err(|problems| problems.to_string())
    }

    #[test]
    fn bodies_are_kept_no_longer_than_their_messages() {
        let kept = |text: &str| parse(text).map(|config| (config.retention.messages, config.retention.bodies));
        let hours = |hours: u64| Some(Duration::from_secs(hours * 60 * 60));
        assert_eq!(kept(""), Ok((hours(30 * 24), hours(7 * 24))));
        assert_eq!(kept("[retention]\nmessages = \"2h\"\n"), Ok((hours(2), hours(2))));
        assert_eq!(kept("[retention]\nmessages = \"forever\"\n"), Ok((None, hours(7 * 24))));
        assert_eq!(kept("[retention]\nmessages = \"forever\"\nbodies = \"forever\"\n"), Ok((None, None)));
        for text in ["bodies = \"31d\"", "bodies = \"forever\"", "messages = \"59m\"", "messages = 30", "messages = \"never\""] {
            assert!(kept(&format!("[retention]\n{text}\n")).unwrap_err().contains("lockgate.toml:2:"), "{text}");
        }
    }

    #[test]
    fn what_is_recorded_is_kept_no_longer_than_bodies_are() {
        let ledger = |text: &str| parse(text).map(|config| config.ledger);
        let hours = |hours: u64| Some(Duration::from_secs(hours * 60 * 60));
        assert_eq!(ledger(""), Ok(Settings::default()));
        assert_eq!(ledger("[retention]\nbodies = \"2h\"\n").map(|ledger| ledger.keep), Ok(hours(2)));
        let said = ledger("[ledger]\nrecord = \"failures\"\nkeep = \"3h\"\nsize = \"1GiB\"\n");
        assert_eq!(said, Ok(Settings { records: Records::Failures, keep: hours(3), bytes_max: 1 << 30 }));
        for text in ["record = \"some\"", "record = true", "keep = \"8d\"", "keep = \"forever\"", "size = \"1MiB\"", "days = 3"] {
            assert!(ledger(&format!("[ledger]\n{text}\n")).unwrap_err().contains("lockgate.toml:2:"), "{text}");
        }
    }

    #[test]
    fn reports_every_mistake_of_the_file_with_its_place() {
        let text = "[host]\ningres = \"127.0.0.1:8080\"\nadmin = 8090\ndrain = \"10\"\n\n[limits]\nbody = \"1TB\"\nwaiting = 0\n[alerts]\nops = 1\n";
        assert_eq!(
            parse(text).unwrap_err(),
            "lockgate.toml:2:1: LG-1003 unknown key `host.ingres`\n  \
             fix: did you mean `ingress`? known here: ingress, admin, data, drain, tls\n\
             lockgate.toml:3:9: LG-1005 `host.admin` must be a text; it is a whole number\n  \
             fix: for example `admin = \"127.0.0.1:8090\"`\n\
             lockgate.toml:4:9: LG-1005 `host.drain` = \"10\": a duration is a whole number and `ms`, `s`, `m`, `h` or `d`\n  \
             fix: for example `drain = \"10s\"`\n\
             lockgate.toml:7:8: LG-1005 `limits.body` = \"1TB\": a size is a whole number and `B`, `KiB`, `MiB` or `GiB`\n  \
             fix: for example `body = \"4MiB\"`\n\
             lockgate.toml:8:11: LG-1005 `limits.waiting` = 0: must be from 1 to 100000000\n  \
             fix: for example `waiting = 100000`\n\
             lockgate.toml:9:2: LG-1003 `alerts` is not built in this version\n  \
             fix: remove `alerts`; known here: host, plugins, limits, retention, ledger, secrets, approval"
        );
    }

    #[test]
    fn refuses_one_address_for_both_listeners() {
        let problem = parse("[host]\nadmin = \"127.0.0.1:8080\"\n").unwrap_err();
        assert!(problem.contains("lockgate.toml:2:9: LG-1005") && problem.contains("cannot share an address"), "{problem}");
        assert!(parse("[host]\ningress = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n").is_ok());
    }

    #[test]
    fn a_certificate_comes_with_a_key_that_is_not_written_out_and_not_in_the_store() {
        for (tls, said) in [
            ("certificate = \"c.pem\"", "2:1: LG-1004 `host.tls.key` is missing"),
            ("key = { env = \"K\" }", "2:1: LG-1004 `host.tls.certificate` is missing"),
            ("certificate = \"c.pem\"\nkey = \"-----BEGIN PRIVATE KEY-----\"", "LG-1005 `host.tls.key` is written into the file"),
            ("certificate = \"c.pem\"\nkey = { store = true }", "LG-1005 `host.tls.key` is renewed with its certificate"),
            ("certificate = \"c.pem\"\nkey = { env = \"K\" }\non = \"admin\"", "LG-1003 unknown key `host.tls.on`"),
        ] {
            let problem = parse(&format!("\n[host.tls]\n{tls}\n")).unwrap_err();
            assert!(problem.contains(said) && !problem.contains("BEGIN"), "{problem}");
        }
    }

    #[test]
    fn is_all_defaults_where_nothing_is_said() {
        assert_eq!(parse("").unwrap(), HostConfig::default());
    }

    #[test]
    fn reads_every_key() {
        let text = "[host]\ningress = \"0.0.0.0:80\"\nadmin = \"[::1]:81\"\ndata = \"../d\"\ndrain = \"1m\"\n[plugins]\npaths = [\"a\", \"../b\"]\n[limits]\nbody = \"512KiB\"\nwaiting = 5\nwaiting-in-all = 50\n[secrets]\nkey = { file = \"k\" }\n[host.tls]\ncertificate = \"c.pem\"\nkey = { file = \"/etc/k.pem\" }\n";
        let config = parse(text).unwrap().under(Path::new("/w"));
        assert_eq!((config.ingress.port(), config.admin.port(), config.drain), (80, 81, Duration::from_secs(60)));
        assert_eq!((config.body_bytes_max, config.waiting_max), (524_288, WaitingMax { integration: 5, host: 50 }));
        assert_eq!(config.secrets_key, Some(SecretPlace::File("/w/k".into())));
        let tls = HostTls { certificate: "c.pem".into(), key: SecretPlace::File("/etc/k.pem".into()) };
        assert_eq!(config.tls, Some(tls));
        assert_eq!((config.data, config.plugins.paths), ("/w/../d".into(), vec!["/w/a".into(), "/w/../b".into()]));
    }
}
