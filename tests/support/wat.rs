//! Components of hand-written WebAssembly: what no compiler of a plugin's language would emit.
//!
//! A file of `guests/hostile` holds the fields of a core module with a function `$attack`, which becomes the `transform` of a
//! component. What it does not say itself it is given: four pages of memory, an allocator that only goes forward, and the types
//! `$transform` and `$realloc`. Results are read from address 1024 on, where everything is zero: no message, no failure.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::build::root;

/// What an attack may import and must export. WASI is what every plugin gets of it.
const WORLDS: &str = "
package hostile:guests;

world transformer {
    import lockgate:plugin/log@0.1.0;
    import lockgate:plugin/config@0.1.0;
    import lockgate:plugin/key-value@0.1.0;
    import lockgate:plugin/queue@0.1.0;
    import lockgate:plugin/http@0.1.0;
    import wasi:clocks/monotonic-clock@0.2.6;
    export lockgate:plugin/transformer@0.1.0;
}

world sink {
    export lockgate:plugin/sink@0.1.0;
}

package wasi:io@0.2.6 {
    interface poll { resource pollable; }
}

package wasi:clocks@0.2.6 {
    interface monotonic-clock {
        use wasi:io/poll@0.2.6.{pollable};
        subscribe-duration: func(when: u64) -> pollable;
    }
}
";

const TYPES: &str = "
(type $transform (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32) (result i32)))
(type $realloc (func (param i32 i32 i32 i32) (result i32)))
";

const MEMORY: &str = "(memory (export \"memory\") 4)";

const REALLOC: &str = "
(global $next (mut i32) (i32.const 65536))
(func (export \"cabi_realloc\") (type $realloc)
  (global.set $next (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
  (global.get $next)
  (global.set $next (i32.add (global.get $next) (local.get 3))))
";

/// The text of `guests/hostile/<name>.wat`.
pub fn source(name: &str) -> String {
    let file = root().join("tests/guests/hostile").join(format!("{name}.wat"));
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The component of it.
pub fn attack(name: &str) -> Vec<u8> {
    transformer(&source(name))
}

/// A component whose `transform` is the function `$attack` of these fields of a core module.
pub fn transformer(fields: &str) -> Vec<u8> {
    component("transformer", fields, "lockgate:plugin/transformer@0.1.0#transform")
}

/// A sink that takes everything and does nothing with it.
pub fn swallow() -> Vec<u8> {
    component("sink", "(func $attack (type $transform) (i32.const 1024))", "lockgate:plugin/sink@0.1.0#deliver")
}

fn component(world: &str, fields: &str, export: &str) -> Vec<u8> {
    let given = |word: &str, part: &'static str| if fields.contains(word) { "" } else { part };
    let (memory, realloc) = (given("(export \"memory\")", MEMORY), given("cabi_realloc", REALLOC));
    let text = format!("(module {TYPES} {fields} {memory} {realloc} (export \"{export}\" (func $attack)))");
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    resolve.push_dir(root().join("wit/lockgate-plugin-0.1.0")).unwrap();
    let package = resolve.push_str("hostile.wit", WORLDS).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap_or_else(|error| panic!("{error:#}"))
}
