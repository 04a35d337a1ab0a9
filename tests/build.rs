//! Lists the hostile guests, so that one without a test breaks the build.

use std::path::Path;

fn main() {
    let folder = Path::new("guests/hostile");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<_> = files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    let list = format!("const _: &[fn()] = &[{}];\n", names.join(", "));
    let file = Path::new(&std::env::var_os("OUT_DIR").unwrap_or_default()).join("hostile_guests.rs");
    if let Err(why) = std::fs::write(&file, list) {
        println!("cargo::error={}: {why}", file.display());
    }
}
