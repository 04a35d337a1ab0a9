//! Aliases: endpoints, credentials, token refresh, egress policy, and the network behind [`Upstream`].
//!
//! Depends on `clock`, `random`, `problem` and `crash_point`, and on `integration` for plain data (owners, allow lists, waits). Knows
//! nothing of plugins, messages or deliveries.
//!
//! The way of one request: [`registry`] → `path`, `headers` → `turnstile` (may it go now?) → `credential` (of a token: `grant`,
//! `token`, `jwt`, kept in the [`vault`]) → [`upstream`] → `learn` (`retry_after`, `breaker`), `expired`, `blank` → back. Before that,
//! its delivery was let in by `admission`. The rules of both are in `health` (with `breaker`), `rate` and `turns`. What fails may be answered
//! with what is kept (`stale`, `answers`), for which deliveries are let in though nothing is sent (`passes`).

pub mod address;
mod admission;
mod answers;
pub mod authorities;
mod blank;
mod breaker;
mod credential;
mod endpoint;
mod escaped;
mod expired;
mod grant;
mod headers;
mod health;
mod jwt;
mod learn;
pub mod network;
mod network_connect;
mod passes;
pub mod path;
mod probe;
mod rate;
pub mod registry;
mod retry_after;
pub mod scripted;
pub mod secret;
mod stale;
pub mod token;
mod turns;
mod turnstile;
pub mod upstream;
pub mod vault;

pub use admission::{Admission, Entrance, Seat, Seats};
pub use health::Hold;
pub use probe::AliasTest;
pub use rate::{RateLimit, RateUse};
pub use registry::{
    AliasStatus, Aliases, AliasesParts, EgressError, EgressRequest, EgressResponse, KeptAlias, Sender, not_allowed, permits,
};
pub use stale::Stale;
pub use turnstile::Gate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::integration::Owner;
use authorities::Authorities;
use secret::SecretRef;

/// One environment as its file says it: aliases and values.
#[derive(Clone, Debug)]
pub struct Environment {
    pub name: String,
    pub values: BTreeMap<String, String>,
    pub aliases: BTreeMap<String, Alias>,
}

/// A name for an endpoint, how to authenticate there, and how requests from there prove who sent them.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    pub name: String,
    pub owner: Option<Owner>,
    /// Base URL of requests; none for an alias that only verifies webhooks.
    pub url: Option<Url>,
    pub auth: Auth,
    /// Which answers mean that the credential has expired, beside a 401.
    pub expired_when: Option<ExpiredWhen>,
    /// How many requests may be sent in a time, by all who use it; none: as many as there are.
    pub rate: Vec<RateLimit>,
    /// How old an answer may be that is given where the target gives none; none: there is none such.
    pub stale_if_error: Option<Duration>,
    /// Loopback, private or link-local networks that may be dialled.
    pub network: Vec<IpNet>,
    /// Who vouches for its servers beside those the machine trusts, in this file.
    pub ca_file: Option<PathBuf>,
    /// What is in that file, once it was read.
    pub authorities: Option<Arc<Authorities>>,
    /// Through which its `https` requests are tunnelled; it, and not the target, is then resolved, checked and dialled.
    pub proxy: Option<Url>,
    pub verify: Option<Verify>,
}

impl Alias {
    /// How its connections are made.
    pub fn route(&self) -> Route {
        Route { network: self.network.clone().into(), authorities: self.authorities.clone(), proxy: self.proxy.clone() }
    }
}

/// What an alias's connections depend on beside the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// What may be dialled beside the public internet.
    pub network: Arc<[IpNet]>,
    pub authorities: Option<Arc<Authorities>>,
    pub proxy: Option<Url>,
}

/// How the host authenticates at an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    None,
    Basic {
        username: String,
        password: SecretRef,
    },
    Bearer {
        token: SecretRef,
    },
    ApiKey {
        place: ApiKeyPlace,
        name: String,
        key: SecretRef,
    },
    /// HMAC-SHA256 over the body, or over time, `.` and body, in a header.
    Hmac {
        secret: SecretRef,
        header: String,
        encoding: HmacEncoding,
        prefix: String,
        /// Holds the time in seconds since 1970, which is then signed too.
        timestamp_header: Option<String>,
    },
    /// RFC 6749 section 4.4.
    OAuth2ClientCredentials {
        token_url: Url,
        client_id: String,
        client_secret: SecretRef,
        scope: Option<String>,
    },
    /// RFC 6749 section 6.
    OAuth2RefreshToken {
        token_url: Url,
        client_id: String,
        client_secret: Option<SecretRef>,
        /// The first one; those the token endpoint gives in its place are kept.
        refresh_token: SecretRef,
        scope: Option<String>,
    },
    /// RFC 7523 section 2.1.
    OAuth2JwtBearer {
        token_url: Url,
        claims: JwtClaims,
        private_key: SecretRef,
        algorithm: JwtAlgorithm,
        key_id: Option<String>,
    },
}

/// What an assertion says beside its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtClaims {
    pub issuer: String,
    pub subject: Option<String>,
    pub audience: String,
    pub scope: Option<String>,
}

/// How an assertion is signed (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    Rs256,
    Es256,
}

/// An answer that means what a 401 means, of a target that says it otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredWhen {
    pub status: u16,
    pub holds: Holds,
}

/// What an answer's body must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// At this JSON pointer (RFC 6901) one of these values.
    Json { pointer: String, is: Vec<String> },
    /// This text.
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyPlace {
    Header,
    Query,
}

/// How a webhook proves who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// `X-Shopify-Hmac-Sha256`: base64 HMAC-SHA256 over the body.
    Shopify {
        secret: SecretRef,
    },
    /// `X-Hub-Signature-256`: `sha256=` and hex HMAC-SHA256 over the body.
    GitHub {
        secret: SecretRef,
    },
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature` (standardwebhooks.com).
    StandardWebhooks {
        secret: SecretRef,
    },
    /// `Stripe-Signature`: a time, and hex HMAC-SHA256 over time and body.
    Stripe {
        secret: SecretRef,
    },
    /// `X-Slack-Signature`: `v0=` and hex HMAC-SHA256 over `X-Slack-Request-Timestamp` and body.
    Slack {
        secret: SecretRef,
    },
    /// HMAC-SHA256 over the body in a header of one's own choice.
    Hmac {
        secret: SecretRef,
        header: String,
        encoding: HmacEncoding,
        prefix: String,
    },
    Basic {
        username: String,
        password: SecretRef,
    },
    Bearer {
        token: SecretRef,
    },
}

impl Verify {
    /// The word for the kind, as in environment files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Shopify { .. } => "shopify",
            Self::GitHub { .. } => "github",
            Self::StandardWebhooks { .. } => "standard-webhooks",
            Self::Stripe { .. } => "stripe",
            Self::Slack { .. } => "slack",
            Self::Hmac { .. } => "hmac",
            Self::Basic { .. } => "basic",
            Self::Bearer { .. } => "bearer",
        }
    }

    /// Where its secret is to be found, with its key in environment files.
    pub fn secret(&self) -> (&'static str, &SecretRef) {
        match self {
            Self::Shopify { secret }
            | Self::GitHub { secret }
            | Self::StandardWebhooks { secret }
            | Self::Stripe { secret }
            | Self::Slack { secret }
            | Self::Hmac { secret, .. } => ("secret", secret),
            Self::Basic { password, .. } => ("password", password),
            Self::Bearer { token } => ("token", token),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacEncoding {
    Hex,
    Base64,
}

#[cfg(test)]
mod credential_tests;
#[cfg(test)]
mod egress_tests;
#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod learn_tests;
#[cfg(test)]
mod replace_tests;
#[cfg(test)]
mod route_tests;
#[cfg(test)]
mod test_support;
