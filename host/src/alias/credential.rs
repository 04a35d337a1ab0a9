//! Credentials made ready to be sent: a header or a query parameter, and what to blank in answers.
//!
//! Depends on `secret`, `blank` and `clock`. How a token is got is `grant`'s business, when one is replaced is `endpoint`'s.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::Sha256;
use url::Url;
use zeroize::Zeroizing;

use super::blank::Blanker;
use super::grant::{Given, Granted};
use super::secret::{Secret, SecretRef};
use super::token::client_pair;
use super::{ApiKeyPlace, Auth, HmacEncoding};
use crate::clock::Timestamp;

/// A credential ready to be sent.
pub struct Credential {
    /// Counts the credentials of an alias, so that of many who saw one fail the first replaces it.
    pub serial: u64,
    place: Place,
    /// A token is not used from here on.
    expires: Option<Timestamp>,
    /// The secrets it was made of.
    pub made_of: Option<Secret>,
    pub blanker: Blanker,
}

enum Place {
    Nowhere,
    Header(HeaderName, HeaderValue),
    Query { name: String, value: Secret },
    Signature(Signature),
}

/// What signs each request.
struct Signature {
    key: Secret,
    header: HeaderName,
    encoding: HmacEncoding,
    prefix: String,
    timestamp_header: Option<HeaderName>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.serial)
    }
}

/// Why a secret cannot be made into a credential. Says nothing about the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("the secret holds characters that cannot be sent in a header")]
    Characters,
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    #[error("the user name holds a colon, which HTTP Basic cannot send")]
    Colon,
    #[error(transparent)]
    TooLarge(#[from] super::blank::TooLarge),
}

impl Credential {
    /// Of an alias that has none.
    pub fn none() -> Result<Self, Unusable> {
        Ok(Self { serial: 0, place: Place::Nowhere, expires: None, made_of: None, blanker: Blanker::new(&[])? })
    }

    /// Of an alias whose secret is sent as it is: Basic (RFC 7617), Bearer (RFC 6750) or an API key.
    pub fn fixed(auth: &Auth, secret: Secret, serial: u64) -> Result<Self, Unusable> {
        let (place, blanker) = match auth {
            Auth::Basic { username, .. } => {
                if username.contains(':') {
                    return Err(Unusable::Colon);
                }
                let pair = Zeroizing::new([username.as_bytes(), b":", secret.expose()].concat());
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
                (authorization(value.as_bytes())?, Blanker::new(&[secret.expose(), &pair])?)
            }
            Auth::Bearer { .. } => (bearer(&secret)?, Blanker::new(&[secret.expose()])?),
            Auth::ApiKey { place: ApiKeyPlace::Header, name, .. } => {
                (Place::Header(header_name(name)?, sensitive(secret.expose())?), Blanker::new(&[secret.expose()])?)
            }
            Auth::ApiKey { place: ApiKeyPlace::Query, name, .. } => {
                (Place::Query { name: name.clone(), value: secret.clone() }, Blanker::new(&[secret.expose()])?)
            }
            Auth::Hmac { header, encoding, prefix, timestamp_header, .. } => {
                let timestamp_header = timestamp_header.as_deref().map(header_name).transpose()?;
                let (header, prefix, key) = (header_name(header)?, prefix.clone(), secret.clone());
                let signature = Signature { key, header, encoding: *encoding, prefix, timestamp_header };
                (Place::Signature(signature), Blanker::new(&[secret.expose()])?)
            }
            Auth::None | Auth::OAuth2ClientCredentials { .. } | Auth::OAuth2RefreshToken { .. } | Auth::OAuth2JwtBearer { .. } => {
                (Place::Nowhere, Blanker::new(&[secret.expose()])?)
            }
        };
        Ok(Self { serial, place, expires: None, made_of: Some(secret), blanker })
    }

    /// A token that was got with `given`.
    pub fn token(granted: &Granted, given: &Given, client_id: Option<&str>, serial: u64) -> Result<Self, Unusable> {
        let pair = |id: &str, secret: &Secret| {
            [Zeroizing::new([id.as_bytes(), b":", secret.expose()].concat()), Zeroizing::new(client_pair(id, secret).as_bytes().to_vec())]
        };
        let pairs: Vec<_> = client_id.iter().flat_map(|id| given.0.iter().flat_map(|secret| pair(id, secret))).collect();
        let secrets = given.0.iter().chain(granted.refresh_token()).chain(&granted.assertion).chain([&granted.access_token]);
        let secrets = secrets.map(Secret::expose).chain(pairs.iter().map(|pair| pair.as_slice()));
        let blanker = Blanker::new(&secrets.collect::<Vec<_>>())?;
        let place = bearer(&granted.access_token)?;
        Ok(Self { serial, place, expires: Some(granted.usable_until), made_of: Some(given.joined()), blanker })
    }

    /// Whether it can still be used at `now`.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Puts it into a request with `body` that is sent at `now`, by the wall clock: the target holds what is signed against its own.
    pub fn apply(&self, url: &mut Url, headers: &mut HeaderMap, body: &[u8], now: Timestamp) {
        match &self.place {
            Place::Nowhere => {}
            Place::Header(name, value) => {
                headers.insert(name, value.clone());
            }
            Place::Query { name, value } => {
                let encode = |bytes: &[u8]| url::form_urlencoded::byte_serialize(bytes).collect::<String>();
                let own = format!("{}={}", encode(name.as_bytes()), encode(value.expose()));
                // Appended by hand: the parser's editor would re-encode what the plugin wrote.
                let query = match url.query() {
                    Some(query) if !query.is_empty() => format!("{query}&{own}"),
                    _ => own,
                };
                url.set_query(Some(&query));
            }
            Place::Signature(signature) => signature.sign(headers, body, now),
        }
    }
}

impl Signature {
    /// RFC 2104 over the body; with a time, over its digits, `.` and the body, as Stripe and Standard Webhooks have it.
    fn sign(&self, headers: &mut HeaderMap, body: &[u8], now: Timestamp) {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.expose()) else { return };
        if let Some(header) = &self.timestamp_header {
            let seconds = (now.0 / 1000).to_string();
            mac.update(seconds.as_bytes());
            mac.update(b".");
            headers.extend(HeaderValue::from_str(&seconds).ok().map(|value| (header.clone(), value)));
        }
        mac.update(body);
        let tag = mac.finalize().into_bytes();
        let encoded = match self.encoding {
            HmacEncoding::Hex => hex::encode(tag),
            HmacEncoding::Base64 => STANDARD.encode(tag),
        };
        headers.extend(HeaderValue::from_str(&format!("{}{encoded}", self.prefix)).ok().map(|value| (self.header.clone(), value)));
    }
}

fn header_name(name: &str) -> Result<HeaderName, Unusable> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unusable::HeaderName(name.to_owned()))
}

fn authorization(value: &[u8]) -> Result<Place, Unusable> {
    Ok(Place::Header(header::AUTHORIZATION, sensitive(value)?))
}

fn bearer(token: &Secret) -> Result<Place, Unusable> {
    authorization(&Zeroizing::new([b"Bearer ", token.expose()].concat()))
}

fn sensitive(value: &[u8]) -> Result<HeaderValue, Unusable> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| Unusable::Characters)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Auth {
    /// The word for the kind of authentication, as in environment files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
            Self::ApiKey { .. } => "api-key",
            Self::Hmac { .. } => "hmac",
            Self::OAuth2ClientCredentials { .. } => "oauth2-client-credentials",
            Self::OAuth2RefreshToken { .. } => "oauth2-refresh-token",
            Self::OAuth2JwtBearer { .. } => "oauth2-jwt-bearer",
        }
    }

    /// Where its secrets are to be found, each with its key in environment files.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        match self {
            Self::None => Vec::new(),
            Self::Basic { password, .. } => vec![("password", password)],
            Self::Bearer { token } => vec![("token", token)],
            Self::ApiKey { key, .. } => vec![("key", key)],
            Self::Hmac { secret, .. } => vec![("secret", secret)],
            Self::OAuth2ClientCredentials { client_secret, .. } => vec![("client-secret", client_secret)],
            Self::OAuth2RefreshToken { refresh_token, client_secret, .. } => {
                let client_secret = client_secret.as_ref().map(|secret| ("client-secret", secret));
                [("refresh-token", refresh_token)].into_iter().chain(client_secret).collect()
            }
            Self::OAuth2JwtBearer { private_key, .. } => vec![("private-key", private_key)],
        }
    }

    /// Where its tokens come from, where it has any.
    pub fn token_url(&self) -> Option<&Url> {
        match self {
            Self::OAuth2ClientCredentials { token_url, .. }
            | Self::OAuth2RefreshToken { token_url, .. }
            | Self::OAuth2JwtBearer { token_url, .. } => Some(token_url),
            _ => None,
        }
    }

    /// Who its tokens are for.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::OAuth2ClientCredentials { client_id, .. } | Self::OAuth2RefreshToken { client_id, .. } => Some(client_id),
            _ => None,
        }
    }

    /// The headers it owns beside `Authorization`.
    pub fn own_headers(&self) -> Vec<&str> {
        match self {
            Self::ApiKey { place: ApiKeyPlace::Header, name, .. } => vec![name],
            Self::Hmac { header, timestamp_header, .. } => [header].into_iter().chain(timestamp_header).map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The query parameter it owns.
    pub fn own_parameter(&self) -> Option<&str> {
        match self {
            Self::ApiKey { place: ApiKeyPlace::Query, name, .. } => Some(name),
            _ => None,
        }
    }
}
