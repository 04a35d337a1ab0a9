//! [`Parts`]: the interpreter, its C library and its standard library, as they are in the package `componentize-py`.
//!
//! The package is a wheel, a ZIP archive, whose only program holds the parts as Zstandard frames one behind the other. They are told
//! apart by what is in them.

use std::io::Read;

use memchr::memmem;
use wasmparser::{Parser, Payload};

use crate::texts::{blank_urls, blank_urls_of_module};
use crate::{Error, Tree};

/// How a frame of Zstandard starts (RFC 8878 §3.1.1).
const FRAME: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// No part is larger.
const PART_BYTES_MAX: u64 = 64 << 20;

/// What every plugin in Python is linked with.
#[derive(Debug)]
pub struct Parts {
    /// Dynamic libraries by the names they know each other by, in the order in which they are linked.
    pub(crate) libraries: Vec<(&'static str, Vec<u8>)>,
    /// From what the libraries import (WASI 0.1) to what a component imports.
    pub(crate) adapter: Vec<u8>,
    /// Python's own modules.
    pub(crate) standard_library: Tree,
}

/// A library, and a function that it exports and no other does. The package has C++'s as well, which only native extensions need.
const LIBRARIES: [(&str, &str); 6] = [
    ("libcomponentize_py_runtime.so", "wit_dylib_initialize"),
    ("libpython3.14.so", "Py_InitializeEx"),
    ("libc.so", "malloc"),
    ("libwasi-emulated-process-clocks.so", "clock"),
    ("libwasi-emulated-getpid.so", "getpid"),
    ("libwasi-emulated-signal.so", "raise"),
];

impl Parts {
    /// Reads the parts out of the package's program.
    ///
    /// # Errors
    /// [`Error::Parts`] where one is missing.
    pub fn of_program(program: &[u8]) -> Result<Self, Error> {
        let mut found: Vec<Option<Vec<u8>>> = LIBRARIES.iter().map(|_| None).collect();
        let (mut adapter, mut standard_library) = (None, None);
        for start in memmem::find_iter(program, FRAME) {
            let Some(part) = unpacked(&program[start..]) else { continue };
            if part.starts_with(b"\0asm") {
                let what = Exports::of(&part);
                if what.has("reset_adapter_state") && !what.is_library {
                    adapter = Some(part);
                } else if let Some(index) = LIBRARIES.iter().position(|(_, export)| what.has(export)).filter(|_| what.is_library) {
                    // There are two runtimes: one that knows asynchronous calls, and a smaller one.
                    if found[index].as_ref().is_none_or(|other| other.len() > part.len()) {
                        found[index] = Some(blank_urls_of_module(&part).map_err(|why| Error::Parts(why.to_string()))?);
                    }
                }
            } else if let Some(files) = archive(&part).filter(|files| files.contains_key("encodings/__init__.py")) {
                standard_library = Some(files);
            }
        }
        let missing = |name: &str| Error::Parts(format!("it holds no {name}"));
        let mut libraries = Vec::new();
        for ((name, _), part) in LIBRARIES.iter().zip(found) {
            libraries.push((*name, part.ok_or_else(|| missing(name))?));
        }
        Ok(Self {
            libraries,
            adapter: adapter.ok_or_else(|| missing("adapter"))?,
            standard_library: standard_library.ok_or_else(|| missing("standard library"))?,
        })
    }
}

/// The frame that starts here; none where that only looked like one.
fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut part = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).ok()?.single_frame();
    decoder.take(PART_BYTES_MAX).read_to_end(&mut part).ok()?;
    (part.len() >= 256).then_some(part)
}

fn archive(bytes: &[u8]) -> Option<Tree> {
    let mut files = Tree::new();
    for entry in tar::Archive::new(bytes).entries().ok()? {
        let mut entry = entry.ok()?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().ok()?.to_str()?.trim_start_matches("./").to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).ok()?;
        blank_urls(&mut content);
        files.insert(path, content);
    }
    Some(files)
}

struct Exports {
    names: Vec<String>,
    is_library: bool,
}

impl Exports {
    fn of(module: &[u8]) -> Self {
        let mut exports = Self { names: Vec::new(), is_library: false };
        for payload in Parser::new(0).parse_all(module) {
            match payload {
                Ok(Payload::CustomSection(section)) => exports.is_library |= section.name() == "dylink.0",
                Ok(Payload::ExportSection(section)) => {
                    exports.names.extend(section.into_iter().filter_map(Result::ok).map(|export| export.name.to_owned()));
                }
                Ok(Payload::CodeSectionStart { .. }) | Err(_) => break,
                Ok(_) => {}
            }
        }
        exports
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|export| export == name)
    }
}
