//! What `environments/<env>.toml` takes and refuses, pinned by the text people see.

use super::*;
use crate::alias::secret::SecretRef;
use crate::alias::{ApiKeyPlace, ExpiredWhen, Holds, JwtAlgorithm, Verify};

fn parse(text: &str) -> Result<Environment, String> {
    EnvironmentFile::parse("dev", "dev.toml", text).map(|file| file.environment).map_err(|problems| problems.to_string())
}

#[test]
fn refuses_a_secret_that_is_written_out_without_showing_it() {
    let text = r#"
[alias.a]
url = "https://user:hunter2@crm.example"
auth = { basic = { username = "u", password = "hunter2" } }
[alias.b]
url = "https://crm.example"
auth = { bearer = { token = { env = "hunter2-is-mine" } } }
[alias.c]
verify = { shopify = { secret = ["hunter2"] } }
[alias.d]
url = "https://crm.example"
auth = { bearer = "hunter2" }
[alias.e]
url = "https://crm.example"
auth = { bearer = { token = { value = "hunter2" } } }
[alias.f]
url = "https://crm.example"
auth = { bearer = { token = { file = "a", env = "B" } } }
"#;
    let problems = parse(text).unwrap_err();
    assert!(!problems.contains("hunter2"), "{problems}");
    for part in [
        "dev.toml:3:7: LG-1005 `alias.a.url` cannot be used: a user name or password belongs into `auth`",
        "dev.toml:4:47: LG-1005 `alias.a.auth.basic.password` is written into the file; a secret stands there by reference only\n  fix: change the secret, which is no longer one, and write `password = { env = \"PASSWORD\" }`, `password = { file = \"secrets/password\" }` or `password = { store = true }`, which `lockgate secret set` fills",
        "dev.toml:7:37: LG-1005 `alias.b.auth.bearer.token.env` cannot be used: not the name of an environment variable",
        "dev.toml:9:33: LG-1005 `alias.c.verify.shopify.secret` is written into the file",
        "dev.toml:12:19: LG-1005 `alias.d.auth.bearer` must be a table; it is a text",
        "dev.toml:15:31: LG-1003 unknown key `alias.e.auth.bearer.token.value`",
        "dev.toml:18:29: LG-1005 `alias.f.auth.bearer.token` must have either `env`, `file` or `store`",
    ] {
        assert!(problems.contains(part), "{part}\n---\n{problems}");
    }
}

#[test]
fn a_number_is_no_longer_than_a_text_may_be() {
    let with = |value: &str| parse(&format!("[values]\nn = {value}\n"));
    assert_eq!(with(&"9".repeat(4_096)).unwrap().values["n"].len(), 4_096);
    for long in ["9".repeat(4_097), format!("1.{}", "0".repeat(4_096))] {
        assert!(with(&long).unwrap_err().contains("4096 are the most"));
    }
}

#[test]
fn reports_every_mistake_with_its_place_and_fix() {
    let text = r#"
[values]
a_b = "x"
when = 2024-01-01
[alias.crm]
url = "ftp://crm.example"
network = ["10.0.0.1"]
rate = ["20/s", "5/m", "20 per second", "7/m"]
auth = { basic = { username = "a:b", password = { env = "P" } }, bearer = { token = { env = "T" } } }
[alias.none]
verify = { stripe = { secret = "whsec_hunter2" } }
[alias.empty]
owner = { team = "x" }
[alias.keyed]
url = "https://a.example?x=1"
auth = { api-key = { header = "Host", key = { env = "K" } } }
[alias.fast]
url = "https://fast.example"
rate = ["20/s", "5/m", "7/60s"]
[alias.slow]
url = "https://slow.example"
rate = "20/s"
[alias.never]
url = "https://never.example"
rate = []
[alias.told]
rate = ["0/s"]
[alias.hook]
auth = { bearer = { token = { env = "T" } } }
verify = { hmac = { secret = { env = "S" }, header = "X Sig", encoding = "base32" } }
"#;
    let problems = parse(text).unwrap_err();
    for part in [
        "3:1: LG-1005 `values.a_b`: a name has lower-case letters",
        "4:8: LG-1005 `values.when` must be a text, a number, true or false; it is a date or time",
        "6:7: LG-1005 `alias.crm.url` cannot be used: its scheme must be `http` or `https`",
        "7:12: LG-1005 `alias.crm.network 1` = \"10.0.0.1\": expected a network such as `10.1.0.0/16` (one address: `10.1.2.3/32`)",
        "8:24: LG-1005 `alias.crm.rate 3` = \"20 per second\": a rate is a whole number, `/` and a time, such as `20/s`",
        "9:8: LG-1005 `alias.crm.auth` must have exactly one kind",
        "10:8: LG-1005 `alias.none`:",
        "11:32: LG-1005 `alias.none.verify.stripe.secret` is written into the file",
        "12:1: LG-1004 `alias.empty.url` is missing",
        "13:9: LG-1004 `alias.empty.owner.contact` is missing",
        "15:7: LG-1005 `alias.keyed.url` cannot be used: a base URL has no query and no fragment",
        "16:31: LG-1005 `alias.keyed.auth.api-key.header` = \"Host\": this header is not free",
        "19:17: LG-1005 `alias.fast.rate 2` = \"5/m\" contradicts entry 1: \"20/s\" is never reached, since \"5/m\" allows fewer in a longer time",
        "19:24: LG-1005 `alias.fast.rate 3` = \"7/m\" is for the same time as entry 2, \"5/m\"",
        "22:8: LG-1005 `alias.slow.rate` must be a list; it is a text\n  fix: for example `rate = [\"20/s\", \"90000/day\"]`",
        "25:8: LG-1005 `alias.never.rate` is empty",
        "27:8: LG-1004 `alias.told.rate` without a `url`",
        "27:9: LG-1005 `alias.told.rate 1` = \"0/s\": nothing could ever be sent",
        "29:8: LG-1004 `alias.hook.auth` without a `url` to use it for",
        "30:54: LG-1005 `alias.hook.verify.hmac.header` = \"X Sig\": not a header name",
        "30:74: LG-1005 `alias.hook.verify.hmac.encoding` = \"base32\": expected one of `hex`, `base64`",
    ] {
        assert!(problems.contains(&format!("dev.toml:{part}")), "{part}\n---\n{problems}");
    }
}

#[test]
fn reads_every_kind_of_alias() {
    let text = r#"
[values]
new-order-stage = "Prospecting"
count = 1_000
ratio = 1.50
on = true

[alias.crm]
owner = { contact = "crm-team@acme.example" }
url = "http://127.0.0.1:9010/services/data/v60.0"
auth = { oauth2-client-credentials = { token-url = "http://127.0.0.1:9010/token", client-id = "dev", client-secret = { env = "CRM_SECRET" } } }
network = ["127.0.0.0/8", "::1/128"]
rate = ["20/s", "90000/day"]
[alias.shop]
verify = { shopify = { secret = { file = "secrets/shop" } } }
[alias.k]
url = "https://k.example"
auth = { api-key = { query = "key", key = { env = "K" } } }
verify = { hmac = { secret = { env = "S" }, header = "X-Sig", encoding = "hex", prefix = "v1=" } }
[alias.b]
url = "https://b.example"
auth = { basic = { username = "u", password = { env = "P" } } }
verify = { standard-webhooks = { secret = { env = "S" } } }
[alias.pay]
verify = { stripe = { secret = { env = "PAY" } } }
[alias.chat]
verify = { slack = { secret = { store = true } } }
"#;
    let environment = parse(text).unwrap();
    let values: Vec<_> = environment.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(values, ["count=1000", "new-order-stage=Prospecting", "on=true", "ratio=1.50"]);
    let crm = &environment.aliases["crm"];
    assert!(
        matches!(&crm.auth, Auth::OAuth2ClientCredentials { client_secret, scope: None, .. } if *client_secret == SecretRef::env("crm.client-secret", "CRM_SECRET"))
    );
    assert_eq!((crm.url.as_ref().unwrap().as_str(), crm.network.len()), ("http://127.0.0.1:9010/services/data/v60.0", 2));
    assert_eq!(crm.rate.iter().map(ToString::to_string).collect::<Vec<_>>(), ["20/s", "90000/day"]);
    assert!(
        matches!(&environment.aliases["shop"].verify, Some(Verify::Shopify { secret }) if *secret == SecretRef::file("shop.verify.secret", "secrets/shop"))
    );
    assert!(matches!(&environment.aliases["k"].verify, Some(Verify::Hmac { header, prefix, .. }) if header == "x-sig" && prefix == "v1="));
    assert!(
        matches!(&environment.aliases["pay"].verify, Some(Verify::Stripe { secret }) if *secret == SecretRef::env("pay.verify.secret", "PAY"))
    );
    assert!(matches!(&environment.aliases["chat"].verify, Some(Verify::Slack { secret }) if secret.name == "chat.verify.secret"));
    assert!(matches!(&environment.aliases["k"].auth, Auth::ApiKey { place: ApiKeyPlace::Query, name, .. } if name == "key"));
    assert!(matches!(&environment.aliases["b"].auth, Auth::Basic { username, .. } if username == "u"));
}

#[test]
fn refuses_grants_signatures_and_rules_that_cannot_work() {
    let text = r#"
[alias.a]
url = "https://a.example"
auth = { oauth2-refresh-token = { token-url = "https://a.example/token", client-id = "x", refresh-token = "hunter2" } }
[alias.b]
url = "https://b.example"
auth = { oauth2-jwt-bearer = { token-url = "https://b.example/token", issuer = "x", audience = "y", private-key = { file = "key.pem" }, algorithm = "HS256" } }
[alias.c]
url = "https://c.example"
auth = { hmac = { secret = { store = false }, header = "X-Sig", encoding = "hex", timestamp-header = "x-sig" } }
[alias.d]
url = "https://d.example"
auth = { hmac = { secret = { store = true }, header = "X-Sig", encoding = "hex", timestamp-header = "x-sig" } }
expired-when = { json = "error/code", is = [] }
[alias.e]
url = "https://e.example"
expired-when = { status = 1000, contains = "x", json = "/a" }
[alias.f]
url = "https://f.example"
auth = { bearer = { token = { env = "A", store = true } } }
expired-when = { json = "/a~2" }
"#;
    let problems = parse(text).unwrap_err();
    assert!(!problems.contains("hunter2"), "{problems}");
    for part in [
        "4:107: LG-1005 `alias.a.auth.oauth2-refresh-token.refresh-token` is written into the file",
        "7:149: LG-1005 `alias.b.auth.oauth2-jwt-bearer.algorithm` = \"HS256\": expected one of `RS256`, `ES256`",
        "10:38: LG-1005 `alias.c.auth.hmac.secret.store` can only be true",
        "13:101: LG-1005 `alias.d.auth.hmac.timestamp-header` is the header of the signature too",
        "14:25: LG-1005 `alias.d.expired-when.json` = \"error/code\": expected a JSON pointer such as `/error/code`",
        "14:44: LG-1005 `alias.d.expired-when.is` is empty",
        "17:16: LG-1005 `alias.e.expired-when` must have either `json` and `is`, or `contains`",
        "17:16: LG-1004 `alias.e.expired-when` without an `auth` that could expire",
        "17:27: LG-1005 `alias.e.expired-when.status` = 1000: must be from 200 to 599",
        "20:29: LG-1005 `alias.f.auth.bearer.token` must have either `env`, `file` or `store`",
        "21:16: LG-1004 `alias.f.expired-when.is` is missing",
        "21:25: LG-1005 `alias.f.expired-when.json` = \"/a~2\"",
    ] {
        assert!(problems.contains(&format!("dev.toml:{part}")), "{part}\n---\n{problems}");
    }
}

#[test]
fn refuses_a_time_for_kept_answers_that_means_none_or_for_ever() {
    let text = "[alias.a]\nurl = \"https://a.example\"\nstale-if-error = \"0s\"\n[alias.b]\nurl = \"https://b.example\"\n\
                stale-if-error = \"8d\"\n[alias.c]\nstale-if-error = \"1h\"\nverify = { shopify = { secret = { env = \"V\" } } }\n\
                [alias.d]\nurl = \"https://d.example\"\nstale-if-error = 3600\n";
    let problems = parse(text).unwrap_err();
    for part in [
        "3:18: LG-1005 `alias.a.stale-if-error` = \"0s\": no answer is as young as that; leave it out if none is to be kept",
        "6:18: LG-1005 `alias.b.stale-if-error` = \"8d\": must be at most `7d`",
        "8:18: LG-1004 `alias.c.stale-if-error` without a `url` to use it for",
        "12:18: LG-1005 `alias.d.stale-if-error`",
    ] {
        assert!(problems.contains(&format!("dev.toml:{part}")), "{part}\n---\n{problems}");
    }
    assert!(problems.contains("\"1h\""), "what to write: {problems}");
    let kept = parse("[alias.a]\nurl = \"https://a.example\"\nstale-if-error = \"1h\"\n").unwrap();
    assert_eq!(kept.aliases["a"].stale_if_error, Some(std::time::Duration::from_secs(3_600)));
}

#[test]
fn reads_grants_signatures_and_what_says_that_a_token_has_expired() {
    let text = r#"
[alias.refreshed]
url = "https://a.example"
auth = { oauth2-refresh-token = { token-url = "https://a.example/token", client-id = "x", client-secret = { store = true }, refresh-token = { env = "R" } } }
expired-when = { json = "/error/code", is = ["TOKEN_EXPIRED", 7] }
[alias.asserted]
url = "https://b.example"
auth = { oauth2-jwt-bearer = { token-url = "https://b.example/token", issuer = "i", subject = "s", audience = "a", private-key = { file = "key.pem" }, algorithm = "ES256", scope = "x" } }
expired-when = { status = 403, contains = "session expired" }
[alias.signed]
url = "https://c.example"
auth = { hmac = { secret = { env = "S" }, header = "X-Signature", encoding = "base64", prefix = "v1=", timestamp-header = "X-Time" } }
verify = { shopify = { secret = { env = "V" } } }
"#;
    let environment = parse(text).unwrap();
    let names = crate::config::secret_names(&environment);
    let expected = ["asserted.private-key", "refreshed.client-secret", "refreshed.refresh-token", "signed.secret", "signed.verify.secret"];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let refreshed = &environment.aliases["refreshed"];
    assert!(
        matches!(&refreshed.auth, Auth::OAuth2RefreshToken { client_secret: Some(_), refresh_token, .. } if *refresh_token == SecretRef::env("refreshed.refresh-token", "R"))
    );
    let is = vec!["TOKEN_EXPIRED".to_owned(), "7".to_owned()];
    assert_eq!(refreshed.expired_when, Some(ExpiredWhen { status: 200, holds: Holds::Json { pointer: "/error/code".to_owned(), is } }));
    let asserted = &environment.aliases["asserted"];
    assert!(
        matches!(&asserted.auth, Auth::OAuth2JwtBearer { claims, algorithm: JwtAlgorithm::Es256, key_id: None, .. } if claims.subject.as_deref() == Some("s"))
    );
    assert_eq!(asserted.expired_when, Some(ExpiredWhen { status: 403, holds: Holds::Text("session expired".to_owned()) }));
    let Auth::Hmac { header, prefix, timestamp_header, .. } = &environment.aliases["signed"].auth else { panic!("no hmac") };
    assert_eq!((header.as_str(), prefix.as_str(), timestamp_header.as_deref()), ("x-signature", "v1=", Some("x-time")));
}

#[test]
fn refuses_proxies_and_authorities_that_cannot_work() {
    let text = r#"
[alias.a]
url = "https://a.example"
proxy = "https://proxy.example"
[alias.b]
url = "https://b.example"
proxy = "http://user:hunter2@proxy.example"
[alias.c]
url = "http://c.example"
proxy = "http://proxy.example:3128"
[alias.d]
url = "https://d.example"
auth = { oauth2-client-credentials = { token-url = "http://d.example/token", client-id = "x", client-secret = { env = "S" } } }
proxy = "http://proxy.example:3128"
[alias.e]
url = "https://e.example"
proxy = "http://proxy.example/path"
[alias.f]
proxy = "http://proxy.example"
verify = { shopify = { secret = { env = "V" } } }
[alias.g]
url = "https://g.example"
ca-file = ["a.pem"]
"#;
    let problems = parse(text).unwrap_err();
    assert!(!problems.contains("hunter2"), "{problems}");
    for part in [
        "4:9: LG-1005 `alias.a.proxy` cannot be used: a proxy is spoken to over `http`",
        "7:9: LG-1005 `alias.b.proxy` cannot be used: proxies that ask for a user name and a password are not built",
        "10:9: LG-1005 `alias.c.proxy` is asked for a tunnel (CONNECT), and the alias has a URL that is not `https`",
        "14:9: LG-1005 `alias.d.proxy` is asked for a tunnel (CONNECT)",
        "17:9: LG-1005 `alias.e.proxy` cannot be used: a proxy has no path",
        "19:9: LG-1004 `alias.f.proxy` without a `url` to use it for",
        "23:11: LG-1005 `alias.g.ca-file` must be a text",
    ] {
        assert!(problems.contains(&format!("dev.toml:{part}")), "{part}\n---\n{problems}");
    }
}

#[test]
fn reads_the_authorities_of_an_alias_from_the_workspace_and_says_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let authority = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("test_certificates/authority.pem");
    std::fs::copy(authority, folder.path().join("authority.pem")).unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let read = |file: &str| {
        let text = format!("[alias.a]\nurl = \"https://a.example\"\nca-file = {file:?}\n");
        let read = EnvironmentFile::parse("dev", "dev.toml", &text).unwrap().read_authorities(folder.path());
        read.map(|file| file.environment.aliases["a"].authorities.is_some()).map_err(|problems| problems.to_string())
    };
    assert!(read("gone.pem").unwrap_err().starts_with("dev.toml:3:11: LG-1001 "));
    assert!(read("empty.pem").unwrap_err().contains("empty.pem: it holds no certificate in PEM"));
    assert_eq!(read("authority.pem"), Ok(true));
}
