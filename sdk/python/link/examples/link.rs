//! Links a stage that `lockgate_build` has made: `link PROGRAM STAGE WIT OUT`.

#![expect(clippy::unwrap_used, reason = "a program for trying things out")]

use std::path::Path;

use lockgate_python_link::{Parts, Source, Tree};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, program, stage, wit, out] = arguments.as_slice() else { panic!("link PROGRAM STAGE WIT OUT") };
    let parts = Parts::of_program(&std::fs::read(program).unwrap()).unwrap();
    let mut app = Tree::new();
    read(&Path::new(stage).join("app"), "", &mut app);
    let world = Path::new(stage).join("world");
    let source = Source { app: &app, main: "lockgate_main", wit: &[Path::new(wit), &world], world: "lockgate:build/plugin" };
    match lockgate_python_link::component(&parts, &source) {
        Ok(component) => std::fs::write(out, component).unwrap(),
        Err(error) => {
            match error.told() {
                Some(told) => eprintln!("{told:#?}"),
                None => eprintln!("{error}"),
            }
            std::process::exit(1);
        }
    }
}

fn read(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.path() {
            _ if name == "__pycache__" => {}
            path if path.is_dir() => read(&path, &format!("{prefix}{name}/"), tree),
            path => drop(tree.insert(format!("{prefix}{name}"), std::fs::read(path).unwrap())),
        }
    }
}
