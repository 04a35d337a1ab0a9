//! A guest that attacks what it is given, as the message's body says, and reports what it found as a permanent failure: `held`
//! where nothing gave way, `broke` with what did. Built for `wasm32-wasip2` by the tests.

#![cfg(target_family = "wasm")]

wit_bindgen::generate!({ path: "../../../wit/lockgate-plugin-0.1.0", world: "connector" });

use exports::lockgate::plugin::{batch_sink, sink, source, transformer};
use lockgate::plugin::types::{Context, Delivered, Failure, Header, Message, PermanentFailure, Skip};
use lockgate::plugin::{config, http, key_value, log};

struct Attacks;

export!(Attacks);

/// What an attack found out: nothing gave way, or what did.
type Found = Result<String, String>;

macro_rules! attacks {
    ($($name:ident,)*) => {
        fn run(attack: &str, rest: &str) -> Found {
            match attack {
                $(stringify!($name) => $name(rest),)*
                other => Err(format!("no attack is called {other}")),
            }
        }
    };
}

include!("list.rs");

impl transformer::Guest for Attacks {
    fn transform(message: Message, _: Context) -> Result<transformer::Output, Failure> {
        let text = String::from_utf8_lossy(&message.body).into_owned();
        let (attack, rest) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
        if attack == "store" {
            return store(rest);
        }
        let (code, detail) = match run(attack, rest) {
            Ok(detail) => ("held", detail),
            Err(detail) => ("broke", detail),
        };
        Err(Failure::Permanent(PermanentFailure { code: code.into(), detail }))
    }
}

impl sink::Guest for Attacks {
    fn deliver(_: Message, _: Context) -> Result<Delivered, Failure> {
        unreachable!("it is a transformer")
    }
}

impl batch_sink::Guest for Attacks {
    fn deliver_batch(_: Vec<Message>, _: Context) -> Vec<Result<Delivered, Failure>> {
        unreachable!("it is a transformer")
    }
}

impl source::Guest for Attacks {
    fn poll(_: Option<String>) -> Result<source::Page, Failure> {
        unreachable!("it is a transformer")
    }
}

/// No attack: what somebody else has stored.
fn store(rest: &str) -> Result<transformer::Output, Failure> {
    let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
    match key_value::set(key, value.as_bytes(), None) {
        Ok(()) => Ok(transformer::Output::Skip(Skip { code: "stored".into(), detail: key.into() })),
        Err(error) => Err(Failure::Permanent(PermanentFailure { code: "not-stored".into(), detail: format!("{error:?}") })),
    }
}

/// Keys, prefixes and cursors of another integration, whose name is `rest`, and which has `secret` stored.
fn others_data(rest: &str) -> Found {
    let spellings =
        ["secret", &format!("{rest}/secret"), &format!("../{rest}/secret"), &format!("{rest}:secret"), &format!("{rest}\u{1f}secret")];
    for key in spellings {
        if let Ok(Some(value)) = key_value::get(key) {
            return Err(format!("{key:?} holds {}", String::from_utf8_lossy(&value)));
        }
    }
    for prefix in ["", "s", "secret", rest, "../", "%", "_", "*"] {
        for cursor in [None, Some(""), Some("r"), Some("secres"), Some("\u{10ffff}"), Some("%"), Some("' OR 1=1 --")] {
            match key_value::list(prefix, cursor, u32::MAX) {
                Ok(page) if page.keys.is_empty() => {}
                found => return Err(format!("{prefix:?} after {cursor:?} finds {found:?}")),
            }
        }
    }
    match key_value::compare_and_swap("secret", Some(b"of the other"), b"mine") {
        Ok(false) => Ok("nothing of the other's was found".into()),
        swapped => Err(format!("swapped: {swapped:?}")),
    }
}

/// Keys that look like paths, end early, or are the same to people.
fn key_spellings(_: &str) -> Found {
    let refused = ["", "a\0b", "\0", &"k".repeat(513)];
    for key in refused {
        if !matches!(key_value::set(key, b"1", None), Err(key_value::KvError::InvalidKey)) {
            return Err(format!("{key:?} was taken"));
        }
    }
    let different = ["../a", "a/../a", "a/./a", "a", "A", "caf\u{e9}", "cafe\u{301}", "%61", "a ", " a", "\u{202e}a", "\u{feff}a"];
    for (number, key) in different.iter().enumerate() {
        key_value::set(key, number.to_string().as_bytes(), None).map_err(|error| format!("{key:?}: {error:?}"))?;
    }
    for (number, key) in different.iter().enumerate() {
        if key_value::get(key).ok().flatten() != Some(number.to_string().into_bytes()) {
            return Err(format!("{key:?} is not a key of its own"));
        }
    }
    Ok("every spelling is a key of its own".into())
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> http::Request {
    let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect();
    http::Request { method: method.into(), path: path.into(), headers, body: Vec::new(), label: None, timeout_ms: None }
}

/// Ten thousand slots by names that aliases may have; `rest` lists some that the environment has.
fn alias_guessing(rest: &str) -> Found {
    let guesses = (0..10_000).map(|number| format!("alias-{number}")).chain(rest.split(' ').map(str::to_owned));
    let mut answers = std::collections::BTreeSet::new();
    for slot in guesses {
        match http::send(&slot, &request("GET", "/", &[])) {
            Err(http::HttpError::Denied(why)) => answers.insert(why.replace(&slot, "SLOT")),
            other => return Err(format!("{slot}: {other:?}")),
        };
    }
    if answers.len() == 1 { Ok(format!("{answers:?}")) } else { Err(format!("they can be told apart: {answers:?}")) }
}

/// Headers that end early, belong to the host or to the alias's credential.
fn header_injection(_: &str) -> Found {
    let headers = [
        ("x-a", "1\r\nHost: evil.example"),
        ("x-a", "1\nx-b: 2"),
        ("x-a", "1\r"),
        ("x-a", "1\0"),
        ("x-a\r\nhost", "evil.example"),
        ("x a", "1"),
        ("", "1"),
        ("x-a:", "1"),
        ("Host", "evil.example"),
        ("hOsT", "evil.example"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Authorization", "Bearer mine"),
        ("AUTHORIZATION", "Bearer mine"),
        ("Proxy-Authorization", "Basic bWluZQ=="),
        ("X-Api-Key", "mine"),
        ("Upgrade", "h2c"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
    ];
    for header in headers {
        match http::send("target", &request("GET", "/ok", &[header])) {
            Err(http::HttpError::Denied(_)) => {}
            other => return Err(format!("{header:?}: {other:?}")),
        }
    }
    Ok("every one was denied".into())
}

/// Paths that lead elsewhere to one reader or another. Some are refused; none may leave the alias's base path.
fn path_escapes(_: &str) -> Found {
    let paths = [
        "http://evil.example/",
        "HTTPS://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example\\",
        "/../../admin",
        "/..",
        "/%2e%2e/admin",
        "/%2E%2E%2Fadmin",
        "/.%2e/admin",
        "/a/..;/admin",
        "/a%2f..%2fadmin",
        "/a/../../../admin",
        "@evil.example/",
        "/@evil.example",
        ":80@evil.example/",
        "/a\r\nHost: evil.example\r\n\r\n",
        "/a\nb",
        "/a\tb",
        "/a\0b",
        "/a b",
        "",
        "a",
        "?a",
        "#a",
        "/a#b",
        "/..\\..\\admin",
        "/%5c..%5cadmin",
        "/\u{ff0e}\u{ff0e}/admin",
        "/%c0%ae%c0%ae/admin",
        "/%252e%252e/admin",
        "/.",
        "/./..",
        "///evil.example",
        "/a//b",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "/%00",
        "/%zz",
        "*",
        "evil.example:443",
    ];
    let mut gone_out = Vec::new();
    for path in paths {
        match http::send("target", &request("GET", path, &[])) {
            Err(http::HttpError::Denied(_)) => {}
            Ok(_) => gone_out.push(path),
            Err(other) => return Err(format!("{path:?}: {other:?}")),
        }
    }
    for method in ["CONNECT", "TRACE", "get", "GET /admin HTTP/1.1\r\n", "PROPFIND", ""] {
        match http::send("target", &request(method, "/ok", &[])) {
            Err(http::HttpError::Denied(_)) => {}
            other => return Err(format!("{method:?}: {other:?}")),
        }
    }
    Ok(format!("sent under the base path: {gone_out:?}"))
}

fn ten_million_host_calls(_: &str) -> Found {
    for _ in 0..10_000_000 {
        std::hint::black_box(config::get());
    }
    Err("nobody stopped it".into())
}

fn gigabyte_of_log(_: &str) -> Found {
    let line = "x".repeat(64 * 1024);
    for _ in 0..16 * 1024 {
        log::write(log::Level::Info, &line, &[]);
    }
    Ok("said".into())
}

/// Lines that would look like others', or act on a terminal.
fn log_lines_that_act(_: &str) -> Found {
    let forged = "harmless\r\n2026-01-01T00:00:00.000000Z  INFO forged line\x1b[2J\x1b]0;title\x07\u{9b}31m\u{202e}\u{2028}";
    log::write(log::Level::Info, forged, &[log::Field { name: "na\nme\x1b[1m".into(), value: forged.into() }]);
    println!("{forged}");
    eprintln!("{forged}");
    Ok(forged.into())
}

/// Waits for a target that never answers, for longer than the call may last, again and again.
fn requests_that_hang(_: &str) -> Found {
    let hour = http::Request { timeout_ms: Some(3_600_000), ..request("GET", "/hang", &[]) };
    let answers = http::send_all("target", &vec![hour.clone(); 3]);
    if answers.iter().any(Result::is_ok) {
        return Err(format!("{answers:?}"));
    }
    std::thread::sleep(std::time::Duration::from_secs(3_600));
    for _ in 0..20 {
        let _ = http::send("target", &hour);
    }
    Ok("given up".into())
}

fn five_thousand_requests(_: &str) -> Found {
    let answers = http::send_all("target", &vec![request("GET", "/ok", &[]); 5_000]);
    let sent = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(http::HttpError::TooManyRequests))).count();
    if sent == 32 && refused == 4_968 { Ok("32 of 5000 were sent".into()) } else { Err(format!("{sent} sent, {refused} refused")) }
}

/// Fills what the integration may keep, in large and in small values.
fn quota_exhaustion(_: &str) -> Found {
    let value = vec![b'x'; 1 << 20];
    let taken = (0..200).take_while(|number| key_value::set(&format!("large-{number}"), &value, None).is_ok()).count();
    let small = (0..5_000).take_while(|number| key_value::set(&format!("small-{number}"), &value[..1024], None).is_ok()).count();
    if taken < 4 && small < 4_096 {
        Ok(format!("{taken} large and {small} small ones were taken"))
    } else {
        Err(format!("{taken} {small}"))
    }
}

/// A key of its own choice in the place of the one that makes a retry the same request.
fn idempotency_key_forgery(_: &str) -> Found {
    for name in ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"] {
        match http::send("target", &request("POST", "/ok", &[(name, "forged")])) {
            Err(http::HttpError::Denied(_)) => {}
            other => return Err(format!("{name}: {other:?}")),
        }
    }
    Ok("denied".into())
}
