//! Lists the files that the binary carries: the SDKs, the WIT package and the templates that `lockgate new` writes from.
//!
//! Each list becomes a constant of `OUT_DIR/carried.rs`, which `template::carried` takes in.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A constant, the folder its paths start at, and what below it is carried. Tests, examples and what is installed stay behind.
const LISTS: &[(&str, &str, &[&str])] = &[
    ("SDK_RUST", "sdk/rust", &["Cargo.toml", "src"]),
    ("SDK_JS", "sdk/js", &["package.json", "tsconfig.base.json", "README.md", "build", "src"]),
    ("SDK_PYTHON", "sdk/python", &["README.md", "pyproject.toml", "requirements.txt", "lockgate_build", "lockgate_sdk"]),
    ("WIT", "wit", &["lockgate-plugin-0.1.0"]),
    ("TEMPLATES", "host/templates", &["js", "plugin", "python", "rust", "ts", "workspace"]),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for (name, folder, parts) in LISTS {
        let base = root.join(folder);
        let mut files = Vec::new();
        for part in *parts {
            println!("cargo::rerun-if-changed={}", base.join(part).display());
            collect(&base.join(part), &mut files);
        }
        files.sort();
        writeln!(text, "/// Files of `{folder}` by their paths below it.\npub const {name}: &[(&str, &[u8])] = &[")
            .expect("a text can be written to");
        for file in files {
            let relative = file.strip_prefix(&base).unwrap_or(&file).to_string_lossy().into_owned();
            writeln!(text, "    ({relative:?}, include_bytes!({:?})),", file.display().to_string()).expect("a text can be written to");
        }
        text.push_str("];\n");
    }
    let out = Path::new(&std::env::var_os("OUT_DIR").unwrap_or_default()).join("carried.rs");
    if let Err(why) = std::fs::write(&out, text) {
        println!("cargo::error={}: {why}", out.display());
    }
}

/// The files at and below `path`; what starts with a dot, or is made of sources, is none.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
        return;
    }
    match std::fs::read_dir(path) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') && !matches!(name.as_str(), "node_modules" | "__pycache__" | "target") {
                    collect(&entry.path(), files);
                }
            }
        }
        Err(why) => println!("cargo::error={}: {why}", path.display()),
    }
}
