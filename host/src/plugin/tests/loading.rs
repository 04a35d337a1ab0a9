//! From bytes to something that can be called, and every way that fails.

use super::*;
use crate::plugin::cache::CompileCache;
use crate::plugin::offer::Offer;
use crate::plugin::registry::Origin;
use crate::problem::Code;

fn load(bytes: &[u8]) -> Result<Origin, Code> {
    empty().load(&pinned(bytes), bytes).map_err(|problem| problem.code)
}

#[test]
fn refuses_what_is_no_component() {
    assert_eq!(load(b"not wasm"), Err(Code::NotAComponent));
    assert_eq!(load(b""), Err(Code::NotAComponent));
    assert_eq!(load(&wat::parse_str("(module)").unwrap()), Err(Code::NotAComponent));
}

#[test]
fn refuses_a_component_that_does_not_compile() {
    let mut broken = wat::parse_str("(component (core module (func (result i32) i32.const 1)))").unwrap();
    broken.truncate(broken.len() - 3);
    assert_eq!(load(&broken), Err(Code::CompileFailed));
    let memory64 = wat::parse_str("(component (core module (memory i64 1)))").unwrap();
    assert_eq!(load(&memory64), Err(Code::CompileFailed));
}

#[test]
fn refuses_an_import_no_host_offers() {
    for import in ["wasi:sockets/tcp@0.2.3", "lockgate:plugin/http@0.9.0", "acme:own/thing@1.0.0"] {
        let component = format!("(component (import \"{import}\" (instance (export \"f\" (func)))))");
        assert_eq!(load(&wat::parse_str(component).unwrap()), Err(Code::UnknownImport), "{import}");
    }
}

#[test]
fn refuses_an_import_of_another_type() {
    let bytes = wat::parse_str(
        "(component
            (import \"lockgate:plugin/config@0.1.0\" (instance (export \"get\" (func (param \"x\" u32)))))
            (instance $empty)
            (export \"lockgate:plugin/transformer@0.1.0\" (instance $empty)))",
    );
    let bytes = bytes.unwrap();
    let plugins = empty();
    plugins.load(&pinned(&bytes), &bytes).unwrap();
    let problem = plugins.prepare(&pinned(&bytes), Export::Transform, Offer::ALL, "{}").unwrap_err();
    assert_eq!(problem.code, Code::UnknownImport, "{problem}");
}

#[test]
fn refuses_an_export_without_its_function() {
    let bytes = wat::parse_str("(component (instance $empty) (export \"lockgate:plugin/transformer@0.1.0\" (instance $empty)))").unwrap();
    let plugins = empty();
    plugins.load(&pinned(&bytes), &bytes).unwrap();
    let problem = plugins.prepare(&pinned(&bytes), Export::Transform, Offer::ALL, "{}").unwrap_err();
    assert_eq!(problem.code, Code::WrongRole, "{problem}");
}

#[test]
fn refuses_bytes_of_another_digest() {
    let other = PinnedPlugin { digest: "00".repeat(32), ..pinned(odd()) };
    let problem = empty().load(&other, odd()).unwrap_err();
    assert_eq!(problem.code, Code::LockOutdated);
}

#[tokio::test]
async fn does_not_link_what_is_not_granted() {
    let fixture = fixture(Limits::default());
    let no_binding = Call { bindings: Arc::default(), ..call("echo") };
    let (class, detail) = fault(fixture.invoker.invoke(no_binding, Effects::default()).await);
    assert_eq!(class, FailureClass::Unrunnable);
    assert!(detail.contains("LG-2003") && detail.contains("lockgate:plugin/http@0.1.0") && detail.contains("bind = "), "{detail}");
    let no_grant = Call { grants: BTreeSet::from([Grant::Queue]), ..call("echo") };
    let (_, detail) = fault(fixture.invoker.invoke(no_grant, Effects::default()).await);
    assert!(detail.contains("lockgate:plugin/key-value@0.1.0") && detail.contains("grant = [\"key-value\"]"), "{detail}");
}

#[tokio::test]
async fn a_plugin_that_is_not_loaded_cannot_run() {
    let mut unknown = call("echo");
    unknown.plugin.digest = "00".repeat(32);
    let (class, detail) = fault(fixture(Limits::default()).invoker.invoke(unknown, Effects::default()).await);
    assert_eq!(class, FailureClass::Unrunnable);
    assert!(detail.contains("LG-2001"), "{detail}");
}

#[test]
fn goes_by_what_a_component_exports() {
    assert_eq!(plugins().exports(&pinned(odd()).digest), Export::ALL);
    let bytes = wat::parse_str("(component)").unwrap();
    let plugins = empty();
    plugins.load(&pinned(&bytes), &bytes).unwrap();
    let problem = plugins.prepare(&pinned(&bytes), Export::Deliver, Offer::ALL, "{}").unwrap_err();
    assert_eq!(problem.code, Code::WrongRole);
}

#[test]
fn compiles_once_and_then_takes_it_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = wat::parse_str("(component (core module (func (export \"f\") (result i32) i32.const 42)))").unwrap();
    let start = |key: u8| {
        let cache = CompileCache::open(folder.path(), Secret::new([key; 32])).unwrap();
        Plugins::new(engine(), Arc::new(InProcess(engine())), Some(cache)).unwrap()
    };
    let plugins = start(1);
    assert_eq!(plugins.load(&pinned(&bytes), &bytes), Ok(Origin::Compiled));
    assert_eq!(plugins.load(&pinned(&bytes), &bytes), Ok(Origin::Loaded));
    assert_eq!(start(1).load(&pinned(&bytes), &bytes), Ok(Origin::Cached));
    assert_eq!(start(2).load(&pinned(&bytes), &bytes), Ok(Origin::Compiled), "another host's code is not trusted");
}
