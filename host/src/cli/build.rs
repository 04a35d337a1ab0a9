//! `lockgate build`: plugins from their sources, each as one file with its manifest inside.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::progress::Progress;
use super::{Common, Failure, output};
use crate::config::reader::nearest;
use crate::config::workspace::{read_host, workspace_above};
use crate::plugin::build::{Language, build};
use crate::plugin::library::{Library, source_manifest};
use crate::plugin::sha256_hex;
use crate::problem::{Code, Problem, Problems};

/// Build plugins from their sources: each one .wasm, with its manifest inside
///
/// What a plugin is written in follows from what lies beside its plugin.toml: Cargo.toml is Rust, package.json
/// JavaScript or TypeScript, pyproject.toml Python. The file is <NAME>@<VERSION>.wasm beside the plugin's folder, where every workspace takes it that has it in a plugin folder. Where the sources are
/// there, too, `run`, `dev`, `check` and `deploy` build them themselves and take the same.
/// The same sources and tools give the same digest, wherever they are. A build is not sandboxed: it runs what the sources say.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate build                       the plugin in whose folder you are, else all of the workspace
  lockgate build salesforce            a plugin of the workspace
  lockgate build ../vendor/order-map   a plugin's folder
  lockgate build --out dist            into another folder")]
pub struct Build {
    /// Names of plugins in the workspace, or their folders
    #[arg(value_name = "PLUGIN")]
    plugins: Vec<String>,
    /// Where to put it: a folder, or for one plugin a file that ends in .wasm [default: beside the plugin's folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

/// What was built.
#[derive(Debug, Serialize)]
struct Built {
    plugin: String,
    version: String,
    language: Language,
    roles: Vec<&'static str>,
    file: PathBuf,
    size: usize,
    digest: String,
}

impl Build {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let folders = self.folders(&common.directory)?;
        if let (Some(out), [_, _, ..]) = (self.out.as_deref().filter(|out| is_wasm(out)), folders.as_slice()) {
            let message = format!("{} plugins do not fit into {}", folders.len(), out.display());
            return Err(Problem::new(Code::WrongUsage, message).fix("name a folder, or one plugin").into());
        }
        let (mut built, mut problems) = (Vec::new(), Problems::default());
        {
            let progress = Progress::new(common.json);
            for folder in &folders {
                match self.build(folder, &progress) {
                    Ok(one) => built.push(one),
                    Err(more) => problems.0.extend(more.0),
                }
            }
        }
        if common.json && problems.is_empty() {
            output::json(&serde_json::json!({ "plugins": built }));
        } else if !common.json {
            built.iter().for_each(|Built { file, size, digest, .. }| {
                output::line(format_args!("{}  {size} bytes  sha256:{digest}", file.display()));
            });
        }
        Ok(problems.or(())?)
    }

    fn build(&self, folder: &Path, progress: &Progress) -> Result<Built, Problems> {
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let source = source_manifest(folder, &name)?;
        let bytes = build(folder, &source, &progress.of_builds())?;
        let (manifest, _) = source;
        let file = self.file(folder, &format!("{name}@{}.wasm", manifest.version));
        let unsigned = std::fs::read(&file).is_ok_and(|before| before != bytes) && file.with_extension("wasm.sig").exists();
        write(&file, &bytes)?;
        if unsigned {
            output::complaint(&format!("{0} is another file than {0}.sig is over: sign it again", file.display()));
        }
        Ok(Built {
            plugin: name,
            version: manifest.version.to_string(),
            language: Language::of(folder)?,
            roles: manifest.roles.iter().map(|role| role.as_str()).collect(),
            file,
            size: bytes.len(),
            digest: sha256_hex(&bytes),
        })
    }

    fn file(&self, folder: &Path, name: &str) -> PathBuf {
        match &self.out {
            Some(out) if is_wasm(out) => out.clone(),
            Some(out) => out.join(name),
            None => folder.parent().unwrap_or(folder).join(name),
        }
    }

    /// The plugins that are meant.
    fn folders(&self, dir: &Path) -> Result<Vec<PathBuf>, Problems> {
        if self.plugins.is_empty() {
            return here(dir).map_or_else(|| all(dir), |folder| Ok(vec![folder]));
        }
        let mut problems = Problems::default();
        let mut folders = Vec::new();
        for plugin in &self.plugins {
            match named(dir, plugin) {
                Ok(folder) => folders.push(folder),
                Err(more) => problems.0.extend(more.0),
            }
        }
        problems.or(folders)
    }
}

fn is_wasm(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// The plugin's folder that `dir` is or is in.
fn here(dir: &Path) -> Option<PathBuf> {
    if dir.join("plugin.toml").is_file() {
        // As the user would name it: with a name, and from where he is.
        return Some(if dir.file_name().is_some() { dir.to_owned() } else { std::path::absolute(dir).ok()? });
    }
    let whole = std::path::absolute(dir).ok()?;
    let above = whole.ancestors().take_while(|folder| !folder.join("lockgate.toml").exists());
    above.skip(1).find(|folder| folder.join("plugin.toml").is_file()).map(Path::to_owned)
}

/// What the workspace around `dir` has.
fn library(dir: &Path) -> Result<Library, Problems> {
    let around = workspace_above(dir).ok_or_else(|| {
        Problem::new(Code::NoWorkspace, format!("{} is in no workspace, and in no plugin's folder", dir.display()))
            .fix("name the plugin's folder, or make a workspace: lockgate new workspace DIR")
    })?;
    Library::scan(&read_host(&around)?.unwrap_or_default().plugins.paths)
}

fn all(dir: &Path) -> Result<Vec<PathBuf>, Problems> {
    let folders: Vec<PathBuf> = library(dir)?.sources().map(|(_, folder)| folder.to_owned()).collect();
    if folders.is_empty() {
        let problem = Problem::new(Code::PluginMissing, "the workspace has no plugin that could be built");
        return Err(problem.fix("lockgate new plugin NAME --lang rust --role transformer").into());
    }
    Ok(folders)
}

fn named(dir: &Path, plugin: &str) -> Result<PathBuf, Problems> {
    let folder = dir.join(plugin);
    if plugin.contains(['/', '.']) || folder.join("plugin.toml").is_file() {
        return here(&folder).filter(|_| folder.join("plugin.toml").is_file()).ok_or_else(|| {
            let problem = Problem::new(Code::PluginMissing, format!("{} has no plugin.toml", folder.display()));
            problem.fix("name the folder of a plugin's sources, or a plugin of the workspace").into()
        });
    }
    let library = library(dir)?;
    let found = library.sources().find(|(name, _)| *name == plugin).map(|(_, folder)| folder.to_owned());
    found.ok_or_else(|| {
        let names: Vec<&str> = library.sources().map(|(name, _)| name).collect();
        let fix = match nearest(plugin, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? Plugins with sources: {}", names.join(", ")),
            None if names.is_empty() => format!("lockgate new plugin {plugin} --lang rust --role transformer"),
            None => format!("one of: {}", names.join(", ")),
        };
        Problem::new(Code::PluginMissing, format!("the workspace has no sources of a plugin `{plugin}`")).fix(fix).into()
    })
}

/// All of it or nothing, in place of what was there.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt;
    let write = || -> std::io::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut partial = tempfile::Builder::new().prefix(".lockgate-build-").tempfile_in(folder)?;
        partial.write_all(bytes)?;
        // Temporary files are private; this one is for others.
        partial.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        partial.persist(file)?;
        Ok(())
    };
    write().map_err(|error| {
        Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", file.display()))
            .fix("name another place with --out, or make this one writable")
    })
}
