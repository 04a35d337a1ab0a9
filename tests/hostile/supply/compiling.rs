//! Components that cost too much to be looked at, and compiled code that is not what the host wrote.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Place, component, told};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::skipped;
use crate::support::workspace::Workspace;

/// Every one of `loops` nested loops has every one of `locals` changed inside, so that each has a value of each at its head: kilobytes of
/// Wasm that are gigabytes to a compiler.
fn bomb(locals: usize, loops: usize) -> Vec<u8> {
    let mut module = format!("(func (local {})", "i32 ".repeat(locals));
    module.push_str(&" loop".repeat(loops));
    for local in 0..locals {
        write!(module, " local.get {local} i32.const 1 i32.add local.set {local}").unwrap();
    }
    module.push_str(&" local.get 0 br_if 0 end".repeat(loops));
    module.push(')');
    component(&module)
}

/// Jumps to hundreds of thousands of places with a thousand values each, all of which a validator compares.
fn riddle() -> Vec<u8> {
    let results = "i32 ".repeat(1000);
    let body = format!("(func (result {results}) {} br_table {})", "i32.const 0 ".repeat(1001), "0 ".repeat(60_000));
    component(&body.repeat(20))
}

#[test]
fn a_component_that_takes_too_much_to_compile_ends_its_compiler_and_what_runs_stays() {
    let mut place = Place::new();
    let host = Host::start(&place.workspace);
    place.goes_on(&host);
    assert!(host.stop().success());
    let limits = [
        (bomb(5000, 500), "memory = \"256MiB\"", "takes more than 256MiB of memory", "`compile.memory`"),
        (bomb(2000, 300), "cpu = \"1s\"", "takes more than 1s of CPU time", "`compile.cpu`"),
        (bomb(2000, 300), "wall = \"1s\"", "took more than 1s", "`compile.wall`"),
    ];
    for (bomb, limit, use_, setting) in limits {
        assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
        place.with_hostile(&bomb);
        place.rules(&format!("compile = {{ {limit} }}"));
        let told = place.refused_start(&["--deploy"]);
        for part in ["LG-2020", "plugin hostile@1.0.0", use_, setting] {
            assert!(told.contains(part), "{part} is not in: {told}");
        }
        let host = Host::start(&place.workspace);
        assert!(host.logged().contains("workspace differs from active releases (1: hostile)"), "{}", host.logged());
        place.goes_on(&host);
        assert!(host.stop().success());
    }
}

#[test]
fn a_component_that_takes_too_long_to_be_validated_is_found_out_by_check_and_inspect() {
    let mut place = Place::new();
    let host = Host::start(&place.workspace);
    place.with_hostile(&riddle());
    place.rules("compile = { cpu = \"1s\" }");
    assert!(place.refused_check().contains("LG-2020 plugin hostile@1.0.0 takes more than 1s of CPU time"));
    assert!(
        told(&place.workspace.lockgate(&["inspect", "own/hostile@1.0.0.wasm"]))
            .contains("LG-2020 own/hostile@1.0.0.wasm takes more than 1s")
    );
    place.goes_on(&host);
}

#[test]
fn a_component_that_is_not_valid_or_too_large_is_refused() {
    let mut place = Place::new();
    let host = Host::start(&place.workspace);
    place.with_hostile(&component("(func (result i32) i32.const 7)"));
    let file = place.own("hostile@1.0.0.wasm");
    let mut bytes = std::fs::read(&file).unwrap();
    // `i32.const 7` becomes `i64.const 7`.
    let at = bytes.windows(2).position(|pair| pair == [0x41, 7]).unwrap();
    bytes[at] = 0x42;
    std::fs::write(&file, &bytes).unwrap();
    assert!(place.refused_check().contains("LG-2009 plugin hostile@1.0.0 is not valid"));
    place.with_hostile(&vec![0; (32 << 20) + 1]);
    assert!(place.refused_check().contains("LG-2002"));
    place.goes_on(&host);
}

#[test]
fn compiled_code_that_was_touched_is_compiled_anew() {
    let mut place = Place::new();
    assert!(Host::start(&place.workspace).stop().success());
    let files = || -> Vec<PathBuf> {
        let folder = std::fs::read_dir(place.workspace.data().join("cache/compiled")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    };
    let before = files();
    assert!(!before.is_empty());
    for (nth, file) in before.iter().enumerate() {
        let mut bytes = std::fs::read(file).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(file, &bytes).unwrap();
        if nth == 0 {
            let aside = place.workspace.path().join("aside");
            std::fs::rename(file, &aside).unwrap();
            std::os::unix::fs::symlink(aside, file).unwrap();
        }
    }
    let host = Host::start(&place.workspace);
    let said = "compiled code that this host did not write, or that was changed since; compiling anew";
    assert_eq!(host.logged().matches(said).count(), before.len() - 1, "{}", host.logged());
    assert!(host.logged().contains("compiled code is not taken from what is no file of this host"), "{}", host.logged());
    place.goes_on(&host);
    assert!(host.stop().success());
    assert!(before.iter().all(|file| !file.is_symlink()), "a link is replaced");
    let log = place.workspace.path().join("host.log");
    std::fs::remove_file(&log).unwrap();
    let host = Host::start(&place.workspace);
    assert!(!host.logged().contains("compiling anew"), "{}", host.logged());
    place.goes_on(&host);
}

/// The processes that compile for `parent`.
fn compilers(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_one = |pid: &u32| {
        let of = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        of("cmdline").contains("compile-plugin") && of("status").lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    processes.filter(is_one).collect()
}

fn is_running(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// A start that is busy with a bomb.
fn busy(place: &Place) -> Child {
    place.with_hostile(&bomb(2000, 300));
    let mut host = place.workspace.command("run");
    host.args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    host.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_start_that_compiles_a_bomb_ends_when_it_is_told_to() {
    let place = Place::new();
    let mut host = busy(&place);
    let compiler = eventually("it compiles", || compilers(host.id()).first().copied());
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    let ended = eventually("it has ended", || host.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    eventually("the compiler has ended with its host", || (!is_running(compiler)).then_some(()));
}

#[test]
fn a_compiler_has_nothing_of_the_host_and_does_not_outlive_it() {
    let place = Place::new();
    let workspace: &Workspace = &place.workspace;
    let mut host = busy(&place);
    let looked = eventually("the bomb is the last that is compiled", || match compilers(host.id()).as_slice() {
        [one] => {
            let of = |file: &str| std::fs::read_to_string(format!("/proc/{one}/{file}"));
            // It has set its limits, and has been at it for a while.
            let stat = of("stat").ok()?;
            let ticks: u64 = stat.rsplit(')').next()?.split_whitespace().nth(11)?.parse().ok()?;
            let limits = of("limits").ok()?;
            (ticks > 100).then(|| (*one, limits, of("environ"), std::fs::read_dir(format!("/proc/{one}/fd"))))
        }
        _ => None,
    });
    let (compiler, limits, environment, files) = looked;
    let limit = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(
        ["Max data size", "Max cpu time", "Max core file size", "Max file size"].map(limit),
        [&(2_u64 << 30).to_string(), "120", "0", "0"]
    );
    match (environment, files) {
        (Ok(environment), Ok(files)) => {
            assert!(!environment.contains("SHOP_SECRET") && !environment.contains("PATH="), "{environment}");
            // What the test itself was given by whoever started it may be among them.
            let files: Vec<_> = files.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect();
            let is_of_the_host = |file: &PathBuf| file.starts_with(workspace.path()) || file.to_string_lossy().starts_with("socket:");
            assert!(files.len() >= 3 && !files.iter().any(is_of_the_host), "{files:?}");
        }
        _ => skipped("a_compiler_has_nothing_of_the_host_and_does_not_outlive_it", "only root may look into a process that hides"),
    }
    host.kill().unwrap();
    host.wait().unwrap();
    eventually("the compiler has ended with its host", || (!is_running(compiler)).then_some(()));
}
