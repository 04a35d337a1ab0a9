//! The binary and the plugins under test, built once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The `lockgate` binary, built from the sources as they are.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "lockgate", "--bin", "lockgate"]).current_dir(root());
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the binary does not build");
        // target/<profile>/deps/<this test> → target/<profile>/lockgate
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("lockgate")
    })
}
