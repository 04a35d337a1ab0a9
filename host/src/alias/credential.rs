//! Credentials made ready to be sent: a header or a query parameter, and what to blank in answers.
//!
//! Depends on `secret`, `blank` and `clock`. How a token is fetched is `token`'s business, when one is replaced is `endpoint`'s.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;
use zeroize::Zeroizing;

use super::blank::Blanker;
use super::secret::{Secret, SecretRef};
use super::token::Token;
use super::{ApiKeyPlace, Auth};
use crate::clock::Timestamp;

/// A credential ready to be sent.
pub struct Credential {
    /// Counts the credentials of an alias, so that of many who saw one fail the first replaces it.
    pub serial: u64,
    place: Place,
    /// A token is not used from here on.
    expires: Option<Timestamp>,
    /// The secret it was made of; for a token the client secret.
    pub made_of: Option<Secret>,
    pub blanker: Blanker,
}

enum Place {
    Nowhere,
    Header(HeaderName, HeaderValue),
    Query { name: String, value: Secret },
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
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unusable::HeaderName(name.clone()))?;
                (Place::Header(name, sensitive(secret.expose())?), Blanker::new(&[secret.expose()])?)
            }
            Auth::ApiKey { place: ApiKeyPlace::Query, name, .. } => {
                (Place::Query { name: name.clone(), value: secret.clone() }, Blanker::new(&[secret.expose()])?)
            }
            Auth::None | Auth::OAuth2ClientCredentials { .. } => (Place::Nowhere, Blanker::new(&[secret.expose()])?),
        };
        Ok(Self { serial, place, expires: None, made_of: Some(secret), blanker })
    }

    /// A token, got with `client_secret` at `now`.
    pub fn token(token: &Token, client_id: &str, client_secret: Secret, serial: u64, now: Timestamp) -> Result<Self, Unusable> {
        let pair = Zeroizing::new([client_id.as_bytes(), b":", client_secret.expose()].concat());
        let blanker = Blanker::new(&[token.access_token.expose(), client_secret.expose(), &pair])?;
        let place = bearer(&token.access_token)?;
        Ok(Self { serial, place, expires: Some(now.plus(token.usable_for)), made_of: Some(client_secret), blanker })
    }

    /// Whether it can still be used at `now`.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Puts it into a request.
    pub fn apply(&self, url: &mut Url, headers: &mut HeaderMap) {
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
        }
    }
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
            Self::OAuth2ClientCredentials { .. } => "oauth2-client-credentials",
        }
    }

    /// Where its secret is to be found.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::None => None,
            Self::Basic { password, .. } => Some(password),
            Self::Bearer { token } => Some(token),
            Self::ApiKey { key, .. } => Some(key),
            Self::OAuth2ClientCredentials { client_secret, .. } => Some(client_secret),
        }
    }

    /// The header it owns beside `Authorization`.
    pub fn own_header(&self) -> Option<&str> {
        match self {
            Self::ApiKey { place: ApiKeyPlace::Header, name, .. } => Some(name),
            _ => None,
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
