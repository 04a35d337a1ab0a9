//! Links what `build/main.js --bundle` left in a folder: `link PROGRAM WORK OUT`.

#![expect(clippy::unwrap_used, reason = "a program for trying things out")]

use std::path::Path;

use lockgate_js_link::{Engine, Source, component};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, program, work, out] = arguments.as_slice() else { panic!("link PROGRAM WORK OUT") };
    let engine = Engine::of_package(&std::fs::read(program).unwrap()).unwrap();
    let work = Path::new(work);
    let bundle = std::fs::read_to_string(work.join("plugin.js")).unwrap();
    match component(&engine, &Source { bundle: &bundle, wit: &work.join("wit"), world: "plugin" }) {
        Ok(component) => std::fs::write(out, component).unwrap(),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
