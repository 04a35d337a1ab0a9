//! The plugins of the example as files: built once, and under as many names as a measurement wants.

use std::path::Path;

use crate::plugin::build::build;
use crate::plugin::component::embed_manifest;
use crate::plugin::manifest::Manifest;
use crate::problem::{Code, Problem};

/// The transformer.
pub const TRANSFORMER: &str = "order-to-invoice";
/// The sink.
pub const SINK: &str = "http-post";

/// Both, built.
#[derive(Debug)]
pub struct Plugins {
    transformer: Built,
    sink: Built,
}

/// A component and what its manifest says.
#[derive(Debug)]
pub struct Built {
    manifest: Manifest,
    text: String,
    pub bytes: Vec<u8>,
}

impl Plugins {
    /// Builds them from the folder of the project's plugins. Blocks for as long as Cargo takes.
    pub fn build(folder: &Path) -> Result<Self, Problem> {
        Ok(Self { transformer: Built::of(&folder.join(TRANSFORMER))?, sink: Built::of(&folder.join(SINK))? })
    }

    /// The transformer's component.
    pub fn transformer(&self) -> &[u8] {
        &self.transformer.bytes
    }

    /// Writes the sink, and the transformer under each of `names`, into `folder`.
    pub fn write<'a>(&self, folder: &Path, names: impl Iterator<Item = &'a str>) -> Result<(), Problem> {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        self.sink.write(folder, SINK, &self.sink.bytes)?;
        for name in names {
            let text = self.transformer.text.replacen(&format!("name = \"{TRANSFORMER}\""), &format!("name = \"{name}\""), 1);
            self.transformer.write(folder, name, &embed_manifest(name, &self.transformer.bytes, &text)?)?;
        }
        Ok(())
    }

    /// Writes both into `folder` as nobody has compiled them before: with `mark` in a section that no code is in.
    pub fn write_fresh(&self, folder: &Path, mark: &str) -> Result<(), Problem> {
        self.sink.write(folder, SINK, &marked(&self.sink.bytes, mark))?;
        self.transformer.write(folder, TRANSFORMER, &marked(&self.transformer.bytes, mark))
    }
}

/// A component with one custom section more (WebAssembly Core Specification, section 5.5.3; of a component the same).
fn marked(bytes: &[u8], mark: &str) -> Vec<u8> {
    let name = "bench";
    let mark = &mark.as_bytes()[..mark.len().min(100)];
    let length = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
    let head = [0, length(1 + name.len() + mark.len()), length(name.len())];
    [bytes, &head, name.as_bytes(), mark].concat()
}

impl Built {
    /// Out of the folder of its sources.
    pub fn of(source: &Path) -> Result<Self, Problem> {
        let file = source.join("plugin.toml");
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Problem::new(Code::FileUnreadable, format!("{} cannot be read: {error}", file.display()))
                .fix("run the bench in the project's folder, or name it with -C DIR")
        })?;
        let invalid = || Problem::new(Code::BadManifest, format!("{} is invalid", file.display())).fix("lockgate check says what is wrong");
        let manifest = Manifest::parse(&file, &text).map_err(|problems| problems.0.into_iter().next().unwrap_or_else(invalid))?;
        let bytes = build(source, &(manifest.clone(), text.clone()), &|_| {})?;
        Ok(Self { manifest, text, bytes })
    }

    fn write(&self, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Problem> {
        let file = folder.join(format!("{name}@{}.wasm", self.manifest.version));
        std::fs::write(&file, bytes).map_err(|error| unwritable(&file, &error))
    }
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::DataFolderUnwritable, format!("{} cannot be written: {error}", path.display())).fix("name another --folder")
}
