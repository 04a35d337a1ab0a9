//! `auth`, `verify` and `expired-when` of an alias: how the host proves who it is, how a webhook does, and which answers say that
//! a credential is no longer good.
//!
//! Depends on `alias`'s types and `config::reader`. Secrets stand here only by reference, and nothing a file says in the
//! place of a secret is ever shown.

use std::path::PathBuf;
use std::str::FromStr;

use toml::de::DeValue;
use url::Url;

use super::environment::{endpoint, transpose};
use super::reader::{Keys, Node, Table};
use crate::alias::secret::{SecretPlace, SecretRef};
use crate::alias::{ApiKeyPlace, Auth, ExpiredWhen, HmacEncoding, Holds, JwtAlgorithm, JwtClaims, Verify};
use crate::problem::Code;

const CLIENT_TEXT_CHARS_MAX: usize = 1024;
const EXPIRED_TEXT_CHARS_MAX: usize = 256;
const EXPIRED_VALUES_MAX: usize = 16;

const AUTH: Keys = Keys {
    known: &["basic", "bearer", "api-key", "hmac", "oauth2-client-credentials", "oauth2-refresh-token", "oauth2-jwt-bearer"],
    not_built: &["aws-sigv4", "mutual-tls"],
};
const VERIFY: Keys = Keys::all(&["shopify", "github", "standard-webhooks", "stripe", "slack", "hmac", "basic", "bearer"]);
const BASIC: Keys = Keys::all(&["username", "password"]);
const BEARER: Keys = Keys::all(&["token"]);
const API_KEY: Keys = Keys::all(&["header", "query", "key"]);
const CLIENT_CREDENTIALS: Keys = Keys::all(&["token-url", "client-id", "client-secret", "scope"]);
const REFRESH_TOKEN: Keys = Keys::all(&["token-url", "client-id", "client-secret", "refresh-token", "scope"]);
const JWT_BEARER: Keys = Keys::all(&["token-url", "issuer", "subject", "audience", "private-key", "algorithm", "key-id", "scope"]);
const SECRET_ONLY: Keys = Keys::all(&["secret"]);
const HMAC: Keys = Keys::all(&["secret", "header", "encoding", "prefix"]);
const HMAC_AUTH: Keys = Keys::all(&["secret", "header", "encoding", "prefix", "timestamp-header"]);
const SECRET: Keys = Keys::all(&["env", "file", "store"]);
const EXPIRED: Keys = Keys::all(&["status", "json", "is", "contains"]);

const AUTH_EXAMPLE: &str = "{ bearer = { token = { env = \"CRM_TOKEN\" } } }";
const VERIFY_EXAMPLE: &str = "{ shopify = { secret = { env = \"SHOP_SECRET\" } } }";
const BASIC_EXAMPLE: &str = "{ username = \"lockgate\", password = { env = \"PASSWORD\" } }";
const BEARER_EXAMPLE: &str = "{ token = { env = \"TOKEN\" } }";
const SECRET_EXAMPLE: &str = "{ secret = { env = \"SECRET\" } }";
const HMAC_EXAMPLE: &str = "{ secret = { env = \"SECRET\" }, header = \"X-Signature\", encoding = \"hex\" }";
const TOKEN_URL_EXAMPLE: &str = "\"https://login.example/token\"";
const EXPIRED_EXAMPLE: &str = "{ json = \"/error/code\", is = [\"TOKEN_EXPIRED\"] }";

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

pub(super) fn auth(node: &Node<'_>) -> Option<Auth> {
    let table = node.table(AUTH, AUTH_EXAMPLE)?;
    let (kind, node) = only(&table, &format!("`{}`", node.name()), AUTH_EXAMPLE)?;
    match kind {
        "basic" => basic(&node).map(|(username, password)| Auth::Basic { username, password }),
        "bearer" => secret_in(&node.table(BEARER, BEARER_EXAMPLE)?, "token").map(|token| Auth::Bearer { token }),
        "api-key" => api_key(&node),
        "hmac" => hmac_auth(&node),
        "oauth2-client-credentials" => client_credentials(&node),
        "oauth2-refresh-token" => refresh_token(&node),
        "oauth2-jwt-bearer" => jwt_bearer(&node),
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

fn hmac_auth(node: &Node<'_>) -> Option<Auth> {
    let table = node.table(HMAC_AUTH, HMAC_EXAMPLE)?;
    let hmac = hmac_in(&table);
    let timestamp_header = table.optional("timestamp-header");
    let timestamp_header = timestamp_header.map(|node| node.parsed("\"X-Timestamp\"", header_name).map(|name| (name, node)));
    let Hmac { secret, header, encoding, prefix } = hmac?;
    let timestamp_header = transpose(timestamp_header)?;
    if let Some((_, node)) = timestamp_header.as_ref().filter(|(name, _)| *name == header) {
        node.invalid("is the header of the signature too", "\"X-Timestamp\"");
    }
    Some(Auth::Hmac { secret, header, encoding, prefix, timestamp_header: timestamp_header.map(|(name, _)| name) })
}

fn client_credentials(node: &Node<'_>) -> Option<Auth> {
    let example = "{ token-url = \"https://login.example/token\", client-id = \"id\", client-secret = { env = \"SECRET\" } }";
    let table = node.table(CLIENT_CREDENTIALS, example)?;
    let (token_url, client_id) = (token_url(&table), client_text(&table, "client-id", "\"lockgate\""));
    let client_secret = secret_in(&table, "client-secret");
    let scope = optional_text(&table, "scope", "\"api\"");
    Some(Auth::OAuth2ClientCredentials { token_url: token_url?, client_id: client_id?, client_secret: client_secret?, scope: scope? })
}

fn refresh_token(node: &Node<'_>) -> Option<Auth> {
    let example = "{ token-url = \"https://login.example/token\", client-id = \"id\", refresh-token = { env = \"REFRESH_TOKEN\" } }";
    let table = node.table(REFRESH_TOKEN, example)?;
    let (token_url, client_id) = (token_url(&table), client_text(&table, "client-id", "\"lockgate\""));
    let client_secret = table.optional("client-secret").map(|_| secret_in(&table, "client-secret"));
    let refresh_token = secret_in(&table, "refresh-token");
    let scope = optional_text(&table, "scope", "\"api\"");
    Some(Auth::OAuth2RefreshToken {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: transpose(client_secret)?,
        refresh_token: refresh_token?,
        scope: scope?,
    })
}

fn jwt_bearer(node: &Node<'_>) -> Option<Auth> {
    let example = "{ token-url = \"https://login.example/token\", issuer = \"id\", audience = \"https://login.example\", private-key = { file = \"key.pem\" }, algorithm = \"RS256\" }";
    let table = node.table(JWT_BEARER, example)?;
    let token_url = token_url(&table);
    let issuer = client_text(&table, "issuer", "\"lockgate\"");
    let audience = client_text(&table, "audience", "\"https://login.example\"");
    let subject = optional_text(&table, "subject", "\"integration@acme.example\"");
    let scope = optional_text(&table, "scope", "\"api\"");
    let key_id = optional_text(&table, "key-id", "\"key-1\"");
    let private_key = secret_in(&table, "private-key");
    let algorithm = table.required("algorithm", "algorithm = \"RS256\"");
    let algorithm = algorithm.and_then(|node| node.word(&[("RS256", JwtAlgorithm::Rs256), ("ES256", JwtAlgorithm::Es256)]));
    Some(Auth::OAuth2JwtBearer {
        token_url: token_url?,
        claims: JwtClaims { issuer: issuer?, subject: subject?, audience: audience?, scope: scope? },
        private_key: private_key?,
        algorithm: algorithm?,
        key_id: key_id?,
    })
}

fn token_url(table: &Table<'_>) -> Option<Url> {
    table
        .required("token-url", &format!("token-url = {TOKEN_URL_EXAMPLE}"))
        .and_then(|node| node.parsed_unseen(TOKEN_URL_EXAMPLE, endpoint))
}

fn client_text(table: &Table<'_>, key: &str, example: &str) -> Option<String> {
    table.required(key, &format!("{key} = {example}"))?.text(CLIENT_TEXT_CHARS_MAX, example).map(str::to_owned)
}

/// The outer option is whether what is there could be read.
fn optional_text(table: &Table<'_>, key: &str, example: &str) -> Option<Option<String>> {
    transpose(table.optional(key).map(|node| node.text(CLIENT_TEXT_CHARS_MAX, example).map(str::to_owned)))
}

/// Which answers say that the credential has expired.
pub(super) fn expired_when(node: &Node<'_>) -> Option<ExpiredWhen> {
    let table = node.table(EXPIRED, EXPIRED_EXAMPLE)?;
    let status = table.optional("status").map_or(Some(200), |node| node.integer(200..600, "200"));
    let holds = match (table.optional("json"), table.optional("contains")) {
        (Some(json), None) => {
            let pointer = json.parsed("\"/error/code\"", pointer);
            let is = table.required("is", "is = [\"TOKEN_EXPIRED\"]").and_then(|node| values(&node));
            Holds::Json { pointer: pointer?, is: is? }
        }
        (None, Some(text)) if table.optional("is").is_none() => {
            Holds::Text(text.text(EXPIRED_TEXT_CHARS_MAX, "\"session expired\"")?.to_owned())
        }
        _ => {
            node.invalid("must have either `json` and `is`, or `contains`", EXPIRED_EXAMPLE);
            return None;
        }
    };
    Some(ExpiredWhen { status: u16::try_from(status?).ok()?, holds })
}

/// RFC 6901; the empty pointer would be the whole body.
fn pointer(text: &str) -> Result<String, String> {
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if text.starts_with('/') && escapes { Ok(text.to_owned()) } else { Err("expected a JSON pointer such as `/error/code`".to_owned()) }
}

fn values(node: &Node<'_>) -> Option<Vec<String>> {
    let nodes = node.list(EXPIRED_VALUES_MAX, "[\"TOKEN_EXPIRED\"]")?;
    if nodes.is_empty() {
        node.invalid("is empty", "[\"TOKEN_EXPIRED\"]");
    }
    let value = |node: &Node<'_>| match node.value() {
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        _ => node.text(EXPIRED_TEXT_CHARS_MAX, "\"TOKEN_EXPIRED\"").map(str::to_owned),
    };
    nodes.iter().map(value).collect()
}

pub(super) fn verify(node: &Node<'_>) -> Option<Verify> {
    let table = node.table(VERIFY, VERIFY_EXAMPLE)?;
    let (kind, node) = only(&table, &format!("`{}`", node.name()), VERIFY_EXAMPLE)?;
    let secret = || secret_in(&node.table(SECRET_ONLY, SECRET_EXAMPLE)?, "secret");
    match kind {
        "shopify" => secret().map(|secret| Verify::Shopify { secret }),
        "github" => secret().map(|secret| Verify::GitHub { secret }),
        "standard-webhooks" => secret().map(|secret| Verify::StandardWebhooks { secret }),
        "stripe" => secret().map(|secret| Verify::Stripe { secret }),
        "slack" => secret().map(|secret| Verify::Slack { secret }),
        "hmac" => {
            let Hmac { secret, header, encoding, prefix } = hmac_in(&node.table(HMAC, HMAC_EXAMPLE)?)?;
            Some(Verify::Hmac { secret, header, encoding, prefix })
        }
        "basic" => basic(&node).map(|(username, password)| Verify::Basic { username, password }),
        "bearer" => secret_in(&node.table(BEARER, BEARER_EXAMPLE)?, "token").map(|token| Verify::Bearer { token }),
        _ => None,
    }
}

/// A signature over the body, made or checked.
struct Hmac {
    secret: SecretRef,
    header: String,
    encoding: HmacEncoding,
    prefix: String,
}

fn hmac_in(table: &Table<'_>) -> Option<Hmac> {
    let secret = secret_in(table, "secret");
    let header = table.required("header", "header = \"X-Signature\"").and_then(|node| node.parsed("\"X-Signature\"", header_name));
    let encoding = table.required("encoding", "encoding = \"hex\"");
    let encoding = encoding.and_then(|node| node.word(&[("hex", HmacEncoding::Hex), ("base64", HmacEncoding::Base64)]));
    let prefix = table.optional("prefix").map_or(Some(String::new()), |node| node.parsed("\"sha256=\"", prefix));
    Some(Hmac { secret: secret?, header: header?, encoding: encoding?, prefix: prefix? })
}

/// What can stand in a header.
fn prefix(text: &str) -> Result<String, String> {
    let plain = text.len() <= 64 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if plain { Ok(text.to_owned()) } else { Err("at most 64 visible ASCII characters can stand in front of a signature".to_owned()) }
}

/// A secret by reference. One that is written out is refused without being shown.
fn secret_in(table: &Table<'_>, key: &str) -> Option<SecretRef> {
    let example = format!("{{ env = \"{}\" }}", key.to_ascii_uppercase().replace('-', "_"));
    let node = table.required(key, &format!("{key} = {example}"))?;
    let others = format!(", `{key} = {{ file = \"secrets/{key}\" }}` or `{key} = {{ store = true }}`, which `lockgate secret set` fills");
    place(&node, key, &example, &others).map(|place| SecretRef { name: name_of(node.name(), key), place })
}

/// Where a secret is to be found; `key` is what it is called, `others` what may stand there beside the example.
pub(super) fn place(node: &Node<'_>, key: &str, example: &str, others: &str) -> Option<SecretPlace> {
    if !node.value().is_table() {
        let message = format!("`{}` is written into the file; a secret stands there by reference only", node.name());
        node.note(Code::WrongValue, message, format!("change the secret, which is no longer one, and write `{key} = {example}`{others}"));
        return None;
    }
    let table = node.table(SECRET, example)?;
    match (table.optional("env"), table.optional("file"), table.optional("store")) {
        (Some(env), None, None) => env.parsed_unseen("\"CRM_SECRET\"", variable).map(SecretPlace::Env),
        (None, Some(file), None) => file.text(1024, "\"secrets/crm\"").map(|path| SecretPlace::File(PathBuf::from(path))),
        (None, None, Some(store)) if store.value().as_bool() == Some(true) => Some(SecretPlace::Store),
        (None, None, Some(store)) => {
            store.invalid("can only be true", "true");
            None
        }
        _ => {
            node.invalid("must have either `env`, `file` or `store`", example);
            None
        }
    }
}

/// `alias.crm.auth.basic.password` is called `crm.password`, and `alias.shop.verify.shopify.secret` `shop.verify.secret`.
fn name_of(path: &str, key: &str) -> String {
    let mut parts = path.split('.').skip(1);
    let alias = parts.next().unwrap_or_default();
    if parts.next() == Some("verify") { format!("{alias}.verify.{key}") } else { format!("{alias}.{key}") }
}

/// A portable name of an environment variable (POSIX.1-2024 §8.1). What is not one may be the secret itself and is not shown.
fn variable(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = text.chars().all(plain) && !text.starts_with(|c: char| c.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("not the name of an environment variable".to_owned()) }
}
