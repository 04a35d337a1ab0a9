//! A running host: the real binary on a workspace, spoken to over its sockets.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::build::binary;
use super::http::{Answer, request};
use super::workspace::Workspace;
use super::{PATIENCE, eventually, eventually_within};

/// What a host says goes here, in its workspace.
const LOG_FILE: &str = "host.log";

/// A host process. Killed when dropped.
#[derive(Debug)]
pub struct Host {
    child: Child,
    pub ingress: String,
    pub admin: String,
    token: String,
    pub log: PathBuf,
}

impl Host {
    /// Starts the host and waits until it is ready.
    #[track_caller]
    pub fn start(workspace: &Workspace) -> Self {
        Self::start_with(workspace, &[])
    }

    /// [`Host::start`] with more arguments.
    #[track_caller]
    pub fn start_with(workspace: &Workspace, arguments: &[&str]) -> Self {
        Self::try_start(workspace, arguments, &[]).unwrap_or_else(|status| {
            let log = std::fs::read_to_string(workspace.path().join(LOG_FILE)).unwrap_or_default();
            panic!("the host ended with {status}:\n{log}")
        })
    }

    /// The same with more of an environment; an error is how it ended before it was ready.
    #[track_caller]
    pub fn try_start(workspace: &Workspace, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self, ExitStatus> {
        Self::try_start_as("run", workspace, arguments, environment)
    }

    /// The same by another command that runs a host.
    #[track_caller]
    pub fn try_start_as(
        command: &str,
        workspace: &Workspace,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, ExitStatus> {
        let data = workspace.data();
        drop(std::fs::remove_file(data.join("host.json")));
        let log = workspace.path().join(LOG_FILE);
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = workspace
            .command(command)
            .args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(Stdio::from(output))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // It compiles its plugins before, and one in Python is large.
        let running: Value = eventually_within(PATIENCE * 5, "the host is up", || {
            let said = std::fs::read(data.join("host.json")).ok().and_then(|said| serde_json::from_slice(&said).ok());
            said.map(Ok).or_else(|| child.try_wait().unwrap().map(Err))
        })?;
        let address = |name: &str| running[name].as_str().unwrap().to_owned();
        let (ingress, admin) = (address("ingress"), address("admin"));
        let token = std::fs::read_to_string(data.join("admin-token")).unwrap().trim().to_owned();
        eventually("the host is ready", || {
            let ready = request("GET", &format!("{admin}/readyz"), &[], "").is_ok_and(|answer| answer.status == 200);
            if ready { Some(Ok(())) } else { child.try_wait().unwrap().map(Err) }
        })?;
        Ok(Self { child, ingress, admin, token, log })
    }

    /// Posts to the ingress listener.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        request("POST", &format!("{}{path}", self.ingress), headers, body).unwrap()
    }

    /// Asks the admin API; the answer must be a success.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let answer = self.api_raw("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        answer.json()
    }

    /// Asks the admin API with the host's token.
    pub fn api_raw(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        let token = format!("Bearer {}", self.token);
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        request(method, &format!("{}{path}", self.admin), &headers, body).unwrap()
    }

    /// What the host has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process holds of the machine's memory, in MiB.
    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL: no chance to tidy up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then waits for the end.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the host ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `lockgate` in a folder, with nothing of the caller's environment that would lead it elsewhere.
pub fn lockgate(folder: &Path) -> Command {
    let mut command = Command::new(binary());
    // Keys are made in a folder of the test's own.
    command.env("XDG_CONFIG_HOME", folder.join(".config"));
    command.current_dir(folder).env_remove("LOCKGATE_HOST").env_remove("LOCKGATE_TOKEN").env_remove("LOCKGATE_LOG");
    command
}
