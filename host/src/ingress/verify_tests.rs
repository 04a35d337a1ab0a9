//! Webhook verification: what is refused, what is believed, and public test vectors where they are at hand.

use std::collections::HashMap;
use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::*;
use crate::alias::secret::SecretPlace;
use crate::problem::Code;

/// The body, key and signature of GitHub's documentation.
const GITHUB_KEY: &str = "It's a Secret to Everybody";
const GITHUB_TAG: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const GITHUB_BODY: &[u8] = b"Hello, World!";

/// 2021-02-25T15:02:10Z
pub(super) const NOW: Timestamp = Timestamp(1_614_265_330_000);

#[derive(Debug)]
pub(super) struct One(pub Vec<u8>);

impl SecretSource for One {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        match &reference.place {
            SecretPlace::Env(name) if name == "GONE" => Err(Problem::new(Code::MissingSecret, "GONE holds no secret")),
            _ => Ok(Secret::new(self.0.clone())),
        }
    }
}

pub(super) fn reference() -> SecretRef {
    SecretRef::env("a.verify.secret", "S")
}

pub(super) fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

pub(super) fn check(rule: &Verify, secret: &str, list: &[(&str, &str)], body: &[u8]) -> Result<Verified, Refused> {
    verify(rule, &One(secret.as_bytes().to_vec()), &headers(list), body, NOW)
}

pub(super) fn tag(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn github_rule() -> Verify {
    Verify::GitHub { secret: reference() }
}

#[test]
fn github_refuses_what_is_missing_doubled_cut_short_or_changed() {
    let name = "x-hub-signature-256";
    let right = format!("sha256={GITHUB_TAG}");
    let changed = right.replace("757", "756");
    let refused = |list: &[(&str, &str)], body: &[u8]| check(&github_rule(), GITHUB_KEY, list, body).unwrap_err();
    assert_eq!(refused(&[], GITHUB_BODY), Refused::Missing(name.into()));
    assert_eq!(refused(&[("x-hub-signature", &right)], GITHUB_BODY), Refused::Missing(name.into()));
    assert_eq!(refused(&[(name, &right), (name, &right)], GITHUB_BODY), Refused::Doubled(name.into()));
    assert_eq!(refused(&[(name, &changed)], GITHUB_BODY), Refused::Mismatch);
    assert_eq!(refused(&[(name, &right)], b"Hello, World"), Refused::Mismatch);
    assert_eq!(refused(&[(name, &right[..right.len() - 2])], GITHUB_BODY), Refused::Mismatch);
    assert_eq!(refused(&[(name, "sha256=")], GITHUB_BODY), Refused::Mismatch);
    for odd in ["", GITHUB_TAG, "sha1=00", "sha256=xyz", "sha256=é", &format!("sha256= {GITHUB_TAG}"), &"a".repeat(9000)] {
        assert_eq!(refused(&[(name, odd)], GITHUB_BODY), Refused::Malformed(name.into()), "{odd}");
    }
    let other = check(&github_rule(), "another secret", &[(name, &right)], GITHUB_BODY);
    assert_eq!(other, Err(Refused::Mismatch));
}

#[test]
fn github_accepts_the_example_of_its_documentation() {
    let right = format!("sha256={GITHUB_TAG}");
    assert_eq!(check(&github_rule(), GITHUB_KEY, &[("X-Hub-Signature-256", &right)], GITHUB_BODY), Ok(Verified { signed_id: None }));
}

#[test]
fn shopify_signs_the_raw_body_in_base64_and_no_id() {
    let rule = Verify::Shopify { secret: reference() };
    let body = "{\"id\": 1,\"note\":\"ü\"}".as_bytes();
    let right = STANDARD.encode(tag(b"shpss_1", body));
    let list = [("X-Shopify-Hmac-Sha256", right.as_str()), ("X-Shopify-Webhook-Id", "forged")];
    assert_eq!(check(&rule, "shpss_1", &list, body), Ok(Verified { signed_id: None }));
    assert_eq!(check(&rule, "shpss_1", &list, b"{\"id\":1,\"note\":\"\xc3\xbc\"}"), Err(Refused::Mismatch));
    let in_hex = hex::encode(tag(b"shpss_1", body));
    assert!(check(&rule, "shpss_1", &[("X-Shopify-Hmac-Sha256", &in_hex)], body).is_err());
    assert!(check(&rule, "shpss_1", &[("X-Shopify-Hmac-Sha256", right.trim_end_matches('='))], body).is_err());
}

#[test]
fn hmac_takes_its_header_encoding_and_prefix_from_the_rule() {
    let rule = Verify::Hmac { secret: reference(), header: "X-Sig".into(), encoding: HmacEncoding::Base64, prefix: "v0:".into() };
    let right = STANDARD.encode(tag(b"k", b"body"));
    assert_eq!(check(&rule, "k", &[("x-sig", &format!("v0:{right}"))], b"body"), Ok(Verified::default()));
    assert_eq!(check(&rule, "k", &[("x-sig", &right)], b"body"), Err(Refused::Malformed("X-Sig".into())));
}

#[test]
fn an_empty_or_missing_secret_refuses_everything() {
    let right = hex::encode(tag(b"", b"body"));
    let signature = format!("sha256={right}");
    assert!(matches!(check(&github_rule(), "", &[("x-hub-signature-256", &signature)], b"body"), Err(Refused::Secret(_))));
    let gone = Verify::GitHub { secret: SecretRef::env("a.verify.secret", "GONE") };
    assert!(matches!(check(&gone, "x", &[("x-hub-signature-256", &signature)], b"body"), Err(Refused::Secret(_))));
    let rule = Verify::StandardWebhooks { secret: reference() };
    for empty in ["whsec_", "whsec_***", "not base64!"] {
        assert!(matches!(check(&rule, empty, &standard("id", NOW.0 / 1000, b"", "x").as_refs(), b""), Err(Refused::Secret(_))), "{empty}");
    }
    assert!(check(&Verify::Bearer { token: reference() }, "", &[("authorization", "Bearer ")], b"").is_err());
}

struct Signed(Vec<(&'static str, String)>);

impl Signed {
    fn as_refs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

const KEY: &[u8] = b"a key of twenty-four bytes";

/// The headers of a Standard Webhooks request, signed with `KEY`, behind `before`.
fn standard(id: &str, seconds: i64, body: &[u8], before: &str) -> Signed {
    let text = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let signature = format!("{before}v1,{}", STANDARD.encode(tag(KEY, &text)));
    Signed(vec![("webhook-id", id.into()), ("webhook-timestamp", seconds.to_string()), ("webhook-signature", signature)])
}

fn check_standard(signed: &Signed, body: &[u8]) -> Result<Verified, Refused> {
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    check(&Verify::StandardWebhooks { secret: reference() }, &secret, &signed.as_refs(), body)
}

#[test]
fn standard_webhooks_refuses_old_new_and_unsigned_metadata() {
    let now = NOW.0 / 1000;
    assert!(matches!(check_standard(&standard("m1", now - 301, b"x", ""), b"x"), Err(Refused::TooOld(_))));
    assert!(matches!(check_standard(&standard("m1", now + 301, b"x", ""), b"x"), Err(Refused::TooNew(_))));
    assert!(matches!(check_standard(&standard("m1", -now, b"x", ""), b"x"), Err(Refused::Malformed(_))));
    assert!(matches!(check_standard(&standard("m1", i64::MAX, b"x", ""), b"x"), Err(Refused::Malformed(_))));
    assert_eq!(check_standard(&standard("m1", now, b"x", ""), b"y"), Err(Refused::Mismatch));
    assert!(matches!(check_standard(&standard("", now, b"x", ""), b"x"), Err(Refused::Malformed(_))));
    assert!(matches!(check_standard(&standard("m.1", now, b"x", ""), b"x"), Err(Refused::Malformed(_))));
    for changed in 0..3 {
        let mut signed = standard("m1", now, b"x", "");
        signed.0[changed].1 = ["m2".to_owned(), (now + 1).to_string(), "v1,AAAA".to_owned()][changed].clone();
        assert_eq!(check_standard(&signed, b"x"), Err(Refused::Mismatch), "{changed}");
        let mut signed = standard("m1", now, b"x", "");
        let (name, value) = signed.0[changed].clone();
        signed.0.push((name, value));
        assert_eq!(check_standard(&signed, b"x"), Err(Refused::Doubled(name.into())));
        signed.0.retain(|(other, _)| *other != name);
        assert_eq!(check_standard(&signed, b"x"), Err(Refused::Missing(name.into())));
    }
}

#[test]
fn standard_webhooks_accepts_one_good_signature_among_a_bounded_number() {
    let now = NOW.0 / 1000;
    let believed = Ok(Verified { signed_id: Some("m1".into()) });
    for skew in [-300, 0, 300] {
        assert_eq!(check_standard(&standard("m1", now + skew, b"x", ""), b"x"), believed);
    }
    assert_eq!(check_standard(&standard("m1", now, b"x", "v1,AAAA v1a,zzz v2,??? "), b"x"), believed);
    assert_eq!(check_standard(&standard("m1", now, b"x", &"v1,AAAA ".repeat(15)), b"x"), believed);
    assert_eq!(check_standard(&standard("m1", now, b"x", &"v1,AAAA ".repeat(16)), b"x"), Err(Refused::TooManySignatures));
    let mut other_version = standard("m1", now, b"x", "");
    other_version.0[2].1 = other_version.0[2].1.replace("v1,", "v1a,");
    assert_eq!(check_standard(&other_version, b"x"), Err(Refused::Mismatch));
}

#[test]
fn basic_and_bearer_compare_the_whole_credential() {
    let rule = Verify::Basic { username: "shop".into(), password: reference() };
    let given = |scheme: &str, pair: &str| format!("{scheme} {}", STANDARD.encode(pair));
    for scheme in ["Basic", "basic", "BASIC"] {
        assert_eq!(check(&rule, "p:w", &[("authorization", &given(scheme, "shop:p:w"))], b""), Ok(Verified::default()));
    }
    for pair in ["shop:p", "shop:p:w2", "other:p:w", "shop", "", ":p:w"] {
        assert_eq!(check(&rule, "p:w", &[("authorization", &given("Basic", pair))], b""), Err(Refused::Mismatch), "{pair}");
    }
    for odd in ["", "Basic", "Bearer p:w", "Basic ***", "Basicc2hvcDpwOnc="] {
        assert!(matches!(check(&rule, "p:w", &[("authorization", odd)], b""), Err(Refused::Malformed(_))), "{odd}");
    }
    let rule = Verify::Bearer { token: reference() };
    assert_eq!(check(&rule, "tok", &[("authorization", "bearer tok")], b""), Ok(Verified::default()));
    for wrong in ["Bearer to", "Bearer token", "Bearer TOK"] {
        assert_eq!(check(&rule, "tok", &[("authorization", wrong)], b""), Err(Refused::Mismatch), "{wrong}");
    }
    assert_eq!(check(&rule, "tok", &[], b""), Err(Refused::Missing("authorization".into())));
}

/// A file of the public test suites, where `LOCKGATE_CORPUS` says they are.
fn suite(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("LOCKGATE_CORPUS") else {
        println!("skipped: {name} needs LOCKGATE_CORPUS to name the folder of test data");
        return None;
    };
    let path = PathBuf::from(folder).join("testsuites").join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

#[test]
fn accepts_the_vector_of_the_standard_webhooks_libraries() {
    let Some(text) = suite("standard-webhooks-vector.json") else { return };
    let vector: HashMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let text = |key: &str| vector[key].as_str().unwrap().to_owned();
    let seconds = vector["webhook-timestamp"].as_i64().unwrap();
    let (id, time, signature) = (text("webhook-id"), seconds.to_string(), text("webhook-signature"));
    let list = headers(&[("webhook-id", &id), ("webhook-timestamp", &time), ("webhook-signature", &signature)]);
    let rule = Verify::StandardWebhooks { secret: reference() };
    let result = verify(&rule, &One(text("secret").into_bytes()), &list, text("payload").as_bytes(), Timestamp(seconds * 1000));
    assert_eq!(result, Ok(Verified { signed_id: Some(id) }));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MacSuite {
    number_of_tests: usize,
    test_groups: Vec<MacGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MacGroup {
    tag_size: usize,
    tests: Vec<MacCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MacCase {
    tc_id: u32,
    key: String,
    msg: String,
    tag: String,
    result: String,
}

#[test]
fn agrees_with_the_wycheproof_vectors_and_takes_no_shortened_tag() {
    let Some(text) = suite("hmac_sha256_test.json") else { return };
    let suite: MacSuite = serde_json::from_str(&text).unwrap();
    let rule = Verify::Hmac { secret: reference(), header: "x-sig".into(), encoding: HmacEncoding::Hex, prefix: String::new() };
    let mut count = 0;
    for group in &suite.test_groups {
        for case in &group.tests {
            let key = One(hex::decode(&case.key).unwrap());
            let result = verify(&rule, &key, &headers(&[("x-sig", &case.tag)]), &hex::decode(&case.msg).unwrap(), NOW);
            // Schemes of webhooks send the whole tag: a shortened one is refused even where it is right.
            let expected = case.result == "valid" && group.tag_size == 256;
            assert_eq!(result.is_ok(), expected, "test {}", case.tc_id);
            count += 1;
        }
    }
    assert_eq!(count, suite.number_of_tests);
}
