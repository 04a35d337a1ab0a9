//! What each fuzz target does with its bytes. None may panic, whatever the bytes are; what else must hold stands with each.
//!
//! `cargo test -p lockgate-fuzz` runs each over a few thousand inputs, always the same; `cargo fuzz` looks for new ones.

use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use lockgate::admin::parameters::Parameters;
use lockgate::alias::path::join;
use lockgate::alias::secret::{Secret, SecretRef, SecretSource};
use lockgate::alias::{HmacEncoding, Verify};
use lockgate::bench::sandbox_of;
use lockgate::clock::Timestamp;
use lockgate::config::{EnvironmentFile, HostConfig, IntegrationFile};
use lockgate::ingress::verify::verify;
use lockgate::message::{Message, MessageId};
use lockgate::plugin::compile::{CompileChild, CompileLimits};
use lockgate::plugin::invoke::WasmInvoker;
use lockgate::plugin::{Call, Effects, PluginInvoker};
use lockgate::problem::Problem;
use url::Url;

// The harness of hand-written components and the program that compiles them, shared with the end-to-end tests.
#[expect(dead_code, reason = "of what is built for the tests only the program is needed here")]
#[path = "../../support/build.rs"]
mod build;
#[expect(dead_code, reason = "of the harness only what makes a transformer is needed here")]
#[path = "../../support/wat.rs"]
mod wat;

#[derive(Debug)]
struct OneSecret;

impl SecretSource for OneSecret {
    fn read(&self, _: &SecretRef) -> Result<Secret, Problem> {
        Ok(Secret::new("whsec_c2VjcmV0IG9mIHRoZSBmdXp6ZXIgdGhhdCBub2JvZHkga25vd3M="))
    }
}

fn schemes() -> Vec<Verify> {
    let secret = || SecretRef::env("shop.verify.secret", "FUZZ");
    let hmac = |encoding| Verify::Hmac { secret: secret(), header: "x-signature".into(), encoding, prefix: "v0=".into() };
    vec![
        Verify::Shopify { secret: secret() },
        Verify::GitHub { secret: secret() },
        Verify::StandardWebhooks { secret: secret() },
        hmac(HmacEncoding::Hex),
        hmac(HmacEncoding::Base64),
        Verify::Basic { username: "shop".into(), password: secret() },
        Verify::Bearer { token: secret() },
    ]
}

/// Lines `name: value` up to an empty one, then the body. No request is believed that was not signed.
pub fn verification(data: &[u8]) {
    let (head, body) = data.windows(2).position(|two| two == b"\n\n").map_or((data, &[][..]), |at| (&data[..at], &data[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    for scheme in schemes() {
        let verified = verify(&scheme, &OneSecret, &headers, body, Timestamp(1_700_000_000_000));
        assert!(verified.is_err(), "{scheme:?} believed {headers:?}");
    }
}

/// A path as a plugin gives it. What is not refused stays at the alias's host and under its base path, as the WHATWG parser reads it.
pub fn paths(data: &[u8]) {
    let path = String::from_utf8_lossy(data);
    for base in ["https://crm.example/services/v60.0", "http://[::1]:9010", "https://crm.example/a%20b/"] {
        let base = Url::parse(base).expect("a base that is right");
        let Ok(joined) = join(&base, &path) else { continue };
        let read = Url::parse(joined.as_str()).expect("what is sent can be read");
        let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        assert_eq!(place(&read), place(&base), "{path:?}");
        assert!(read.username().is_empty() && read.password().is_none() && read.fragment().is_none(), "{path:?}");
        let under = base.path().trim_end_matches('/');
        assert!(read.path() == under || read.path().starts_with(&format!("{under}/")), "{path:?} leads to {}", read.path());
        assert!(!read.path().split('/').any(|part| part == ".." || part == "."), "{path:?} leads to {}", read.path());
    }
}

/// A component that gives the bytes back as the memory its result is read from, at the address in the first four.
pub fn results(data: &[u8]) {
    const GUEST: &str = r#"
        (memory (export "memory") 8)
        (func $attack (type $transform)
          (memory.copy (i32.const 1020) (local.get 9)
            (select (local.get 10) (i32.const 65000) (i32.lt_u (local.get 10) (i32.const 65000))))
          (i32.and (i32.load (i32.const 1020)) (i32.const 0x7fff8)))"#;
    static HOST: OnceLock<(WasmInvoker, Call, tokio::runtime::Runtime)> = OnceLock::new();
    let (invoker, call, runtime) = HOST.get_or_init(|| {
        let component = wat::transformer(GUEST);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        {
            let compiler = CompileChild::new(CompileLimits::default()).run_by(build::binary().into());
            let (invoker, call) = sandbox_of(&component, b"", compiler).expect("the guest loads");
            (invoker, call, runtime)
        }
    });
    let message = Message { body: data.to_vec().into(), ..(*call.message).clone() };
    let call = Call { message: Arc::new(message), ..call.clone() };
    let report = runtime.block_on(invoker.invoke(call, Effects::default()));
    assert!(report.wall < Duration::from_secs(60), "{:?}", report.wall);
}

/// A file of a workspace, read as each of the three kinds: every mistake is told with its place, and none is worth a panic.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let told = |problems: lockgate::problem::Problems| assert!(!problems.is_empty() && !problems.to_string().is_empty());
    drop(HostConfig::parse(Path::new("lockgate.toml"), &text).map_err(told));
    drop(IntegrationFile::parse("fuzzed", "integrations/fuzzed.toml", &text).map_err(told));
    drop(EnvironmentFile::parse("fuzzed", "environments/fuzzed.toml", &text).map_err(told));
}

/// The query of a listing: ids to go on from, times, words. What is read can be said again and is read as the same.
pub fn cursors(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut given = Parameters::parse(Some(&text));
    if let Ok(Some(id)) = given.read::<MessageId>("before", "the id of a message") {
        assert_eq!(MessageId::from_str(&id.to_string()).ok(), Some(id));
    }
    drop((given.time("since"), given.read::<u64>("after", "a number"), given.many("track")));
    drop(given.finish());
    drop(MessageId::from_str(&text));
}

/// Runs `target` over the files that are named as arguments: how an input that was found is looked at without the fuzzer.
pub fn run_files(target: fn(&[u8])) {
    for file in std::env::args_os().skip(1) {
        match std::fs::read(&file) {
            Ok(data) => target(&data),
            Err(why) => panic!("{}: {why}", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs of one test. More are for `cargo fuzz`.
    const INPUTS: u64 = 3_000;

    /// A small generator (xorshift64*): always the same inputs.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            usize::try_from(drawn).unwrap() % most.max(1)
        }
    }

    /// Runs `target` over seeds with some of their bytes changed, doubled, taken away or in another's place.
    fn run(target: fn(&[u8]), seeds: &[&[u8]]) {
        seeds.iter().for_each(|seed| target(seed));
        for number in 1..=INPUTS {
            let mut chance = Chance(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut data = seeds[chance.below(seeds.len())].to_vec();
            for _ in 0..=chance.below(8) {
                let (at, to) = (chance.below(data.len()), chance.below(data.len()));
                match chance.below(6) {
                    0 if !data.is_empty() => data[at] = u8::try_from(chance.below(256)).unwrap(),
                    1 if !data.is_empty() => drop(data.remove(at)),
                    2 => data.insert(at, b"\0./\\%@:?#\"{}[]=,\n\r\xff\xc0 e0"[chance.below(22)]),
                    3 if at < to => drop(data.drain(at..to)),
                    4 if at < to && data.len() < 100_000 => data.extend_from_within(at..to),
                    _ => {
                        let other = seeds[chance.below(seeds.len())];
                        data.truncate(at);
                        data.extend_from_slice(&other[chance.below(other.len())..]);
                    }
                }
            }
            target(&data);
        }
    }

    #[test]
    fn verification_holds() {
        let signed = "webhook-id: a\nwebhook-timestamp: 1700000000\nwebhook-signature: v1,AAAA v1,BBBB\n\n{}";
        let others =
            "x-hub-signature-256: sha256=00ff\nx-shopify-hmac-sha256: AAAA\nauthorization: Basic c2hvcDo=\nx-signature: v0=00\n\nbody";
        run(verification, &[signed.as_bytes(), others.as_bytes(), b"authorization: Bearer \n\n"]);
    }

    #[test]
    fn paths_hold() {
        run(paths, &[b"/a/b?c=d", b"/../..", b"//evil.example/%2e%2e/", b"/a%2f..\\@x:80#y", b"", "/\u{ff0e}\u{ff0e}/\u{202e}".as_bytes()]);
    }

    #[test]
    fn results_hold() {
        let one_message = [&1024_u32.to_le_bytes()[..], &[0; 12], &1100_u32.to_le_bytes(), &1_u32.to_le_bytes(), &[0; 100]].concat();
        let failure = [&1024_u32.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0, 1], &[0; 40]].concat();
        run(results, &[&one_message, &failure, &[0xff; 64], &[0; 64]]);
    }

    #[test]
    fn configuration_holds() {
        let read = |file: &str| std::fs::read(build::root().join("examples/shop-to-crm").join(file)).unwrap();
        let integration = std::fs::read_dir(build::root().join("examples/shop-to-crm/integrations")).unwrap().next().unwrap().unwrap();
        let (environment, integration) = (read("environments/dev.toml"), std::fs::read(integration.path()).unwrap());
        let host = b"[host]\ningress = \"127.0.0.1:8080\"\n[limits]\nbody = \"4MiB\"\ncall = { memory = \"1GiB\" }\n";
        run(configuration, &[&environment, &integration, host]);
    }

    #[test]
    fn cursors_hold() {
        run(
            cursors,
            &[
                b"before=01a20446-4fb2-7626-93e3-ceefcc64ac77&since=2026-01-01T00:00:00Z",
                b"after=18446744073709551616&track=a=b",
                b"%ff%00",
            ],
        );
    }
}
