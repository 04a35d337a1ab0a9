//! What is and what is not a component, and what its bytes say.

use super::*;

const MANIFEST: &str = "name = \"p\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n";

fn sink(imports: &[&str]) -> Vec<u8> {
    let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    wat::parse_str(format!("(component {imports} (instance $i) (export \"lockgate:plugin/sink@0.1.0\" (instance $i)))")).unwrap()
}

fn why(bytes: &[u8]) -> String {
    let problem = Facts::of("f.wasm", bytes).unwrap_err();
    assert_eq!(problem.code, Code::NotAComponent);
    assert!(problem.fix.is_some());
    problem.message
}

#[test]
fn says_what_a_file_is_instead() {
    let prefix = "f.wasm is not a Wasm component: ";
    assert_eq!(why(b""), format!("{prefix}it is empty"));
    assert_eq!(why(b"hello\n"), format!("{prefix}it is text"));
    assert_eq!(why(b" (component)"), format!("{prefix}it is the text form; translate it with `wasm-tools parse`"));
    assert_eq!(why(&[0x7f, b'E', b'L', b'F', 2]), format!("{prefix}it is a native program or library"));
    assert_eq!(why(&[0xde, 0xad, 0xbe, 0xef, 0]), format!("{prefix}it does not start like Wasm"));
    let module = wat::parse_str("(module)").unwrap();
    assert_eq!(why(&module), format!("{prefix}it is a core module, as the targets wasm32-unknown-unknown and wasm32-wasip1 give"));
    assert!(why(&vec![0; COMPONENT_BYTES_MAX + 1]).contains("are the most"));
}

#[test]
fn refuses_every_truncation_and_garbage_without_a_panic() {
    let bytes = embed_manifest("f.wasm", &sink(&["lockgate:plugin/http@0.1.0"]), MANIFEST).unwrap();
    let whole = Facts::of("f.wasm", &bytes).unwrap();
    for end in 0..bytes.len() {
        // Cut between two sections it may still be a component, but never the same one.
        match Facts::of("f.wasm", &bytes[..end]) {
            Err(problem) => assert!(problem.fix.is_some()),
            Ok(facts) => assert_ne!(facts.digest, whole.digest),
        }
        let mut garbled = bytes.clone();
        garbled[end] ^= 0xff;
        let _ = Facts::of("f.wasm", &garbled);
        let _ = embed_manifest("f.wasm", &garbled, MANIFEST);
    }
    let cut = why(&bytes[..12]);
    assert!(cut.contains("it ends too early, at byte"), "{cut}");
}

#[test]
fn refuses_a_manifest_that_is_too_long_before_anything_reads_it() {
    let line = "=\n";
    for bytes in [MANIFEST_BYTES_MAX + 2, 4 << 20] {
        let long = embed_manifest("f.wasm", &sink(&[]), &line.repeat(bytes / line.len())).unwrap();
        for problem in [Facts::of("f.wasm", &long).unwrap_err(), manifest_inside("f.wasm", &long).unwrap_err()] {
            assert_eq!((problem.code, problem.message.contains("are the most")), (Code::BadManifest, true), "{problem}");
        }
    }
}

#[test]
fn refuses_a_manifest_that_is_wrong_twice_or_at_odds_with_the_exports() {
    let code = |bytes: &[u8]| Facts::of("f.wasm", bytes).unwrap_err();
    let with = |manifest: &str| embed_manifest("f.wasm", &sink(&[]), manifest).unwrap();
    assert_eq!(code(&with("nam = 1")).code, Code::BadManifest);
    let other_role = code(&with(&MANIFEST.replace("sink", "transformer")));
    assert_eq!(
        other_role.message,
        "f.wasm: its manifest says it is a transformer, and it does not export lockgate:plugin/transformer@0.1.0"
    );
    let mut twice = with(MANIFEST);
    let section = twice[sink(&[]).len()..].to_vec();
    twice.extend(section);
    assert_eq!(code(&twice).message, "f.wasm: it has more than one manifest");
}

#[test]
fn knows_what_is_granted_linked_or_unknown() {
    let known = ["http", "key-value", "queue", "log", "config", "types"].map(|name| format!("lockgate:plugin/{name}@0.1.0"));
    let wasi = ["wasi:cli/environment@0.2.3", "wasi:clocks/wall-clock@0.2.0", "wasi:filesystem/preopens@0.2.6", "wasi:io/streams@0.2.6"];
    let unknown =
        ["lockgate:plugin/http@0.2.0", "wasi:sockets/tcp@0.2.0", "wasi:http/types@0.2.0", "wasi:cli/environment@0.3.0", "acme:own/thing"];
    let names: Vec<&str> = known.iter().map(String::as_str).chain(wasi).chain(unknown).collect();
    let facts = Facts::of("f.wasm", &sink(&names)).unwrap();
    let kinds: Vec<_> = facts.imports.iter().map(|import| import.kind).collect();
    use ImportKind::{Config, Http, KeyValue, Log, Queue, Types, Unknown, Wasi};
    let expected = [vec![Http, KeyValue, Queue, Log, Config, Types], vec![Wasi; 4], vec![Unknown; 5]].concat();
    assert_eq!(kinds, expected);
    assert_eq!(facts.roles, [Role::Sink].into());
    assert!(facts.manifest.is_none());
}

#[test]
fn does_not_take_what_is_nested_for_its_own() {
    let nested = "(component (component (import \"acme:own/thing\" (instance))) (core module (func (export \"f\"))))";
    let facts = Facts::of("f.wasm", &wat::parse_str(nested).unwrap()).unwrap();
    assert!(facts.imports.is_empty() && facts.roles.is_empty());
}

#[test]
fn embeds_a_manifest_once_and_always_alike() {
    let bare = sink(&["lockgate:plugin/log@0.1.0"]);
    let first = embed_manifest("f.wasm", &bare, &MANIFEST.replace("1.0.0", "0.9.0")).unwrap();
    let again = embed_manifest("f.wasm", &first, MANIFEST).unwrap();
    assert_eq!(again, embed_manifest("f.wasm", &bare, MANIFEST).unwrap());
    let facts = Facts::of("f.wasm", &again).unwrap();
    assert_eq!(facts.manifest.unwrap().version.to_string(), "1.0.0");
    assert_eq!((facts.size, facts.digest.len()), (again.len(), 64));
}
