//! Tokens of an alias: taken up after a restart, asked for when there is none that is good, and on disk before they are used.
//!
//! Depends on `token` for the request and its answer, on `jwt` for assertions, on `vault` for keeping. Whoever calls holds the alias's
//! wallet, so that many who need a token make one request.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Auth;
use super::endpoint::Endpoint;
use super::health::{Hold, Ticket};
use super::jwt::Signing;
use super::registry::EgressError;
use super::secret::Secret;
use super::token::{self, Client, Grant, Token, TokenFailure};
use crate::clock::Timestamp;
use crate::crash_point::{CrashPoint, reached};
use crate::problem::{Code, Problem};

/// Refresh tokens that are kept for those who go back to an earlier first one, or an earlier client.
const OTHER_LINEAGES_MAX: usize = 4;

/// The secrets of an alias as they were read, in the order of [`Auth::secrets`].
#[derive(Debug)]
pub struct Given(pub Vec<Secret>);

impl Given {
    /// All of them, so that two can be told apart.
    pub fn joined(&self) -> Secret {
        match self.0.as_slice() {
            [one] => one.clone(),
            several => {
                // Made as large as it gets: a copy that grows leaves others behind it that nobody wipes.
                let mut joined = Vec::with_capacity(several.iter().map(|secret| size_of::<usize>() + secret.expose().len()).sum());
                for secret in several {
                    joined.extend_from_slice(&secret.expose().len().to_be_bytes());
                    joined.extend_from_slice(secret.expose());
                }
                Secret::new(joined)
            }
        }
    }
}

/// A token and what it came from.
#[derive(Debug)]
pub struct Granted {
    pub access_token: Secret,
    pub usable_until: Timestamp,
    /// The assertion it was got with, where this process asked: whoever sees it could ask, too, until it expires.
    pub assertion: Option<Secret>,
    /// A print of everything it was asked for with.
    made_of: String,
    refresh: Option<Refresh>,
    /// Those of other lineages, the latest first: a request that is still under way for one, or an environment that goes back to it, goes on
    /// with what was given last. A vendor that sees a token used twice may take back all that came of it.
    others: Vec<Refresh>,
}

/// A refresh token that was given in the place of an earlier one.
#[derive(Clone, Debug)]
struct Refresh {
    token: Secret,
    /// A print of the first one, and of whom it is for: another first one starts anew.
    lineage: String,
}

/// [`Granted`] as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written<'a> {
    access_token: Cow<'a, str>,
    usable_until: Timestamp,
    made_of: Cow<'a, str>,
    refresh_token: Option<Cow<'a, str>>,
    lineage: Option<Cow<'a, str>>,
    /// Tokens with their lineages.
    #[serde(default)]
    others: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// The token at hand.
#[derive(Debug, Default)]
pub struct Purse {
    granted: Option<Granted>,
    /// Nothing that is not on disk is used.
    is_kept: bool,
}

impl Granted {
    /// The refresh token that was given with it, or before.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.refresh.as_ref().map(|refresh| &refresh.token)
    }

    /// All refresh tokens, the latest first.
    fn refreshes(&self) -> impl Iterator<Item = &Refresh> {
        self.refresh.iter().chain(&self.others)
    }

    fn write(&self) -> Result<Secret, Problem> {
        fn text(secret: &Secret) -> Cow<'_, str> {
            String::from_utf8_lossy(secret.expose())
        }
        let written = Written {
            access_token: text(&self.access_token),
            usable_until: self.usable_until,
            made_of: self.made_of.as_str().into(),
            refresh_token: self.refresh.as_ref().map(|refresh| text(&refresh.token)),
            lineage: self.refresh.as_ref().map(|refresh| refresh.lineage.as_str().into()),
            others: self.others.iter().map(|refresh| (text(&refresh.token), refresh.lineage.as_str().into())).collect(),
        };
        // With room for everything, twice where it is escaped: a text that grows leaves copies behind.
        let tokens = self.refreshes().map(|refresh| &refresh.token).chain([&self.access_token]).map(|token| 2 * token.expose().len() + 256);
        let mut json = Zeroizing::new(Vec::with_capacity(tokens.sum()));
        serde_json::to_writer(&mut *json, &written).map_err(|error| Problem::new(Code::Internal, format!("a token: {error}")))?;
        Ok(Secret::new(std::mem::take(&mut *json)))
    }

    fn read(written: &Secret) -> Option<Self> {
        let Written { access_token, usable_until, made_of, refresh_token, lineage, others } =
            serde_json::from_slice(written.expose()).ok()?;
        let refresh = |(token, lineage): (Cow<'_, str>, Cow<'_, str>)| Refresh {
            token: Secret::new(token.into_owned()),
            lineage: lineage.into_owned(),
        };
        Some(Self {
            access_token: Secret::new(access_token.into_owned()),
            usable_until,
            assertion: None,
            made_of: made_of.into_owned(),
            refresh: refresh_token.zip(lineage).map(refresh),
            others: others.into_iter().take(OTHER_LINEAGES_MAX).map(refresh).collect(),
        })
    }
}

impl Purse {
    /// With the token that was kept before this start, if there is one.
    pub fn of(kept: Option<Secret>) -> Self {
        Self { granted: kept.as_ref().and_then(Granted::read), is_kept: true }
    }
}

impl Endpoint {
    /// A token got with `given`: the one at hand if that is good, or a new one; `anew` if the one at hand was refused, or a person asks.
    pub(super) async fn granted<'p>(
        &self,
        purse: &'p mut Purse,
        given: &Given,
        anew: bool,
        ticket: Ticket,
    ) -> Result<&'p Granted, EgressError> {
        let made_of = self.print(given);
        let is_good = |granted: &Granted| granted.made_of == made_of && self.now() < granted.usable_until;
        // One that could not be kept was never used: it can be kept now.
        if !purse.granted.as_ref().is_some_and(|granted| is_good(granted) && !(anew && purse.is_kept)) {
            let granted = self.fetch(purse.granted.as_ref(), given, made_of, ticket).await?;
            *purse = Purse { granted: Some(granted), is_kept: false };
        }
        let Some(granted) = &purse.granted else { return Err(EgressError::Unreachable("no token".to_owned())) };
        if !purse.is_kept {
            self.keep(granted).await?;
            purse.is_kept = true;
        }
        Ok(granted)
    }

    async fn fetch(&self, before: Option<&Granted>, given: &Given, made_of: String, ticket: Ticket) -> Result<Granted, EgressError> {
        let Some(token_url) = self.alias.auth.token_url() else { return Err(EgressError::Denied("no token endpoint".to_owned())) };
        let lineage = self.lineage(given);
        let of_it = |refresh: &&Refresh| Some(&refresh.lineage) == lineage.as_ref();
        let rotated = before.and_then(|before| before.refreshes().find(of_it));
        let rotated_token = rotated.map(|refresh| &refresh.token);
        let prepare = |client: Client<'_>| (client.request(self.template(token_url.clone())), client.assertion());
        let (request, assertion) = self.ask(given, rotated_token, ticket, prepare)?;
        let answer = self.around.upstream.send(request).await;
        let token = token::read(answer, self.now().0).map_err(|failure| self.no_token(failure, ticket, given))?;
        reached(CrashPoint::TokenRefreshed);
        let Token { access_token, usable_for, refresh_token, oddity } = token;
        if let Some(oddity) = oddity {
            self.warn_of_lifetime(&oddity);
        }
        // One that is not replaced goes on being used (RFC 6749 section 6).
        let refresh_token = refresh_token.or_else(|| rotated.map(|refresh| refresh.token.clone()));
        let others = before.iter().flat_map(|before| before.refreshes()).filter(|refresh| !of_it(refresh));
        let others = others.take(OTHER_LINEAGES_MAX).cloned().collect();
        let refresh = refresh_token.zip(lineage).map(|(token, lineage)| Refresh { token, lineage });
        Ok(Granted { access_token, usable_until: self.now().plus(usable_for), assertion, made_of, refresh, others })
    }

    /// Who asks, and for what, put into a request by `request`.
    fn ask<T>(
        &self,
        given: &Given,
        rotated: Option<&Secret>,
        ticket: Ticket,
        request: impl FnOnce(Client<'_>) -> T,
    ) -> Result<T, EgressError> {
        let no_secret = || EgressError::Denied("a secret was not read".to_owned());
        let first = given.0.first().ok_or_else(no_secret)?;
        match &self.alias.auth {
            Auth::OAuth2ClientCredentials { token_url, client_id, scope, .. } => {
                let (client_id, client_secret, grant) = (Some(client_id.as_str()), Some(first), Grant::ClientCredentials);
                Ok(request(Client { token_url, client_id, client_secret, scope: scope.as_deref(), grant }))
            }
            Auth::OAuth2RefreshToken { token_url, client_id, scope, .. } => {
                let (client_id, grant) = (Some(client_id.as_str()), Grant::RefreshToken(rotated.unwrap_or(first)));
                Ok(request(Client { token_url, client_id, client_secret: given.0.get(1), scope: scope.as_deref(), grant }))
            }
            Auth::OAuth2JwtBearer { token_url, claims, algorithm, key_id, .. } => {
                let signing = Signing { claims, algorithm: *algorithm, key_id: key_id.as_deref(), private_key: first };
                let assertion = signing.assertion(self.around.clock.wall(), &*self.around.random);
                let assertion = assertion.map_err(|unsigned| self.refuse(ticket, Some(given.joined()), unsigned.to_string()))?;
                let (scope, grant) = (claims.scope.as_deref(), Grant::JwtBearer(&assertion));
                Ok(request(Client { token_url, client_id: None, client_secret: None, scope, grant }))
            }
            _ => Err(no_secret()),
        }
    }

    async fn keep(&self, granted: &Granted) -> Result<(), EgressError> {
        let kept = async { self.around.vault.keep_token(&self.alias.name, &granted.write()?, self.now()).await };
        kept.await.map_err(|problem| {
            let name = &self.name;
            tracing::error!(code = %problem.code, alias = %name, "alias {name}: a new token is not used before it is kept, and cannot be: {problem}");
            EgressError::Unreachable(format!("a new token cannot be kept: {}", problem.message))
        })
    }

    fn no_token(&self, failure: TokenFailure, ticket: Ticket, given: &Given) -> EgressError {
        match failure {
            TokenFailure::Refused(what) => self.refuse(ticket, Some(given.joined()), what),
            // The alias gets its tokens elsewhere now, or by other means.
            TokenFailure::Unavailable(what) | TokenFailure::Throttled(_, what) if !self.turnstile.is_of_this_credential(ticket) => {
                EgressError::Unreachable(what)
            }
            TokenFailure::Unavailable(what) => self.unreachable(ticket, what),
            TokenFailure::AddressRefused(what) => self.address_refused(&what),
            TokenFailure::Throttled(asked, what) => {
                EgressError::Held { kind: Hold::Throttled, until: Some(self.throttle(ticket, &asked, what)) }
            }
        }
    }

    fn warn_of_lifetime(&self, oddity: &str) {
        let (code, name) = (Code::SenselessLifetime, &self.name);
        tracing::warn!(%code, alias = %name, "{code} alias {name}: its token's `expires_in` {oddity}; a 401 ends the token if nothing does before");
    }

    /// A print of everything a token is asked for with: with anything else another one would be given.
    fn print(&self, given: &Given) -> String {
        let auth = &self.alias.auth;
        let asked = match auth {
            Auth::OAuth2ClientCredentials { client_id, scope, .. } | Auth::OAuth2RefreshToken { client_id, scope, .. } => {
                format!("{client_id:?} {scope:?}")
            }
            Auth::OAuth2JwtBearer { claims, algorithm, key_id, .. } => format!("{claims:?} {algorithm:?} {key_id:?}"),
            _ => String::new(),
        };
        print_of(&[auth.kind().as_bytes(), self.token_url(), asked.as_bytes(), given.joined().expose()])
    }

    fn lineage(&self, given: &Given) -> Option<String> {
        match &self.alias.auth {
            Auth::OAuth2RefreshToken { client_id, .. } => {
                Some(print_of(&[self.token_url(), client_id.as_bytes(), given.0.first()?.expose()]))
            }
            _ => None,
        }
    }

    fn token_url(&self) -> &[u8] {
        self.alias.auth.token_url().map_or(&[], |url| url.as_str().as_bytes())
    }
}

fn print_of(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}
