//! The console blocks of the documents, run as they stand: in order, in a copy of the page's example (else the tour's), beside a running host where the page starts one.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::pages::{self, Block, MarkdownPage};
use crate::support::build::{binary, root};
use crate::support::{eventually, host};

const EXAMPLES: [&str; 2] = ["shop-to-crm", "order-to-invoice"];

/// A copy of an example beside the project's plugins, so that paths in it mean what they mean in the project.
struct Copy {
    folder: tempfile::TempDir,
    example: &'static str,
    /// What the page exports before it runs the host.
    exports: Vec<(String, String)>,
}

impl Copy {
    fn new(page: &MarkdownPage) -> Self {
        let folder = tempfile::Builder::new().prefix("lockgate-documents-").tempdir().unwrap();
        let own = EXAMPLES.into_iter().find(|name| page.path == root().join("examples").join(name).join("README.md"));
        let copy = Self { folder, example: own.unwrap_or("shop-to-crm"), exports: exports(page) };
        let example = root().join("examples").join(copy.example);
        std::fs::create_dir(copy.folder.path().join("examples")).unwrap();
        let tracked = ["lockgate.toml", "lockgate.lock", "integrations", "environments", "orders", "tests"];
        std::fs::create_dir(copy.workspace()).unwrap();
        for name in tracked {
            let done = Command::new("cp").arg("-R").arg(example.join(name)).arg(copy.workspace()).status().unwrap();
            assert!(done.success(), "{name} is not in the example");
        }
        std::os::unix::fs::symlink(root().join("plugins"), copy.folder.path().join("plugins")).unwrap();
        copy
    }

    fn workspace(&self) -> PathBuf {
        self.folder.path().join("examples").join(self.example)
    }

    /// A line of a console, run by the shell as a reader would, `lockgate` on the path.
    fn shell(&self, line: &str) -> Command {
        let path = std::env::join_paths(
            [binary().parent().unwrap().to_path_buf()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.workspace()).env("PATH", path.unwrap());
        command.env("XDG_CONFIG_HOME", self.workspace().join(".config"));
        command.env_remove("LOCKGATE_HOST").env_remove("LOCKGATE_TOKEN").env_remove("LOCKGATE_LOG").envs(self.exports.iter().cloned());
        command
    }

    /// The host, started by the line the page shows, on free ports.
    fn run(&self, line: &str) -> Running {
        let line = format!("exec {} --ingress 127.0.0.1:0 --admin 127.0.0.1:0", line.trim_end_matches('&').trim());
        let log = std::fs::File::create(self.folder.path().join("host.log")).unwrap();
        let mut child = self.shell(&line).stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        eventually("the host is up", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{line}: {ended:?}\n{}", std::fs::read_to_string(self.folder.path().join("host.log")).unwrap());
            self.workspace().join("data/host.json").exists().then_some(())
        });
        Running(child)
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn lines_of(blocks: &[Block], info: &str) -> Vec<String> {
    let fitting = blocks.iter().filter(|block| block.info == info);
    fitting.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// `export NAME=value NAME=value` in the page's `sh` blocks.
fn exports(page: &MarkdownPage) -> Vec<(String, String)> {
    let lines = lines_of(&page.blocks(), "sh");
    let exported = lines.iter().filter_map(|line| line.strip_prefix("export ")).filter(|line| !line.contains("PATH="));
    exported
        .flat_map(str::split_whitespace)
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `$ lockgate … # exits with 1` → the command and 1.
fn expectation(line: &str) -> Option<(&str, i32)> {
    let line = line.strip_prefix("$ ")?;
    Some(match line.split_once("# exits with ") {
        Some((command, status)) => (command.trim(), status.trim().parse().unwrap()),
        None => (line, 0),
    })
}

#[test]
fn every_console_in_the_documents_does_what_it_shows() {
    let mut told = 0;
    for page in pages::all() {
        let blocks = page.blocks();
        let commands = lines_of(&blocks, "console");
        let expected: Vec<(&str, i32)> = commands.iter().filter_map(|line| expectation(line)).collect();
        if expected.is_empty() {
            continue;
        }
        let copy = Copy::new(&page);
        let start = lines_of(&blocks, "sh").into_iter().find(|line| line.starts_with("lockgate run "));
        // Tests need none.
        let host = start.map(|line| copy.run(&line));
        for (command, status) in expected {
            let output = copy.shell(command).output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(status), "{}: {command}\n{out}{err}", page.path.display());
            assert!(!out.trim().is_empty(), "{command} tells nothing");
            told += 1;
        }
        drop(host);
    }
    assert!(told > 8, "the tour in the README is not run: {told} commands");
}

#[test]
fn the_lock_of_every_example_is_what_its_workspace_needs() {
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let example = entry.unwrap().path();
        assert!(EXAMPLES.iter().any(|name| example.ends_with(name)), "no test runs {}", example.display());
        assert!(example.join("lockgate.lock").is_file(), "commit it: lockgate update -C {}", example.display());
        let output = host::lockgate(&example).args(["check", ".", "--env", "dev", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
