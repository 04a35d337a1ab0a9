//! What the interpreter's runtime has to know of the world: which Python class stands for which type of WIT, which method is which
//! export; and the text of those classes, the module `wit_world`.
//!
//! Named as `componentize-py` names them, so that `lockgate_sdk.component` works with both.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};
use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};
use wit_dylib::Metadata;
use wit_parser::{Function, Resolve, Type, TypeDefKind, TypeId, WorldId, WorldItem};

use crate::Tree;

wasmtime::component::bindgen!({
    inline: r#"
        package componentize-py:init;

        world init {
            export exports: interface {
                record function { protocol: string, name: string }
                record %constructor { module: string, protocol: string }
                record %static { module: string, protocol: string, name: string }
                variant function-export-kind {
                    freestanding(function),
                    %constructor(%constructor),
                    %method(string),
                    %static(%static)
                }
                variant return-style { none, normal, %result }
                record function-export { kind: function-export-kind, return-style: return-style }
                record %resource { %package: string, name: string }
                record %record { %package: string, name: string, fields: list<string> }
                record %flags { %package: string, name: string, u32-count: u32 }
                record %tuple { count: u32 }
                record case { name: string, has-payload: bool }
                record %variant { %package: string, name: string, cases: list<case> }
                record %enum { %package: string, name: string, count: u32 }
                enum option-kind { non-nesting, nesting }
                record result-record { has-ok: bool, has-err: bool }
                record symbols {
                    exports: list<function-export>,
                    resources: list<%resource>,
                    records: list<%record>,
                    %flags: list<%flags>,
                    tuples: list<%tuple>,
                    variants: list<%variant>,
                    enums: list<%enum>,
                    options: list<option-kind>,
                    results: list<result-record>,
                }
                init: func(app-name: string, symbols: symbols, stub-wasi: bool) -> result<_, string>;
            }
        }
    "#,
    exports: { default: async },
});

use exports::exports as wit;

/// Python's words; a name of WIT that is one of them gets an underscore.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try",
    "while", "with", "yield",
];

const TYPES: &str = "class Some:\n    def __init__(self, value):\n        self.value = value\n\n\n\
     class Ok:\n    def __init__(self, value):\n        self.value = value\n\n\n\
     class Err(Exception):\n    def __init__(self, value):\n        super().__init__(value)\n        self.value = value\n";

/// What a component asks for, besides WASI: functions by their interface.
pub type Imports = BTreeMap<String, Vec<String>>;

/// All of it, for one world.
pub struct Bindings {
    pub symbols: wit::Symbols,
    pub modules: Tree,
    pub imports: Imports,
}

/// # Errors
/// What of the world has no form here: resources, flags, streams, functions outside of interfaces.
pub fn bindings(resolve: &Resolve, world: WorldId, metadata: &Metadata) -> Result<Bindings> {
    if !(metadata.resources.is_empty() && metadata.flags.is_empty() && metadata.futures.is_empty() && metadata.streams.is_empty()) {
        bail!("a world for Python has no resources, flags, futures and streams");
    }
    let names = Names { resolve, world };
    let mut modules = Tree::new();
    for package in ["wit_world", "wit_world/imports", "wit_world/exports"] {
        modules.insert(format!("{package}/__init__.py"), Vec::new());
    }
    modules.insert("componentize_py_types.py".to_owned(), TYPES.as_bytes().to_vec());
    for (path, text) in names.modules(metadata)? {
        modules.insert(path, text.into_bytes());
    }
    Ok(Bindings { symbols: names.symbols(metadata)?, modules, imports: names.imports() })
}

struct Names<'a> {
    resolve: &'a Resolve,
    world: WorldId,
}

impl Names<'_> {
    fn symbols(&self, metadata: &Metadata) -> Result<wit::Symbols> {
        Ok(wit::Symbols {
            exports: metadata.export_funcs.iter().map(|one| self.export(one.interface.as_deref(), &one.name)).collect::<Result<_>>()?,
            resources: Vec::new(),
            records: metadata.records.iter().map(|one| self.record(one.id)).collect::<Result<_>>()?,
            flags: Vec::new(),
            tuples: metadata.tuples.iter().map(|one| self.tuple(one.id)).collect::<Result<_>>()?,
            variants: metadata.variants.iter().map(|one| self.variant(one.id)).collect::<Result<_>>()?,
            enums: metadata.enums.iter().map(|one| self.enumeration(one.id)).collect::<Result<_>>()?,
            options: metadata.options.iter().map(|one| self.option(one.id)).collect::<Result<_>>()?,
            results: metadata
                .results
                .iter()
                .map(|one| wit::ResultRecord { has_ok: one.ok.is_some(), has_err: one.err.is_some() })
                .collect(),
        })
    }

    fn imports(&self) -> Imports {
        let items = self.resolve.worlds[self.world].imports.iter();
        let interfaces = items.filter_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } => {
                let functions = self.resolve.interfaces[*id].functions.keys().cloned().collect();
                Some((self.resolve.name_world_key(key), functions))
            }
            _ => None,
        });
        interfaces.collect()
    }

    fn export(&self, interface: Option<&str>, name: &str) -> Result<wit::FunctionExport> {
        let interface = interface.with_context(|| format!("the export {name} is in no interface"))?;
        let function = self.function(interface, name, false)?;
        let return_style = match function.result {
            None => wit::ReturnStyle::None,
            Some(result) if self.is_result(result) => wit::ReturnStyle::Result,
            Some(_) => wit::ReturnStyle::Normal,
        };
        let function = wit::Function { protocol: last_name(interface).to_upper_camel_case(), name: snake(name) };
        Ok(wit::FunctionExport { kind: wit::FunctionExportKind::Freestanding(function), return_style })
    }

    fn function(&self, interface: &str, name: &str, is_import: bool) -> Result<&Function> {
        let world = &self.resolve.worlds[self.world];
        let items = if is_import { &world.imports } else { &world.exports };
        let found = items.iter().find_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } if self.resolve.name_world_key(key) == interface => {
                self.resolve.interfaces[*id].functions.get(name)
            }
            _ => None,
        });
        found.with_context(|| format!("{interface} has no function {name}"))
    }

    fn record(&self, id: TypeId) -> Result<wit::Record> {
        let TypeDefKind::Record(record) = &self.resolve.types[id].kind else { bail!("not a record") };
        let fields = record.fields.iter().map(|field| snake(&field.name)).collect();
        Ok(wit::Record { package: self.module_of(id)?, name: self.class(id)?, fields })
    }

    fn tuple(&self, id: TypeId) -> Result<wit::Tuple> {
        let TypeDefKind::Tuple(tuple) = &self.resolve.types[id].kind else { bail!("not a tuple") };
        Ok(wit::Tuple { count: u32::try_from(tuple.types.len())? })
    }

    fn variant(&self, id: TypeId) -> Result<wit::Variant> {
        let TypeDefKind::Variant(variant) = &self.resolve.types[id].kind else { bail!("not a variant") };
        let name = self.class(id)?;
        let case = |case: &wit_parser::Case| wit::Case { name: case_class(&name, &case.name), has_payload: case.ty.is_some() };
        Ok(wit::Variant { package: self.module_of(id)?, cases: variant.cases.iter().map(case).collect(), name })
    }

    fn enumeration(&self, id: TypeId) -> Result<wit::Enum> {
        let TypeDefKind::Enum(names) = &self.resolve.types[id].kind else { bail!("not an enum") };
        Ok(wit::Enum { package: self.module_of(id)?, name: self.class(id)?, count: u32::try_from(names.cases.len())? })
    }

    fn option(&self, id: TypeId) -> Result<wit::OptionKind> {
        let TypeDefKind::Option(inner) = &self.resolve.types[id].kind else { bail!("not an option") };
        let nests = self.kind(*inner).is_some_and(|kind| matches!(kind, TypeDefKind::Option(_)));
        Ok(if nests { wit::OptionKind::Nesting } else { wit::OptionKind::NonNesting })
    }

    /// The text of `wit_world`: a module for each interface.
    fn modules(&self, metadata: &Metadata) -> Result<Vec<(String, String)>> {
        let world = &self.resolve.worlds[self.world];
        let sides = [("imports", &world.imports), ("exports", &world.exports)];
        let mut modules = Vec::new();
        for (side, items) in sides {
            for (key, item) in items {
                let WorldItem::Interface { id, .. } = item else { bail!("the world has more than interfaces") };
                let interface = self.resolve.name_world_key(key);
                let mut text =
                    "import enum\n\nfrom componentize_py_runtime import call_import\nfrom componentize_py_types import Err\n".to_owned();
                for id in self.resolve.interfaces[*id].types.values() {
                    self.write_class(&mut text, *id)?;
                }
                if side == "imports" {
                    for function in self.resolve.interfaces[*id].functions.values() {
                        self.write_function(&mut text, &interface, function, metadata)?;
                    }
                }
                modules.push((format!("wit_world/{side}/{}.py", snake(last_name(&interface))), text));
            }
        }
        Ok(modules)
    }

    fn write_class(&self, text: &mut String, id: TypeId) -> Result<()> {
        let name = self.class(id)?;
        match &self.resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                let fields: Vec<_> = record.fields.iter().map(|field| snake(&field.name)).collect();
                write_plain_class(text, &name, &fields)?;
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    let fields = case.ty.iter().map(|_| "value".to_owned()).collect::<Vec<_>>();
                    write_plain_class(text, &case_class(&name, &case.name), &fields)?;
                }
            }
            TypeDefKind::Enum(names) => {
                write!(text, "\n\nclass {name}(enum.Enum):\n")?;
                for (number, case) in names.cases.iter().enumerate() {
                    writeln!(text, "    {} = {number}", case.name.to_shouty_snake_case())?;
                }
            }
            // `use types.{message}`: who makes and reads such a value knows it from where it is defined.
            TypeDefKind::Type(_) => {}
            other => bail!("{name} is {}, which has no form in Python here", other.as_str()),
        }
        Ok(())
    }

    fn write_function(&self, text: &mut String, interface: &str, function: &Function, metadata: &Metadata) -> Result<()> {
        let index = metadata
            .import_funcs
            .iter()
            .position(|one| one.interface.as_deref() == Some(interface) && one.name == function.name)
            .with_context(|| format!("{interface} {} is not linked", function.name))?;
        let parameters = function.params.iter().map(|parameter| snake(&parameter.name)).collect::<Vec<_>>().join(", ");
        write!(text, "\n\ndef {}({parameters}):\n    result = call_import({index}, [{parameters}])\n", snake(&function.name))?;
        if function.result.is_some_and(|result| self.is_result(result)) {
            text.push_str("    if isinstance(result, Err):\n        raise result\n    return result.value\n");
        } else {
            text.push_str("    return result\n");
        }
        Ok(())
    }

    fn class(&self, id: TypeId) -> Result<String> {
        let name = self.resolve.types[id].name.as_deref().context("a type has no name")?;
        Ok(name.to_upper_camel_case())
    }

    /// The module a type's class is in: of the imports, if its interface is one.
    fn module_of(&self, id: TypeId) -> Result<String> {
        let wit_parser::TypeOwner::Interface(owner) = self.resolve.types[id].owner else { bail!("a type is in no interface") };
        let world = &self.resolve.worlds[self.world];
        let has =
            |items: &indexmap_of::Items| items.iter().any(|(_, item)| matches!(item, WorldItem::Interface { id, .. } if *id == owner));
        let side = if has(&world.imports) { "imports" } else { "exports" };
        let name = self.resolve.interfaces[owner].name.as_deref().context("an interface has no name")?;
        Ok(format!("wit_world.{side}.{}", snake(name)))
    }

    fn is_result(&self, ty: Type) -> bool {
        self.kind(ty).is_some_and(|kind| matches!(kind, TypeDefKind::Result(_)))
    }

    /// What a type is behind its other names.
    fn kind(&self, ty: Type) -> Option<&TypeDefKind> {
        let Type::Id(id) = ty else { return None };
        match &self.resolve.types[id].kind {
            TypeDefKind::Type(other) => self.kind(*other),
            kind => Some(kind),
        }
    }
}

/// The map of a world's items.
mod indexmap_of {
    pub type Items = wit_parser::IndexMap<wit_parser::WorldKey, wit_parser::WorldItem>;
}

fn write_plain_class(text: &mut String, name: &str, fields: &[String]) -> Result<()> {
    let slots = fields.iter().map(|field| format!("\"{field}\", ")).collect::<String>();
    write!(text, "\n\nclass {name}:\n    __slots__ = ({})\n", slots.trim_end())?;
    if !fields.is_empty() {
        write!(text, "\n    def __init__(self, {}):\n", fields.join(", "))?;
        for field in fields {
            writeln!(text, "        self.{field} = {field}")?;
        }
    }
    Ok(())
}

fn case_class(variant: &str, case: &str) -> String {
    format!("{variant}_{}", case.to_upper_camel_case())
}

fn snake(name: &str) -> String {
    let name = name.to_snake_case();
    if KEYWORDS.contains(&name.as_str()) { format!("{name}_") } else { name }
}

/// `batch-sink` of `lockgate:plugin/batch-sink@0.1.0`.
fn last_name(interface: &str) -> &str {
    let name = interface.rsplit_once('/').map_or(interface, |(_, name)| name);
    name.split_once('@').map_or(name, |(name, _)| name)
}
