//! [`Engine`]: QuickJS and the glue around it as one library, found in the package that carries it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::Error;

/// The engine of componentize-qjs 0.4.5 for hosts without asynchronous components, compiled for speed: `prebuilt/runtime-sync.wasm` of the
/// crate of that version.
const DIGEST: &str = "25703f010b80efb806f9c35daf9ee6524ad60320c9781b0bae4e234264f8dac5";
const BYTES: usize = 1_497_910;
/// How a module of Wasm begins.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// QuickJS, compiled to Wasm as a library.
#[derive(Clone)]
pub struct Engine {
    library: Vec<u8>,
}

impl Engine {
    /// Out of the native library of the npm package `@andreiltd/componentize-qjs-binding-linux-x64-gnu`, which has it as data. Nothing of the package
    /// is run, and its digest says that it is the engine meant.
    ///
    /// # Errors
    /// [`Error::Engine`] if it is not in there.
    pub fn of_package(program: &[u8]) -> Result<Self, Error> {
        let starts = memchr::memmem::find_iter(program, MODULE);
        let candidates = starts.filter_map(|start| program.get(start..start + BYTES));
        let found = candidates.into_iter().find(|library| hex::encode(Sha256::digest(library)) == DIGEST);
        found.map(|library| Self { library: library.to_vec() }).ok_or_else(|| {
            Error::Engine(format!("it holds no engine with the SHA-256 {DIGEST}; the version of the package is in sdk/js/build/engine"))
        })
    }

    pub(crate) fn library(&self) -> &[u8] {
        &self.library
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Engine").field("digest", &DIGEST).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_the_engine_is_named() {
        let other = [b"\x7fELF".as_slice(), MODULE, &vec![0; BYTES]].concat();
        for program in [&[][..], b"\x7fELF", &other] {
            let error = Engine::of_package(program).unwrap_err();
            assert!(error.to_string().contains("holds no engine"), "{error}");
        }
    }
}
