//! The binary and the plugins under test, built once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use lockgate::plugin::build::build;
use lockgate::plugin::manifest::Manifest;

/// The project's root: the folder above this package that has the contract with plugins.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("wit").is_dir()).unwrap()
}

/// The `lockgate` binary that `LOCKGATE_BINARY` names, or built from the sources as they are.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("LOCKGATE_BINARY") {
            return named.into();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "lockgate", "--bin", "lockgate"]).current_dir(root());
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        // What Cargo tells the tests of their own package must not reach ring's build script: told of another package than the last
        // time, ring is built again, and everything that depends on it.
        let is_of_the_tests =
            |name: &std::ffi::OsString| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.to_string_lossy().starts_with(of));
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_the_tests(name)) {
            cargo.env_remove(name);
        }
        assert!(cargo.status().unwrap().success(), "the binary does not build");
        // target/<profile>/deps/<this test> → target/<profile>/lockgate
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("lockgate")
    })
}

/// A folder with the first-party plugins as `<name>@<version>.wasm`, built from the sources as they are.
pub fn plugin_files() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = binary().parent().unwrap().join("test-plugins");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["code-names", "shop-order", "order-to-opportunity", "salesforce", "http-post", "order-to-invoice"] {
            let source = root().join("plugins").join(name);
            let text = std::fs::read_to_string(source.join("plugin.toml")).unwrap();
            let manifest = Manifest::parse(source.join("plugin.toml"), &text).unwrap_or_else(|problems| panic!("{problems}"));
            let version = manifest.version.clone();
            let bytes = build(&source, &(manifest, text), &|_| {}).unwrap_or_else(|problem| panic!("{problem}"));
            let file = folder.join(format!("{name}@{version}.wasm"));
            let partial = folder.join(format!("{name}.{}.partial", std::process::id()));
            std::fs::write(&partial, &bytes).unwrap();
            std::fs::rename(partial, file).unwrap();
        }
        folder
    })
}

/// The guest that does the one odd thing that a message's body names.
pub fn odd_guest() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| guest("odd"))
}

/// The guest that posts the messages of a batch as lines of one request.
pub fn bulk_guest() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| guest("bulk"))
}

/// The guest with the flaw that its config names.
pub fn flawed_guest() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| guest("flawed"))
}

/// The guest that attacks what it is given.
pub fn attacks_guest() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| guest("attacks"))
}

/// The guest that stamps messages.
pub fn stamp_guest() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| guest("stamp"))
}

/// The guest with a setup, which does what its config says.
pub fn setup_guest() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| guest("setup"))
}

fn guest(name: &str) -> PathBuf {
    let target = root().join("target").join("guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "plugin", "--target-dir"]).arg(&target);
    assert!(cargo.args(["--package", &format!("guest-{name}")]).current_dir(root()).status().unwrap().success(), "{name} does not build");
    target.join("wasm32-wasip2").join("plugin").join(format!("guest_{name}.wasm"))
}
