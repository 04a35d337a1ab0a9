//! Who may talk to the admin listener: the right `Host`, no other web site, and a token that allows it where data is shown or changed.
//!
//! A loopback port is within reach of every page open in a browser on the machine. A page can be made to resolve its own
//! name to 127.0.0.1 (DNS rebinding), which the `Host` check stops, or to send requests across sites, which `Origin` and
//! `Sec-Fetch-Site` show (Fetch metadata, W3C).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, Uri, header};

use super::named_tokens::Tokens;
use super::role::Role;
use super::who::Who;
use crate::alias::secret::Secret;
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// Checks requests to the admin listener.
#[derive(Debug)]
pub struct Guard {
    bound: IpAddr,
    /// The data folder's own.
    token: Secret,
    named: Arc<Tokens>,
}

impl Guard {
    /// For a listener at `bound`, opened by `token` and by those that are `named`.
    pub fn new(bound: SocketAddr, token: Secret, named: Arc<Tokens>) -> Self {
        Self { bound: bound.ip(), token, named }
    }

    /// Refuses what a browser was made to send by another site.
    ///
    /// # Errors
    /// As [`Guard::check_host`] and [`check_site`] say.
    pub fn check_place<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        self.check_host(request)?;
        check_site(request)
    }

    /// Refuses requests for another host.
    ///
    /// # Errors
    /// 400 without a usable `Host`, 403 for one that is not this listener's.
    pub fn check_host<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let host = host(request.uri(), request.headers())?;
        if self.is_own(name_of(&host)) {
            return Ok(());
        }
        Err(elsewhere("the Host header names another host; use the address the listener is bound to, or localhost"))
    }

    /// Who has the token that the request carries: the data folder's own, which is compared in constant time, or a named one, found by its hash.
    ///
    /// # Errors
    /// 401 where it carries none that is good. Whether one never was, has expired or was revoked is not said.
    pub fn check_token(&self, headers: &HeaderMap, now: Timestamp) -> Result<Who, Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let Some(given) = given else { return Err(unauthorized("send the token: Authorization: Bearer …")) };
        if Secret::new(given) == self.token {
            return Ok(Who::local());
        }
        self.named.find(given, now).ok_or_else(|| unauthorized("the token is not valid"))
    }

    fn is_own(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        // A name can be made to resolve to anything; an address is what it is. So where the listener is bound to every
        // address of the machine, every address will do.
        literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == self.bound || self.bound.is_unspecified())
    }
}

/// Refuses requests that another site made a browser send.
///
/// # Errors
/// 403 for those, 400 without a usable `Host` to hold them against.
pub fn check_site<B>(request: &Request<B>) -> Result<(), Refusal> {
    let other_site = || elsewhere("requests from other sites are refused");
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let host = host(request.uri(), request.headers())?;
        if !is_same_origin(origin.as_bytes(), &host) {
            return Err(other_site());
        }
    }
    match request.headers().get("sec-fetch-site").map(|site| site.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(other_site()),
    }
}

fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, Refusal> {
    let refusal = |detail: &str| Refusal::new(StatusCode::BAD_REQUEST, Code::BadRequest, detail);
    // RFC 9112 §3.2.2: the authority of an absolute request target counts, not the header.
    if let Some(authority) = uri.authority() {
        return Ok(authority.as_str().to_owned());
    }
    let mut values = headers.get_all(header::HOST).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(host)), None) if !host.is_empty() => Ok(host.to_owned()),
        _ => Err(refusal("send exactly one Host header")),
    }
}

/// `localhost:8090` → `localhost`, `[::1]:8090` → `[::1]`.
fn name_of(host: &str) -> &str {
    let after_address = host.find(']').map_or(0, |end| end + 1);
    host[after_address..].find(':').map_or(host, |colon| &host[..after_address + colon])
}

fn is_same_origin(origin: &[u8], host: &str) -> bool {
    let rest = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    rest.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_bytes()))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// 403: the request comes from somewhere it may not.
pub fn elsewhere(detail: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, Code::Elsewhere, detail)
}

/// 403: the token is good, and its role is not enough.
pub(super) fn forbidden(who: &Who, needed: Role) -> Refusal {
    let needs = if needed == Role::Local { "the token in the host's data folder".to_owned() } else { format!("the role {needed}") };
    let detail = format!("the token {} has the role {}, and this needs {needs}", who.name(), who.role());
    Refusal::new(StatusCode::FORBIDDEN, Code::NotAllowed, detail)
}

pub(super) fn unauthorized(detail: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, detail).challenge("Bearer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(bound: &str) -> Guard {
        let named = Tokens::new(Vec::new(), Arc::new(crate::random::SeededRandom::new(1)));
        Guard::new(bound.parse().unwrap(), Secret::new("the token"), Arc::new(named))
    }

    fn place(bound: &str, headers: &[(&str, &str)]) -> Result<(), StatusCode> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard(bound).check_place(&request.body(()).unwrap()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn refuses_hosts_that_are_not_its_own() {
        for host in [
            "evil.example",
            "evil.example:8090",
            "localhost.evil.example",
            "10.0.0.1",
            "[2001:db8::1]:8090",
            "127.0.0.1.evil.example",
            ":",
            "[",
        ] {
            assert_eq!(place("127.0.0.1:8090", &[("host", host)]), Err(StatusCode::FORBIDDEN), "{host}");
        }
        assert_eq!(place("127.0.0.1:8090", &[]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(place("127.0.0.1:8090", &[("host", "localhost"), ("host", "evil.example")]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(place("0.0.0.0:8090", &[("host", "evil.example")]), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn answers_to_loopback_and_to_the_address_it_is_bound_to() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8090", "127.9.9.9", "[::1]:8090", "[::1]"] {
            assert_eq!(place("127.0.0.1:8090", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(place("10.0.0.1:8090", &[("host", "10.0.0.1:8090")]), Ok(()));
        assert_eq!(place("0.0.0.0:8090", &[("host", "10.0.0.7:8090")]), Ok(()));
    }

    #[test]
    fn refuses_other_sites() {
        let host = ("host", "localhost:8090");
        for other in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:9999"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(place("127.0.0.1:8090", &[host, other]), Err(StatusCode::FORBIDDEN), "{other:?}");
        }
        for own in [("origin", "http://localhost:8090"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")] {
            assert_eq!(place("127.0.0.1:8090", &[host, own]), Ok(()), "{own:?}");
        }
    }

    #[test]
    fn refuses_a_missing_or_a_wrong_token() {
        for (value, valid) in [
            (None, false),
            (Some("the token"), false),
            (Some("Bearer"), false),
            (Some("Bearer "), false),
            (Some("Bearer the toke"), false),
            (Some("Bearer the token!"), false),
            (Some("Basic the token"), false),
            (Some("Bearer the token"), true),
            (Some("bearer the token"), true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(guard("127.0.0.1:1").check_token(&headers, Timestamp(0)).is_ok(), valid, "{value:?}");
        }
    }
}
