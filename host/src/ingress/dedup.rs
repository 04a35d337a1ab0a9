//! What makes two requests the same message: the deduplication token of a webhook.
//!
//! Where nothing proves that the sender's id was not forged, the body is part of the token: somebody who sends an id
//! that a later, genuine request will carry suppresses nothing, since his body is another one.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::alias::Verify;
use crate::clock::Timestamp;
use crate::integration::Source;
use crate::integration::select::Selector;
use crate::message::Headers;
use crate::message_store::{Dedup, records};

/// How long a token is remembered: longer than any sender replays.
pub const DEDUP_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The token of a request, within `scope`:
///
/// | `id` of the source | the scheme signs an id (`signed_id`) | token over |
/// |---|---|---|
/// | names only what is signed | yes | the id |
/// | names a header that is not signed | yes | the id and the body |
/// | anything | no | the id and the body |
/// | empty | yes | the signed id |
/// | empty, or something it names is not there | | the body |
pub fn token(scope: String, id: &[Selector], signed_id: Option<&str>, headers: &Headers, body: &[u8], now: Timestamp) -> Dedup {
    let mut hash = Sha256::new();
    match (ids(id, headers, body), signed_id) {
        (Some(values), signed) if !values.is_empty() => {
            // A header counts as signed where it is the very id that was: other schemes than the one that signs it let any through.
            let is_it = |selector: &Selector, value: &[u8], signed: &str| match selector {
                Selector::Header(_) => is_signed(selector) && value == signed.as_bytes(),
                Selector::Json(_) | Selector::Body => true,
            };
            let proven = signed.is_some_and(|signed| id.iter().zip(&values).all(|(selector, value)| is_it(selector, value, signed)));
            hash.update(if proven { &b"id"[..] } else { &b"id, body"[..] });
            for value in &values {
                add(&mut hash, value);
            }
            if !proven {
                add(&mut hash, body);
            }
        }
        (Some(_), Some(signed)) => {
            hash.update(b"id");
            add(&mut hash, signed.as_bytes());
        }
        (Some(_) | None, _) => {
            hash.update(b"body");
            add(&mut hash, body);
        }
    }
    Dedup { scope, token: hash.finalize().into(), expires_at: now.plus(DEDUP_KEPT) }
}

/// What makes a request the same record as what another source of its integration brings: the values that `source` names, where it
/// names any and the request proves all of them (see [`proves`]). Nobody can keep a record away by sending its id first.
pub fn record(integration: &str, source: &Source, rule: Option<&Verify>, headers: &Headers, body: &[u8], now: Timestamp) -> Option<Dedup> {
    if source.id.is_empty() || !source.id.iter().all(|selector| rule.is_some_and(|rule| proves(rule, selector))) {
        return None;
    }
    Some(records::record(integration, &ids(&source.id, headers, body)?, now))
}

/// Whether a request that `rule` let in proves that this part of it comes from who sent it.
fn proves(rule: &Verify, selector: &Selector) -> bool {
    match (rule, selector) {
        (_, Selector::Json(_) | Selector::Body) | (Verify::Basic { .. } | Verify::Bearer { .. }, _) => true,
        (Verify::StandardWebhooks { .. }, selector) => is_signed(selector),
        (
            Verify::Shopify { .. } | Verify::GitHub { .. } | Verify::Stripe { .. } | Verify::Slack { .. } | Verify::Hmac { .. },
            Selector::Header(_),
        ) => false,
    }
}

/// The sender's id: what every selector finds, or none if one finds nothing.
fn ids(id: &[Selector], headers: &Headers, body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let found = id.iter().map(|selector| match selector {
        Selector::Body => Some(body.to_vec()),
        Selector::Header(_) | Selector::Json(_) => match selector.find(headers, body) {
            Ok(value) => Some(value.into_bytes()),
            Err(why) => {
                tracing::debug!(%selector, %why, "no id in a request; its body alone makes it the same as another");
                None
            }
        },
    });
    found.collect()
}

/// Whether a scheme that signs an id signs this too: Standard Webhooks signs `webhook-id.webhook-timestamp.body`, Stripe the
/// body, which holds the id.
fn is_signed(selector: &Selector) -> bool {
    match selector {
        Selector::Header(name) => name == "webhook-id",
        Selector::Json(_) | Selector::Body => true,
    }
}

/// Parts carry their length, so that `ab`, `c` is not `a`, `bc`.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn of(id: &[&str], signed: Option<&str>, headers: &[(&str, &str)], body: &str) -> [u8; 32] {
        let id: Vec<Selector> = id.iter().map(|text| text.parse().unwrap()).collect();
        let headers = Headers(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        token("webhook /in".into(), &id, signed, &headers, body.as_bytes(), NOW).token
    }

    #[test]
    fn lets_a_forged_id_suppress_nothing_where_the_id_is_not_signed() {
        let forged = of(&["header:x-id"], None, &[("x-id", "7")], "forged");
        assert_ne!(forged, of(&["header:x-id"], None, &[("x-id", "7")], "genuine"));
        assert_eq!(forged, of(&["header:x-id"], None, &[("x-id", "7")], "forged"));
    }

    #[test]
    fn goes_by_the_id_alone_where_it_is_signed() {
        let first = of(&["header:webhook-id"], Some("msg_1"), &[("webhook-id", "msg_1")], "{\"sent\":1}");
        assert_eq!(first, of(&["header:webhook-id"], Some("msg_1"), &[("webhook-id", "msg_1")], "{\"sent\":2}"));
        assert_eq!(first, of(&[], Some("msg_1"), &[], "{\"sent\":3}"));
        assert_ne!(first, of(&[], Some("msg_2"), &[], "{\"sent\":3}"));
    }

    #[test]
    fn does_not_trust_an_unsigned_header_because_another_one_is_signed() {
        let one = of(&["header:x-id"], Some("msg_1"), &[("x-id", "7")], "a");
        assert_ne!(one, of(&["header:x-id"], Some("msg_1"), &[("x-id", "7")], "b"));
    }

    #[test]
    fn a_header_that_is_not_the_signed_id_is_not_signed_whatever_it_is_called() {
        // As a scheme gives it that signs an id in the body.
        let one = of(&["header:webhook-id"], Some("evt_A"), &[("webhook-id", "forged")], "{\"id\":\"evt_A\"}");
        assert_ne!(one, of(&["header:webhook-id"], Some("evt_B"), &[("webhook-id", "forged")], "{\"id\":\"evt_B\"}"));
    }

    #[test]
    fn goes_by_the_body_where_there_is_no_id() {
        let body = of(&[], None, &[], "a");
        assert_eq!(body, of(&["header:x-id"], None, &[], "a"));
        assert_ne!(body, of(&[], None, &[], "b"));
    }

    #[test]
    fn joins_several_ids_without_mixing_them_up() {
        let ids = ["header:a", "header:b"];
        assert_ne!(of(&ids, None, &[("a", "xy"), ("b", "z")], ""), of(&ids, None, &[("a", "x"), ("b", "yz")], ""));
    }

    #[test]
    fn remembers_a_token_for_seven_days_within_its_scope() {
        let dedup = token("webhook /in".into(), &[], None, &Headers::default(), b"", NOW);
        assert_eq!(dedup.scope, "webhook /in");
        assert_eq!(dedup.expires_at.since(NOW), Duration::from_secs(604_800));
    }

    fn recorded(id: &[&str], rule: Option<&Verify>) -> Option<Dedup> {
        let entry = crate::integration::Entry::Webhook { path: "/in".into(), verify: None, when: Default::default() };
        let id = id.iter().map(|text| text.parse().unwrap()).collect();
        let source = Source { entry, id, key: None, track: Default::default() };
        let headers = Headers(vec![("x-id".into(), "7".into()), ("webhook-id".into(), "msg_1".into())]);
        record("orders", &source, rule, &headers, b"{\"id\":7,\"at\":\"x\"}", NOW)
    }

    #[test]
    fn takes_a_request_for_a_record_only_by_what_its_sender_proved() {
        let secret = || crate::alias::secret::SecretRef::env("s", "S");
        let (signed, standard) = (Verify::GitHub { secret: secret() }, Verify::StandardWebhooks { secret: secret() });
        assert_eq!(recorded(&["json:/id"], None), None, "anybody can send that");
        assert_eq!(recorded(&["header:x-id"], Some(&signed)), None, "the signature is over the body alone");
        assert_eq!(recorded(&["header:x-id"], Some(&standard)), None);
        assert_eq!(recorded(&[], Some(&signed)), None);
        assert_eq!(recorded(&["json:/gone"], Some(&signed)), None);
        assert!(recorded(&["header:webhook-id"], Some(&standard)).is_some());
        assert!(recorded(&["header:x-id"], Some(&Verify::Bearer { token: secret() })).is_some());
        assert_eq!(
            recorded(&["json:/id", "json:/at"], Some(&signed)),
            Some(records::record("orders", &["7", "x"], NOW)),
            "as an item's id is"
        );
    }
}
