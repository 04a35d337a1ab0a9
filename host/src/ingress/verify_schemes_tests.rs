//! What holds for every verification scheme there is, in one table: genuine requests are believed, and what is changed, missing,
//! doubled, stale, of another version or signed with nothing is not.

use proptest::prelude::*;

use super::tests::{NOW, check, reference, tag};
use super::*;

type Headers = Vec<(&'static str, String)>;

/// A scheme, and how its sender signs.
struct Scheme {
    rule: Verify,
    secret: &'static str,
    sign: fn(key: &str, seconds: i64, body: &[u8]) -> Headers,
    /// The header that proves, and the version in it with another one.
    proof: &'static str,
    version: Option<(&'static str, &'static str)>,
    signs_time: bool,
    /// What stands between two signatures.
    separator: &'static str,
}

const NOW_SECONDS: i64 = NOW.0 / 1000;
/// Base64, as Standard Webhooks has its secrets; for the others it is a text like others.
const SECRET: &str = "whsec_bG9ja2dhdGUgdGVzdCBrZXk=";

fn schemes() -> Vec<Scheme> {
    let hmac = |encoding, prefix: &str| Verify::Hmac { secret: reference(), header: "x-sig".into(), encoding, prefix: prefix.into() };
    let scheme = |rule, sign, proof| Scheme { rule, secret: SECRET, sign, proof, version: None, signs_time: false, separator: "," };
    vec![
        scheme(
            Verify::Shopify { secret: reference() },
            |key, _, body| vec![("x-shopify-hmac-sha256", STANDARD.encode(tag(key.as_bytes(), body)))],
            "x-shopify-hmac-sha256",
        ),
        Scheme {
            version: Some(("sha256=", "sha1=")),
            ..scheme(
                Verify::GitHub { secret: reference() },
                |key, _, body| vec![("x-hub-signature-256", format!("sha256={}", hex::encode(tag(key.as_bytes(), body))))],
                "x-hub-signature-256",
            )
        },
        Scheme {
            version: Some(("v1,", "v2,")),
            signs_time: true,
            separator: " ",
            ..scheme(
                Verify::StandardWebhooks { secret: reference() },
                |key, seconds, body| {
                    let key = STANDARD.decode(key.trim_start_matches("whsec_")).unwrap();
                    let signature = STANDARD.encode(tag(&key, &[format!("msg_1.{seconds}.").as_bytes(), body].concat()));
                    let time = ("webhook-timestamp", seconds.to_string());
                    vec![("webhook-id", "msg_1".into()), time, ("webhook-signature", format!("v1,{signature}"))]
                },
                "webhook-signature",
            )
        },
        Scheme {
            version: Some(("v1=", "v0=")),
            signs_time: true,
            ..scheme(
                Verify::Stripe { secret: reference() },
                |key, seconds, body| {
                    let signature = hex::encode(tag(key.as_bytes(), &[format!("{seconds}.").as_bytes(), body].concat()));
                    vec![("stripe-signature", format!("t={seconds},v1={signature}"))]
                },
                "stripe-signature",
            )
        },
        Scheme {
            version: Some(("v0=", "v1=")),
            signs_time: true,
            ..scheme(
                Verify::Slack { secret: reference() },
                |key, seconds, body| {
                    let signature = hex::encode(tag(key.as_bytes(), &[format!("v0:{seconds}:").as_bytes(), body].concat()));
                    vec![("x-slack-request-timestamp", seconds.to_string()), ("x-slack-signature", format!("v0={signature}"))]
                },
                "x-slack-signature",
            )
        },
        scheme(hmac(HmacEncoding::Hex, ""), |key, _, body| vec![("x-sig", hex::encode(tag(key.as_bytes(), body)))], "x-sig"),
        Scheme {
            version: Some(("v1:", "v2:")),
            ..scheme(
                hmac(HmacEncoding::Base64, "v1:"),
                |key, _, body| vec![("x-sig", format!("v1:{}", STANDARD.encode(tag(key.as_bytes(), body))))],
                "x-sig",
            )
        },
    ]
}

impl Scheme {
    fn signed(&self, seconds: i64, body: &[u8]) -> Headers {
        (self.sign)(self.secret, seconds, body)
    }

    fn verdict(&self, headers: &[(&'static str, String)], body: &[u8]) -> Result<Verified, Refused> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        check(&self.rule, self.secret, &headers, body)
    }

    fn name(&self) -> String {
        format!("{} {}", self.rule.kind(), self.version.map_or("", |(version, _)| version))
    }
}

#[test]
fn no_scheme_believes_a_changed_body_or_another_secret() {
    let body = b"{\"id\":\"evt_1\",\"n\":1}".as_slice();
    for scheme in schemes() {
        let headers = scheme.signed(NOW_SECONDS, body);
        for changed in [&b""[..], b"{\"id\":\"evt_1\",\"n\":2}", b"{\"id\":\"evt_1\",\"n\":1} ", &body[1..], &body[..body.len() - 1]] {
            assert_eq!(scheme.verdict(&headers, changed), Err(Refused::Mismatch), "{}", scheme.name());
        }
        let other = (scheme.sign)("whsec_YW5vdGhlciBrZXkgYWx0b2dldGhlcg==", NOW_SECONDS, body);
        assert_eq!(scheme.verdict(&other, body), Err(Refused::Mismatch), "{}", scheme.name());
    }
}

#[test]
fn no_scheme_believes_a_header_that_is_missing_doubled_empty_cut_or_of_another_scheme() {
    for scheme in schemes() {
        let (name, good) = (scheme.name(), scheme.signed(NOW_SECONDS, b"x"));
        for at in 0..good.len() {
            let with = |change: &dyn Fn(&mut Headers)| {
                let mut headers = good.clone();
                change(&mut headers);
                scheme.verdict(&headers, b"x")
            };
            let header = good[at].0.to_owned();
            assert_eq!(with(&|headers| drop(headers.remove(at))), Err(Refused::Missing(header.clone())), "{name}");
            assert_eq!(with(&|headers| headers.push(headers[at].clone())), Err(Refused::Doubled(header)), "{name}");
            assert!(with(&|headers| headers[at].1.clear()).is_err(), "{name}");
            assert!(with(&|headers| headers[at].1 = headers[at].1[1..].to_owned()).is_err(), "{name}");
            assert!(with(&|headers| headers[at].1.push('0')).is_err(), "{name}");
            assert!(with(&|headers| headers[at].1 = "a".repeat(HEADER_BYTES_MAX + 1)).is_err(), "{name}");
        }
        for other in schemes().into_iter().filter(|other| other.proof != scheme.proof) {
            assert!(scheme.verdict(&other.signed(NOW_SECONDS, b"x"), b"x").is_err(), "{name} took {}", other.name());
        }
    }
}

#[test]
fn no_scheme_believes_anything_where_the_secret_is_empty() {
    for scheme in schemes() {
        let headers = (scheme.sign)("", NOW_SECONDS, b"x");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert!(matches!(check(&scheme.rule, "", &headers, b"x"), Err(Refused::Secret(_))), "{}", scheme.name());
    }
    for rule in [Verify::Basic { username: String::new(), password: reference() }, Verify::Bearer { token: reference() }] {
        for given in ["Basic Og==", "Basic ", "Bearer ", "Bearer"] {
            assert!(matches!(check(&rule, "", &[("authorization", given)], b"x"), Err(Refused::Secret(_))), "{given}");
        }
    }
}

#[test]
fn a_signed_time_is_believed_for_five_minutes_either_way_and_cannot_be_changed() {
    let mut signing_time = 0;
    for scheme in schemes().into_iter().filter(|scheme| scheme.signs_time) {
        signing_time += 1;
        let at = |seconds: i64| scheme.verdict(&scheme.signed(seconds, b"x"), b"x");
        for skew in [-300, 0, 300] {
            assert!(at(NOW_SECONDS + skew).is_ok(), "{} {skew}", scheme.name());
        }
        for stale in [NOW_SECONDS - 301, 0, 1] {
            assert!(matches!(at(stale), Err(Refused::TooOld(_))), "{} {stale}", scheme.name());
        }
        for early in [NOW_SECONDS + 301, NOW_SECONDS * 2] {
            assert!(matches!(at(early), Err(Refused::TooNew(_))), "{} {early}", scheme.name());
        }
        for senseless in [-1, -NOW_SECONDS, i64::MAX, i64::MIN] {
            assert!(matches!(at(senseless), Err(Refused::Malformed(_))), "{} {senseless}", scheme.name());
        }
        // A request caught an hour ago, with the time of now put into it.
        let (then, now) = (NOW_SECONDS - 3600, NOW_SECONDS.to_string());
        let refreshed: Vec<_> =
            scheme.signed(then, b"x").into_iter().map(|(name, value)| (name, value.replace(&then.to_string(), &now))).collect();
        assert_eq!(scheme.verdict(&refreshed, b"x"), Err(Refused::Mismatch), "{}", scheme.name());
    }
    assert_eq!(signing_time, 3);
}

#[test]
fn another_version_is_not_believed_however_right_its_signature() {
    for scheme in schemes() {
        let Some((version, other)) = scheme.version else { continue };
        let mut headers = scheme.signed(NOW_SECONDS, b"x");
        for (_, value) in headers.iter_mut().filter(|(name, _)| *name == scheme.proof) {
            *value = value.replace(version, other);
        }
        assert!(scheme.verdict(&headers, b"x").is_err(), "{}", scheme.name());
    }
}

#[test]
fn a_thousand_signatures_are_not_gone_through() {
    for scheme in schemes() {
        for wrong_ones in [scheme.separator.to_owned() + scheme.version.map_or("", |(version, _)| version) + "00", String::new()] {
            let mut headers = scheme.signed(NOW_SECONDS, b"x");
            let (_, value) = headers.iter_mut().find(|(name, _)| *name == scheme.proof).unwrap();
            let one_more = if wrong_ones.is_empty() { format!("{}{value}", scheme.separator) } else { wrong_ones };
            value.push_str(&one_more.repeat(1000));
            value.truncate(HEADER_BYTES_MAX);
            let verdict = scheme.verdict(&headers, b"x");
            assert!(matches!(verdict, Err(Refused::TooManySignatures | Refused::Malformed(_))), "{}: {verdict:?}", scheme.name());
        }
    }
}

#[test]
fn every_scheme_believes_its_own_sender_whatever_the_body() {
    for scheme in schemes() {
        for body in [&b""[..], b"\0\xff\r\n", b"{}", &vec![b'x'; 1 << 20]] {
            assert!(scheme.verdict(&scheme.signed(NOW_SECONDS, body), body).is_ok(), "{}", scheme.name());
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_believed_that_was_made_without_the_secret(text in "[ -~]{0,200}", near in 0..200_usize, byte in 0x20..0x7f_u8) {
        for scheme in schemes() {
            let genuine = scheme.signed(NOW_SECONDS, b"x");
            for (at, (name, value)) in genuine.iter().enumerate() {
                if *name == "webhook-id" || *name == "webhook-timestamp" {
                    continue;
                }
                let mut headers = genuine.clone();
                headers[at].1.clone_from(&text);
                prop_assert!(scheme.verdict(&headers, b"x").is_err(), "{}: {text}", scheme.name());
                // One character beside the truth; hex digits have two cases.
                let mut close = value.clone().into_bytes();
                let near = near % close.len();
                let same = close[near].eq_ignore_ascii_case(&byte);
                close[near] = byte;
                headers[at].1 = String::from_utf8(close).unwrap();
                prop_assert!(same || scheme.verdict(&headers, b"x").is_err(), "{}: {}", scheme.name(), headers[at].1);
            }
        }
    }
}

#[test]
fn an_id_is_trusted_only_where_the_signature_covers_it() {
    let body = b"{\"id\":\"evt_1\",\"object\":\"event\"}";
    for scheme in schemes() {
        let signed_id = scheme.verdict(&scheme.signed(NOW_SECONDS, body), body).unwrap().signed_id;
        let expected = match scheme.rule {
            Verify::StandardWebhooks { .. } => Some("msg_1"),
            Verify::Stripe { .. } => Some("evt_1"),
            _ => None,
        };
        assert_eq!(signed_id.as_deref(), expected, "{}", scheme.name());
    }
}

#[test]
fn a_stripe_event_without_one_clear_id_has_none() {
    let scheme = schemes().into_iter().find(|scheme| matches!(scheme.rule, Verify::Stripe { .. })).unwrap();
    for body in ["", "[]", "{}", "{\"id\":7}", "{\"id\":\"\"}", "{\"id\":\"a\",\"id\":\"b\"}", "{\"id\":\"a\""] {
        let verdict = scheme.verdict(&scheme.signed(NOW_SECONDS, body.as_bytes()), body.as_bytes());
        assert_eq!(verdict, Ok(Verified { signed_id: None }), "{body}");
    }
    let deep = format!("{{\"d\":{}1{},\"id\":\"evt_1\"}}", "[".repeat(100_000), "]".repeat(100_000));
    let verdict = scheme.verdict(&scheme.signed(NOW_SECONDS, deep.as_bytes()), deep.as_bytes());
    assert_eq!(verdict, Ok(Verified { signed_id: Some("evt_1".into()) }), "what is beside it is passed over, however deep");
}

#[test]
fn stripe_is_believed_by_any_of_its_v1_signatures_and_by_no_other_scheme() {
    let rule = Verify::Stripe { secret: reference() };
    let right = hex::encode(tag(b"whsec_1", format!("{NOW_SECONDS}.x").as_bytes()));
    let verdict = |header: &str| check(&rule, "whsec_1", &[("Stripe-Signature", header)], b"x");
    let t = format!("t={NOW_SECONDS}");
    // While a secret is rolled, both sign.
    for header in
        [format!("{t},v1=00,v1={right}"), format!("{t},v1={right},v1=00"), format!("v0=zz,v1={right},{t}"), format!("{t},v1={right},v2=x")]
    {
        assert!(verdict(&header).is_ok(), "{header}");
    }
    for header in [
        format!("{t},v0={right}"),
        format!("{t},v11={right}"),
        format!("{t},V1={right}"),
        format!("v1={right}"),
        format!("{t},{t},v1={right}"),
        format!("{t};v1={right}"),
        format!("{t},{right}"),
        format!("t=,v1={right}"),
        format!("t=+{NOW_SECONDS},v1={right}"),
        t.clone(),
    ] {
        assert!(verdict(&header).is_err(), "{header}");
    }
}

#[test]
fn slack_is_believed_by_the_example_of_its_documentation() {
    let rule = Verify::Slack { secret: reference() };
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar\
                &user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com\
                %2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let secret = super::tests::One(b"8f742231b10e8888abcd99yyyzzz85a5".to_vec());
    let headers = super::tests::headers(&[("X-Slack-Request-Timestamp", "1531420618"), ("X-Slack-Signature", signature)]);
    let verdict = |now: i64| verify(&rule, &secret, &headers, body.as_bytes(), Timestamp(now * 1000));
    assert_eq!(verdict(1_531_420_618), Ok(Verified { signed_id: None }));
    assert!(matches!(verdict(1_531_420_618 + 301), Err(Refused::TooOld(_))));
}
