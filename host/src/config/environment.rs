//! `environments/<env>.toml`: aliases and values of one environment.
//!
//! Depends on `alias`'s types and `config::reader`. Secrets stand here only by reference, and nothing a file says in the
//! place of a secret is ever shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use toml::de::DeValue;
use url::Url;

use super::integration::owner;
use super::reader::{Keys, Node, Page, Places, Table};
use super::{name, rate};
use crate::alias::secret::SecretRef;
use crate::alias::{Alias, ApiKeyPlace, Auth, Environment, HmacEncoding, Verify};
use crate::problem::{Code, Problems};

/// An environment and where in its file things stand.
#[derive(Clone, Debug)]
pub struct EnvironmentFile {
    pub environment: Environment,
    pub places: Places,
}

const VALUE_CHARS_MAX: usize = 4096;
const NETWORKS_MAX: usize = 64;
const CLIENT_TEXT_CHARS_MAX: usize = 1024;

const ROOT: Keys = Keys::all(&["values", "alias"]);
const ALIAS: Keys =
    Keys { known: &["owner", "url", "auth", "rate", "network", "verify"], not_built: &["proxy", "ca-file", "timeout", "breaker"] };
const AUTH: Keys = Keys {
    known: &["basic", "bearer", "api-key", "oauth2-client-credentials"],
    not_built: &["oauth2-refresh-token", "oauth2-jwt-bearer", "hmac", "aws-sigv4", "mutual-tls"],
};
const VERIFY: Keys =
    Keys { known: &["shopify", "github", "standard-webhooks", "hmac", "basic", "bearer"], not_built: &["stripe", "slack"] };
const BASIC: Keys = Keys::all(&["username", "password"]);
const BEARER: Keys = Keys::all(&["token"]);
const API_KEY: Keys = Keys::all(&["header", "query", "key"]);
const OAUTH2: Keys = Keys::all(&["token-url", "client-id", "client-secret", "scope"]);
const SECRET_ONLY: Keys = Keys::all(&["secret"]);
const HMAC: Keys = Keys::all(&["secret", "header", "encoding", "prefix"]);
const SECRET: Keys = Keys::all(&["env", "file"]);

const AUTH_EXAMPLE: &str = "{ bearer = { token = { env = \"CRM_TOKEN\" } } }";
const VERIFY_EXAMPLE: &str = "{ shopify = { secret = { env = \"SHOP_SECRET\" } } }";
const BASIC_EXAMPLE: &str = "{ username = \"lockgate\", password = { env = \"PASSWORD\" } }";
const BEARER_EXAMPLE: &str = "{ token = { env = \"TOKEN\" } }";
const SECRET_EXAMPLE: &str = "{ secret = { env = \"SECRET\" } }";
const TOKEN_URL_EXAMPLE: &str = "\"https://login.example/token\"";

impl EnvironmentFile {
    /// Reads the text of `file`, which is the environment `name`.
    pub fn parse(name: &str, file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let (environment, places) = Page::new(file, text).read(ROOT, |root| Some(read(name, root)))?;
        Ok(Self { environment, places })
    }
}

fn read(name: &str, root: &Table<'_>) -> Environment {
    let values = root.optional("values").and_then(|node| node.map("{ stage = \"Prospecting\" }"));
    let aliases = root.optional("alias").and_then(|node| node.map("{ crm = { url = \"https://crm.example\" } }"));
    Environment {
        name: name.to_owned(),
        values: values.map(|table| named(&table, value)).unwrap_or_default(),
        aliases: aliases.map(|table| named(&table, alias)).unwrap_or_default(),
    }
}

/// The entries of a table whose keys are names.
fn named<T>(table: &Table<'_>, read: impl Fn(&str, &Node<'_>) -> Option<T>) -> BTreeMap<String, T> {
    let mut entries = BTreeMap::new();
    for (key, node) in table.entries() {
        // `verify = "none"` says that nothing is verified, so that no alias can be called so.
        if !name::is_name(key) || key == "none" {
            table.wrong_key(key, Code::WrongValue, format!("`{}`: {}", node.name(), name::NAME_RULE), "rename it");
        }
        entries.extend(read(key, &node).map(|value| (key.to_owned(), value)));
    }
    entries
}

fn value(_: &str, node: &Node<'_>) -> Option<String> {
    match node.value() {
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::String(_) => node.text(VALUE_CHARS_MAX, "\"Prospecting\"").map(str::to_owned),
        _ => {
            node.not("a text, a number, true or false", "\"Prospecting\"");
            None
        }
    }
}

fn alias(name: &str, node: &Node<'_>) -> Option<Alias> {
    let table = node.table(ALIAS, "{ url = \"https://crm.example\" }")?;
    let owner = table.optional("owner").map(|node| owner(&node, false));
    let url = table.optional("url").map(|node| node.parsed_unseen("\"https://crm.example/api\"", endpoint));
    let auth = table.optional("auth").map_or(Some(Auth::None), |node| auth(&node));
    let rate = table.optional("rate").map_or_else(|| Some(Vec::new()), |node| rate::limits(&node));
    let network = table.optional("network").map_or_else(|| Some(Vec::new()), |node| networks(&node));
    let verify = table.optional("verify").map(|node| verify(&node));
    if url.is_none() && verify.is_none() {
        table.missing("url", "url = \"https://crm.example\"");
    }
    if let (None, Some(node)) = (&url, ["auth", "rate", "network"].into_iter().find_map(|key| table.optional(key))) {
        node.note(Code::MissingKey, format!("`{}` without a `url` to use it for", node.name()), "add `url = \"https://crm.example\"`");
    }
    // The outer option is whether the key is there, the inner one whether it could be read.
    Some(Alias {
        name: name.to_owned(),
        owner: transpose(owner)?,
        url: transpose(url)?,
        auth: auth?,
        rate: rate?,
        network: network?,
        verify: transpose(verify)?,
    })
}

fn transpose<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

/// A base URL: `http` or `https`, a host, a path; nothing else.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|why| format!("not a URL: {why}"))?;
    let userinfo = !url.username().is_empty() || url.password().is_some();
    match url {
        url if !matches!(url.scheme(), "http" | "https") => Err("its scheme must be `http` or `https`".to_owned()),
        _ if userinfo => Err("a user name or password belongs into `auth`".to_owned()),
        url if url.query().is_some() || url.fragment().is_some() => Err("a base URL has no query and no fragment".to_owned()),
        url => Ok(url),
    }
}

fn networks(node: &Node<'_>) -> Option<Vec<IpNet>> {
    let nodes = node.list(NETWORKS_MAX, "[\"10.0.0.0/8\"]")?;
    let parse =
        |text: &str| IpNet::from_str(text).map_err(|_| "expected a network such as `10.1.0.0/16` (one address: `10.1.2.3/32`)".to_owned());
    nodes.iter().map(|node| node.parsed("\"10.0.0.0/8\"", parse)).collect()
}

/// The one entry of a table that says which of several kinds something is.
fn only<'a>(table: &Table<'a>, what: &str, example: &str) -> Option<(&'a str, Node<'a>)> {
    let mut entries = table.entries();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Some(entry),
        _ => {
            table.wrong(Code::WrongValue, format!("{what} must have exactly one kind"), format!("for example `{example}`"));
            None
        }
    }
}

fn auth(node: &Node<'_>) -> Option<Auth> {
    let table = node.table(AUTH, AUTH_EXAMPLE)?;
    let (kind, node) = only(&table, &format!("`{}`", node.name()), AUTH_EXAMPLE)?;
    match kind {
        "basic" => basic(&node).map(|(username, password)| Auth::Basic { username, password }),
        "bearer" => secret_in(&node.table(BEARER, BEARER_EXAMPLE)?, "token").map(|token| Auth::Bearer { token }),
        "api-key" => api_key(&node),
        "oauth2-client-credentials" => oauth2(&node),
        _ => None,
    }
}

fn basic(node: &Node<'_>) -> Option<(String, SecretRef)> {
    let table = node.table(BASIC, BASIC_EXAMPLE)?;
    let username = table.required("username", "username = \"lockgate\"").and_then(|node| {
        let name = node.text(CLIENT_TEXT_CHARS_MAX, "\"lockgate\"")?;
        // RFC 7617 §2: a user name with a colon cannot be told from its password.
        if name.contains(':') {
            node.invalid("has a `:`, which basic authentication cannot carry", "\"lockgate\"");
        }
        Some(name.to_owned())
    });
    let password = secret_in(&table, "password");
    Some((username?, password?))
}

fn api_key(node: &Node<'_>) -> Option<Auth> {
    let example = "{ header = \"X-Api-Key\", key = { env = \"API_KEY\" } }";
    let table = node.table(API_KEY, example)?;
    let key = secret_in(&table, "key");
    let (place, name) = match (table.optional("header"), table.optional("query")) {
        (Some(header), None) => (ApiKeyPlace::Header, header.parsed("\"X-Api-Key\"", header_name)),
        (None, Some(query)) => (ApiKeyPlace::Query, query.text(128, "\"api_key\"").map(str::to_owned)),
        _ => {
            table.wrong(
                Code::WrongValue,
                format!("`{}` must have either `header` or `query`", node.name()),
                format!("for example `{example}`"),
            );
            return None;
        }
    };
    Some(Auth::ApiKey { place, name: name?, key: key? })
}

/// Headers that say how a message is framed or where it goes (RFC 9110 §7.2, §7.6.1, RFC 9112 §6); no credential stands there.
const RESERVED_HEADERS: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "content-type", "idempotency-key"];

fn header_name(text: &str) -> Result<String, String> {
    let name = http::HeaderName::from_str(text).map_err(|_| "not a header name".to_owned())?;
    if RESERVED_HEADERS.contains(&name.as_str()) { Err("this header is not free".to_owned()) } else { Ok(name.as_str().to_owned()) }
}

fn oauth2(node: &Node<'_>) -> Option<Auth> {
    let table =
        node.table(OAUTH2, "{ token-url = \"https://login.example/token\", client-id = \"id\", client-secret = { env = \"SECRET\" } }")?;
    let token_url = table
        .required("token-url", &format!("token-url = {TOKEN_URL_EXAMPLE}"))
        .and_then(|node| node.parsed_unseen(TOKEN_URL_EXAMPLE, endpoint));
    let client_id =
        table.required("client-id", "client-id = \"lockgate\"").and_then(|node| node.text(CLIENT_TEXT_CHARS_MAX, "\"lockgate\""));
    let client_secret = secret_in(&table, "client-secret");
    let scope = table.optional("scope").map(|node| node.text(CLIENT_TEXT_CHARS_MAX, "\"api\"").map(str::to_owned));
    Some(Auth::OAuth2ClientCredentials {
        token_url: token_url?,
        client_id: client_id?.to_owned(),
        client_secret: client_secret?,
        scope: transpose(scope)?,
    })
}

fn verify(node: &Node<'_>) -> Option<Verify> {
    let table = node.table(VERIFY, VERIFY_EXAMPLE)?;
    let (kind, node) = only(&table, &format!("`{}`", node.name()), VERIFY_EXAMPLE)?;
    let secret = || secret_in(&node.table(SECRET_ONLY, SECRET_EXAMPLE)?, "secret");
    match kind {
        "shopify" => secret().map(|secret| Verify::Shopify { secret }),
        "github" => secret().map(|secret| Verify::GitHub { secret }),
        "standard-webhooks" => secret().map(|secret| Verify::StandardWebhooks { secret }),
        "hmac" => hmac(&node),
        "basic" => basic(&node).map(|(username, password)| Verify::Basic { username, password }),
        "bearer" => secret_in(&node.table(BEARER, BEARER_EXAMPLE)?, "token").map(|token| Verify::Bearer { token }),
        _ => None,
    }
}

fn hmac(node: &Node<'_>) -> Option<Verify> {
    let table = node.table(HMAC, "{ secret = { env = \"SECRET\" }, header = \"X-Signature\", encoding = \"hex\" }")?;
    let secret = secret_in(&table, "secret");
    let header = table.required("header", "header = \"X-Signature\"").and_then(|node| node.parsed("\"X-Signature\"", header_name));
    let encoding = table.required("encoding", "encoding = \"hex\"");
    let encoding = encoding.and_then(|node| node.word(&[("hex", HmacEncoding::Hex), ("base64", HmacEncoding::Base64)]));
    let prefix = table.optional("prefix").map_or(Some(""), |node| node.text(64, "\"sha256=\""));
    Some(Verify::Hmac { secret: secret?, header: header?, encoding: encoding?, prefix: prefix?.to_owned() })
}

/// A secret by reference. One that is written out is refused without being shown.
fn secret_in(table: &Table<'_>, key: &str) -> Option<SecretRef> {
    let example = format!("{{ env = \"{}\" }}", key.to_ascii_uppercase().replace('-', "_"));
    let node = table.required(key, &format!("{key} = {example}"))?;
    if !node.value().is_table() {
        let message = format!("`{}` is written into the file; a secret stands there by reference only", node.name());
        node.note(
            Code::WrongValue,
            message,
            format!("change the secret, which is no longer one, and write `{key} = {example}` or `{key} = {{ file = \"secrets/{key}\" }}`"),
        );
        return None;
    }
    let table = node.table(SECRET, &example)?;
    match (table.optional("env"), table.optional("file")) {
        (Some(env), None) => env.parsed_unseen("\"CRM_SECRET\"", variable).map(SecretRef::Env),
        (None, Some(file)) => file.text(1024, "\"secrets/crm\"").map(|path| SecretRef::File(PathBuf::from(path))),
        _ => {
            node.invalid("must have either `env` or `file`", &example);
            None
        }
    }
}

/// A portable name of an environment variable (POSIX.1-2024 §8.1). What is not one may be the secret itself and is not shown.
fn variable(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = text.chars().all(plain) && !text.starts_with(|c: char| c.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("not the name of an environment variable".to_owned()) }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
