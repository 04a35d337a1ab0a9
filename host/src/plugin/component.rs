//! What a component's bytes say without compiling them: roles, imports, manifest, size, digest.
//!
//! Depends on `wasmparser`, `plugin::manifest` and the list of what `plugin::wasi` links. Also embeds a manifest into a component.

use std::collections::BTreeSet;

use serde::Serialize;
use wasm_encoder::{ComponentNameSection, ComponentSection, CustomSection};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use super::bindings::v0_1_0::SETUP;
use super::manifest::{MANIFEST_BYTES_MAX, Manifest, Role};
use super::{endpoints, wasi};
use crate::integration::Grant;
use crate::problem::{Code, Problem};

/// A component larger than this is not read (guarantees: 32 MiB while uploading).
pub const COMPONENT_BYTES_MAX: usize = 32 << 20;
/// Components in components, deeper than any toolchain nests them.
const DEPTH_MAX: usize = 64;
/// The custom section that holds the text of `plugin.toml`.
pub const MANIFEST_SECTION: &str = "lockgate-manifest";
/// The version of the WIT package this host serves.
const PACKAGE: &str = "lockgate:plugin/";
const PACKAGE_VERSION: &str = "0.1.0";

/// What a component is, before it runs.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// SHA-256 over the bytes, as 64 hex digits.
    pub digest: String,
    pub size: usize,
    /// None for a bare component.
    pub manifest: Option<Manifest>,
    /// What it can be used as: what it exports.
    pub roles: BTreeSet<Role>,
    /// It is set up once for a configuration.
    #[serde(rename = "sets-up")]
    pub sets_up: bool,
    /// Everything it asks for, in the order of the component.
    pub imports: Vec<Import>,
    /// URLs in its data.
    pub urls: BTreeSet<String>,
}

/// One thing a component asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// As the component names it: `lockgate:plugin/http@0.1.0`.
    pub name: String,
    pub kind: ImportKind,
}

/// What an import is to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// Requests through bound slots.
    Http,
    KeyValue,
    Queue,
    Log,
    Config,
    /// Types only: nothing is granted by it.
    Types,
    /// A part of WASI that every plugin gets, tamed: no files, no sockets, virtual time, seeded chance.
    Wasi,
    /// Nothing this host offers.
    Unknown,
}

impl ImportKind {
    /// The grant an integration must give for it.
    pub fn grant(self) -> Option<Grant> {
        match self {
            Self::KeyValue => Some(Grant::KeyValue),
            Self::Queue => Some(Grant::Queue),
            _ => None,
        }
    }

    fn of(name: &str) -> Self {
        if let Some(interface) = name.strip_prefix(PACKAGE) {
            return match interface.split_once('@') {
                Some((interface, PACKAGE_VERSION)) => Self::of_interface(interface),
                _ => Self::Unknown,
            };
        }
        match name.split_once('@') {
            Some((interface, version)) if version.starts_with("0.2.") && wasi::INTERFACES.contains(&interface) => Self::Wasi,
            _ => Self::Unknown,
        }
    }

    fn of_interface(interface: &str) -> Self {
        match interface {
            "http" => Self::Http,
            "key-value" => Self::KeyValue,
            "queue" => Self::Queue,
            "log" => Self::Log,
            "config" => Self::Config,
            "types" => Self::Types,
            _ => Self::Unknown,
        }
    }
}

impl Facts {
    /// Reads the facts of `bytes`; `name` is what a problem calls them, such as the file's name. Takes time in proportion to them: it is not
    /// looked at whether the component is [valid](validate), which takes as long as a component wants it to.
    ///
    /// # Errors
    /// `LG-2002` if this is not a component, saying what it is instead; `LG-2006` if its manifest is wrong.
    pub fn of(name: &str, bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.len() > COMPONENT_BYTES_MAX {
            return Err(not_a_component(name, &format!("it has {} bytes; {COMPONENT_BYTES_MAX} are the most", bytes.len())));
        }
        if let Some(instead) = what_instead(bytes) {
            return Err(not_a_component(name, instead));
        }
        let outline = Outline::read(bytes).map_err(|error| damaged(name, &error))?;
        // Validating what is nested takes longer with the square of its depth.
        if outline.depth_max > DEPTH_MAX {
            let why = format!("components and modules are nested {} deep in it; {DEPTH_MAX} is the most", outline.depth_max);
            return Err(not_a_component(name, &why));
        }
        let manifest = outline.manifest(name)?;
        let facts = Self {
            digest: super::sha256_hex(bytes),
            size: bytes.len(),
            manifest,
            roles: outline.exports.iter().filter_map(|export| role(export)).collect(),
            sets_up: outline.exports.iter().any(|export| export == SETUP),
            urls: endpoints::of_data(outline.data),
            imports: outline.imports.into_iter().map(|name| Import { kind: ImportKind::of(&name), name }).collect(),
        };
        facts.roles_agree(name)?;
        Ok(facts)
    }

    /// Whether it imports anything of `kind`, and if so under which name.
    pub fn imports(&self, kind: ImportKind) -> Option<&Import> {
        self.imports.iter().find(|import| import.kind == kind)
    }

    fn roles_agree(&self, name: &str) -> Result<(), Problem> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        match manifest.roles.difference(&self.roles).next() {
            Some(role) => Err(bad_manifest(
                name,
                &format!("its manifest says it is a {role}, and it does not export {PACKAGE}{role}@{PACKAGE_VERSION}"),
            )),
            None => Ok(()),
        }
    }
}

/// The manifest inside a component that nothing else is known of yet, not even whether it is valid.
///
/// # Errors
/// As [`Facts::of`], as far as it comes to light.
pub fn manifest_inside(name: &str, bytes: &[u8]) -> Result<Option<Manifest>, Problem> {
    Outline::read(bytes).map_err(|error| damaged(name, &error))?.manifest(name)
}

/// Everything a component exports, also of what this host does not know.
///
/// # Errors
/// As [`Facts::of`], as far as it comes to light.
pub fn exports(name: &str, bytes: &[u8]) -> Result<Vec<String>, Problem> {
    Outline::read(bytes).map(|outline| outline.exports).map_err(|error| damaged(name, &error))
}

/// Whether a component is valid (WebAssembly specification, "Validation"). A child's work, see `compile`.
///
/// # Errors
/// What is wrong, and where.
pub fn validate(bytes: &[u8]) -> Result<(), String> {
    Validator::new_with_features(features()).validate_all(bytes).map(drop).map_err(|error| error.to_string())
}

/// What is validated: what the host's engine is configured for. Threads, shared memory and memory64 are off.
fn features() -> WasmFeatures {
    WasmFeatures::default() - WasmFeatures::THREADS - WasmFeatures::MEMORY64
}

fn role(export: &str) -> Option<Role> {
    let (interface, version) = export.strip_prefix(PACKAGE)?.split_once('@')?;
    if version != PACKAGE_VERSION {
        return None;
    }
    match interface {
        "transformer" => Some(Role::Transformer),
        "sink" => Some(Role::Sink),
        "batch-sink" => Some(Role::BatchSink),
        "source" => Some(Role::Source),
        _ => None,
    }
}

fn embedded_manifest(name: &str, text: &[u8]) -> Result<Manifest, Problem> {
    // Before anything looks at it: reading TOML takes a hundred times its length.
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(bad_manifest(name, &format!("its manifest has {} bytes; {MANIFEST_BYTES_MAX} are the most", text.len())));
    }
    let text = std::str::from_utf8(text).map_err(|_| bad_manifest(name, "its manifest is not UTF-8"))?;
    Manifest::parse(format!("{name} (plugin.toml inside)"), text).map_err(|problems| match problems.0.into_iter().next() {
        Some(first) => first,
        None => bad_manifest(name, "its manifest cannot be read"),
    })
}

fn bad_manifest(name: &str, why: &str) -> Problem {
    Problem::new(Code::BadManifest, format!("{name}: {why}")).fix("build it again with a right plugin.toml")
}

fn not_a_component(name: &str, why: &str) -> Problem {
    Problem::new(Code::NotAComponent, format!("{name} is not a Wasm component: {why}"))
        .fix("build it for the target wasm32-wasip2; `lockgate inspect FILE.wasm` shows what a file is")
}

fn damaged(name: &str, error: &wasmparser::BinaryReaderError) -> Problem {
    let cut_short = error.message().contains("unexpected end");
    if cut_short {
        return not_a_component(name, &format!("it ends too early, at byte {}; the copy may be incomplete", error.offset()));
    }
    not_a_component(name, &format!("{} (at byte {})", error.message(), error.offset()))
}

/// What bytes are that do not start like a component.
fn what_instead(bytes: &[u8]) -> Option<&'static str> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    let text = || std::str::from_utf8(bytes.get(..bytes.len().min(512)).unwrap_or_default()).is_ok_and(|text| !text.contains('\0'));
    match bytes {
        [] => Some("it is empty"),
        _ if bytes.starts_with(COMPONENT) => None,
        _ if bytes.starts_with(MODULE) => Some("it is a core module, as the targets wasm32-unknown-unknown and wasm32-wasip1 give"),
        _ if bytes.starts_with(b"\0asm") => Some("it is Wasm of a version this host does not know, or ends too early"),
        _ if bytes.starts_with(b"\x7fELF") => Some("it is a native program or library"),
        _ if bytes.starts_with(b"\x1f\x8b") => Some("it is gzip data"),
        _ if bytes.starts_with(b"PK\x03\x04") => Some("it is a ZIP archive"),
        _ if bytes.trim_ascii_start().starts_with(b"(component") => Some("it is the text form; translate it with `wasm-tools parse`"),
        _ if bytes.trim_ascii_start().starts_with(b"(module") => Some("it is the text form of a core module"),
        _ if bytes.starts_with(b"version https://git-lfs") => Some("it is a pointer of Git LFS; fetch the file with `git lfs pull`"),
        _ if text() => Some("it is text"),
        _ => Some("it does not start like Wasm"),
    }
}

/// The top level of a component, and the data of everything in it.
#[derive(Default)]
struct Outline<'a> {
    imports: Vec<String>,
    exports: Vec<String>,
    manifests: Vec<&'a [u8]>,
    depth_max: usize,
    data: Vec<&'a [u8]>,
}

impl<'a> Outline<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut outline = Self::default();
        // What is nested in the component is not what the component asks of the host.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    depth += 1;
                    outline.depth_max = outline.depth_max.max(depth);
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::DataSection(section) => {
                    for data in section {
                        outline.data.push(data?.data);
                    }
                }
                _ if depth > 0 => {}
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        outline.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        outline.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => outline.manifests.push(section.data()),
                _ => {}
            }
        }
        Ok(outline)
    }

    fn manifest(&self, name: &str) -> Result<Option<Manifest>, Problem> {
        match self.manifests.as_slice() {
            [] => Ok(None),
            [text] => embedded_manifest(name, text).map(Some),
            _ => Err(bad_manifest(name, "it has more than one manifest")),
        }
    }
}

/// `component` with the text of a `plugin.toml` inside, in place of any it had. The same input gives the same bytes.
///
/// # Errors
/// `LG-2002` if `component` is not one.
pub fn embed_manifest(name: &str, component: &[u8], manifest: &str) -> Result<Vec<u8>, Problem> {
    let mut out = without(name, component, &[MANIFEST_SECTION])?;
    CustomSection { name: MANIFEST_SECTION.into(), data: manifest.as_bytes().into() }.append_to_component(&mut out);
    Ok(out)
}

/// `component` with what tools that know nothing of Lockgate look for (the conventions of the crate wasm-metadata): the component's name, and
/// custom sections `version`, `description` and, if it is an SPDX expression, `licenses`. In place of any it had.
///
/// # Errors
/// `LG-2002` if `component` is not one.
pub fn embed_description(name: &str, component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, Problem> {
    // Names of a component's parts, which go with its own, are for debuggers.
    let mut out = without(name, component, &["component-name", "version", "description", "licenses"])?;
    let mut names = ComponentNameSection::new();
    names.component(&manifest.name);
    names.append_to_component(&mut out);
    let version = manifest.version.to_string();
    let licence = spdx::Expression::parse(&manifest.licence).is_ok().then_some(("licenses", manifest.licence.as_str()));
    for (name, text) in [("version", version.as_str()), ("description", &manifest.description)].into_iter().chain(licence) {
        CustomSection { name: name.into(), data: text.as_bytes().into() }.append_to_component(&mut out);
    }
    Ok(out)
}

/// `component` without its own custom sections of these names.
fn without(name: &str, component: &[u8], sections: &[&str]) -> Result<Vec<u8>, Problem> {
    if let Some(instead) = what_instead(component) {
        return Err(not_a_component(name, instead));
    }
    let mut out = component.get(..8).unwrap_or_default().to_vec();
    let mut reader = wasmparser::BinaryReader::new(component.get(8..).unwrap_or_default(), 8);
    while !reader.eof() {
        let start = reader.current_position();
        let custom = skip_section(&mut reader).map_err(|error| damaged(name, &error))?;
        if !custom.is_some_and(|custom| sections.contains(&custom)) {
            out.extend_from_slice(component.get(start + 8..reader.current_position() + 8).unwrap_or_default());
        }
    }
    Ok(out)
}

/// Passes one section; its name if it is a custom one. A section is an id, a length and that many bytes.
fn skip_section<'a>(reader: &mut wasmparser::BinaryReader<'a>) -> Result<Option<&'a str>, wasmparser::BinaryReaderError> {
    const CUSTOM: u8 = 0;
    let id = reader.read_u8()?;
    let length = reader.read_var_u32()?;
    let content = reader.read_bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
    if id == CUSTOM { wasmparser::BinaryReader::new(content, 0).read_string().map(Some) } else { Ok(None) }
}

#[cfg(test)]
#[path = "component_tests.rs"]
mod tests;
