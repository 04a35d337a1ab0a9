//! `docs/wit.md`, the reference of the WIT package, says what the package's doc comments say: it is made of them. `LOCKGATE_WRITE=1 cargo test contract` writes it.

use std::fmt::Write;

use wit_parser::{Docs, Function, Interface, Resolve, Type, TypeDefKind, TypeId};

use crate::support::build::root;

/// Who calls whom, in the order in which they are read.
const PARTS: [(&str, &str, &[&str]); 3] = [
    (
        "What a plugin exports",
        "The host calls these. A component has one role or several, and may have a `setup` beside them.",
        &["transformer", "sink", "batch-sink", "source", "setup"],
    ),
    (
        "What a plugin imports",
        "The host offers these; `log` and `config` to every plugin, the others where the integration binds or grants them.",
        &["http", "key-value", "queue", "config", "log"],
    ),
    ("Types", "What both sides speak of.", &["types"]),
];

#[test]
fn the_contracts_reference_says_what_its_comments_say() {
    let text = reference();
    let file = root().join("docs/wit.md");
    if std::env::var_os("LOCKGATE_WRITE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == text, "docs/wit.md is not what wit/ says: LOCKGATE_WRITE=1 cargo test contract writes it");
}

#[test]
fn every_interface_is_in_the_reference() {
    let (resolve, _) = package();
    let known: Vec<&str> = PARTS.iter().flat_map(|(_, _, names)| names.iter().copied()).collect();
    for interface in resolve.interfaces.iter().filter_map(|(_, interface)| interface.name.as_deref()) {
        assert!(known.contains(&interface), "{interface} is in no part");
    }
}

fn package() -> (Resolve, wit_parser::PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root().join("wit/lockgate-plugin-0.1.0")).unwrap();
    (resolve, package)
}

fn reference() -> String {
    let (resolve, package) = package();
    let mut text = "# The contract with plugins\n\nThe WIT package `lockgate:plugin@0.1.0`, interface by interface. This page is made of the doc comments in \
         [`wit/lockgate-plugin-0.1.0`](../wit/lockgate-plugin-0.1.0), which are the reference; an SDK puts names of its language in their place.\n\
         What WIT is: <https://component-model.bytecodealliance.org/design/wit.html>.\n"
        .to_owned();
    for (title, about, names) in PARTS {
        write!(text, "\n## {title}\n\n{about}\n").unwrap();
        for name in names {
            let id = resolve.packages[package].interfaces[*name];
            part(&mut text, &resolve, name, &resolve.interfaces[id]);
        }
    }
    text
}

fn part(text: &mut String, resolve: &Resolve, name: &str, interface: &Interface) {
    write!(text, "\n### `{name}`\n").unwrap();
    paragraphs(text, &interface.docs);
    for function in interface.functions.values() {
        write!(text, "\n#### `{}`\n", signature(resolve, function)).unwrap();
        paragraphs(text, &function.docs);
    }
    for (name, id) in &interface.types {
        defined(text, resolve, name, *id);
    }
}

fn defined(text: &mut String, resolve: &Resolve, name: &str, id: TypeId) {
    let defined = &resolve.types[id];
    let rows: Vec<(&str, String, &Docs)> = match &defined.kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| (&*field.name, shown(resolve, field.ty), &field.docs)).collect(),
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().map(|case| (&*case.name, case.ty.map_or_else(String::new, |ty| shown(resolve, ty)), &case.docs)).collect()
        }
        TypeDefKind::Enum(words) => words.cases.iter().map(|case| (&*case.name, String::new(), &case.docs)).collect(),
        // Of another interface, which has it.
        TypeDefKind::Type(Type::Id(_)) => return,
        other => panic!("{name} is a {}", other.as_str()),
    };
    write!(text, "\n#### {} `{name}`\n", defined.kind.as_str()).unwrap();
    paragraphs(text, &defined.docs);
    text.push_str("\n| | | |\n|---|---|---|\n");
    for (name, ty, docs) in rows {
        let ty = if ty.is_empty() { ty } else { format!("`{ty}`") };
        writeln!(
            text,
            "| `{name}` | {ty} | {} |",
            docs.contents.as_deref().unwrap_or_default().trim().replace('\n', " ").replace('|', "\\|")
        )
        .unwrap();
    }
}

fn paragraphs(text: &mut String, docs: &Docs) {
    if let Some(contents) = &docs.contents {
        write!(text, "\n{}\n", contents.trim()).unwrap();
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let parameters: Vec<_> =
        function.params.iter().map(|parameter| format!("{}: {}", parameter.name, shown(resolve, parameter.ty))).collect();
    let result = function.result.map_or_else(String::new, |result| format!(" -> {}", shown(resolve, result)));
    format!("{}: func({}){result}", function.name, parameters.join(", "))
}

/// A type as WIT writes it.
fn shown(resolve: &Resolve, ty: Type) -> String {
    let id = match ty {
        Type::Id(id) => id,
        Type::Bool => return "bool".into(),
        Type::U8 => return "u8".into(),
        Type::U16 => return "u16".into(),
        Type::U32 => return "u32".into(),
        Type::U64 => return "u64".into(),
        Type::S32 => return "s32".into(),
        Type::S64 => return "s64".into(),
        Type::String => return "string".into(),
        other => panic!("{other:?}"),
    };
    let defined = &resolve.types[id];
    if let Some(name) = &defined.name {
        return name.clone();
    }
    match &defined.kind {
        TypeDefKind::Option(inner) => format!("option<{}>", shown(resolve, *inner)),
        TypeDefKind::List(inner) => format!("list<{}>", shown(resolve, *inner)),
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", tuple.types.iter().map(|ty| shown(resolve, *ty)).collect::<Vec<_>>().join(", ")),
        TypeDefKind::Result(result) => match (result.ok, result.err) {
            (Some(ok), Some(err)) => format!("result<{}, {}>", shown(resolve, ok), shown(resolve, err)),
            (Some(ok), None) => format!("result<{}>", shown(resolve, ok)),
            (None, Some(err)) => format!("result<_, {}>", shown(resolve, err)),
            (None, None) => "result".into(),
        },
        other => panic!("{}", other.as_str()),
    }
}
