//! [`link`]: interpreter, C library and the world's functions as one component that has not been started.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, CustomSection, ExportKind, ExportSection, Function, FunctionSection, ImportSection, Instruction, Module, RawSection,
    Section, TypeSection,
};
use wasmparser::{FuncType, ImportSectionReader, Parser, Payload, TypeRef};
use wit_component::{Linker, StringEncoding, metadata};
use wit_dylib::DylibOpts;
use wit_parser::Resolve;

use crate::bindings::{Bindings, bindings};
use crate::{Parts, Source};

/// What is linked to traps instead of to the host: a plugin has no sockets. `lockgate_sdk` says so before anybody gets there.
const TAKEN_OUT: &str = "wasi:sockets/";
/// The module it is linked to.
const NOTHING: &str = "lockgate_nothing";

/// A component to be started, and what it is to be started with.
pub struct Linked {
    pub component: Vec<u8>,
    pub bindings: Bindings,
}

pub fn link(parts: &Parts, source: &Source<'_>) -> Result<Linked> {
    let mut resolve = Resolve::default();
    let mut packages = Vec::new();
    for path in source.wit {
        packages.push(resolve.push_path(path).with_context(|| path.display().to_string())?.0);
    }
    let world = resolve.select_world(&packages, Some(source.world))?;
    let (interpreter, _) = parts.libraries.first().context("there is no runtime")?;
    let mut options = DylibOpts { interpreter: Some((*interpreter).to_owned()), ..DylibOpts::default() };
    let (mut glue, functions) = wit_dylib::create_with_metadata(&resolve, world, Some(&mut options));
    let types = metadata::encode(&resolve, world, StringEncoding::UTF8, None)?;
    CustomSection { name: Cow::Borrowed("component-type:lockgate-plugin"), data: Cow::Owned(types) }.append_to(&mut glue);

    let mut linker = Linker::default().validate(true).use_built_in_libdl(true);
    let mut taken_out = Functions::new();
    for (name, library) in &parts.libraries {
        linker = linker.library(name, &without_sockets(library, &mut taken_out)?, false)?;
    }
    linker = linker.library("lockgate_plugin.so", &glue, false)?;
    linker = linker.adapter("wasi_snapshot_preview1", &parts.adapter)?;
    linker = linker.adapter(NOTHING, &traps(&taken_out)?)?;
    Ok(Linked { component: linker.encode()?, bindings: bindings(&resolve, world, &functions)? })
}

/// Functions by their name, which has the interface's before it.
type Functions = BTreeMap<String, FuncType>;

/// `library` with what is taken out imported from [`NOTHING`] instead of from the host; adds it to `taken_out`.
///
/// One module for all of it: each is an instance of its own, and a host allows a component sixteen.
fn without_sockets(library: &[u8], taken_out: &mut Functions) -> Result<Vec<u8>> {
    let (mut types, mut module) = (Vec::new(), Module::new());
    for payload in Parser::new(0).parse_all(library) {
        let payload = payload?;
        match &payload {
            Payload::TypeSection(section) => types = section.clone().into_iter_err_on_gc_types().collect::<Result<Vec<_>, _>>()?,
            Payload::ImportSection(section) => {
                module.section(&imports_without_sockets(section, &types, taken_out)?);
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let data = library.get(range).context("a section is cut short")?;
            module.section(&RawSection { id, data });
        }
    }
    Ok(module.finish())
}

fn imports_without_sockets(section: &ImportSectionReader<'_>, types: &[FuncType], taken_out: &mut Functions) -> Result<ImportSection> {
    let mut imports = ImportSection::new();
    for import in section.clone().into_imports() {
        let import = import?;
        let ty = RoundtripReencoder.entity_type(import.ty)?;
        if !import.module.starts_with(TAKEN_OUT) {
            imports.import(import.module, import.name, ty);
            continue;
        }
        let TypeRef::Func(index) = import.ty else { bail!("{} {} is no function", import.module, import.name) };
        let function = types.get(usize::try_from(index)?).context("an import of no type")?;
        let name = format!("{} {}", import.module, import.name);
        imports.import(NOTHING, &name, ty);
        taken_out.insert(name, function.clone());
    }
    Ok(imports)
}

/// A module whose functions end the call.
fn traps(functions: &Functions) -> Result<Vec<u8>> {
    let (mut types, mut declared, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    for (index, (name, ty)) in (0..).zip(functions) {
        let translated = RoundtripReencoder.func_type(ty.clone())?;
        types.ty().func_type(&translated);
        declared.function(index);
        exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        body.instruction(&Instruction::Unreachable).instruction(&Instruction::End);
        code.function(&body);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&exports).section(&code);
    Ok(module.finish())
}
