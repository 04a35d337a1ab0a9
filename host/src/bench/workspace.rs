//! The workspace that Lockgate is measured on: a copy of `examples/order-to-invoice`, with the bench's target for billing.

use std::net::SocketAddr;
use std::path::Path;

use super::subject::SECRET_VARIABLE;
use crate::problem::{Code, Problem};

/// Where the example is in the project's folder.
pub const EXAMPLE: &str = "examples/order-to-invoice";
/// The environment that is written.
pub const ENVIRONMENT: &str = "bench";
/// More than any run leaves waiting.
const WAITING: u64 = 10_000_000;

/// Copies `example` into the folder `to`: the same integration, with deliveries to `target`, `concurrency` at once.
pub fn write(example: &Path, to: &Path, target: SocketAddr, concurrency: usize) -> Result<(), Problem> {
    let project = example.join("../../plugins");
    let plugins = project.canonicalize().map_err(|error| unreadable(&project, &error))?;
    let name = Path::new("integrations/order-to-invoice.toml");
    let integration = std::fs::read_to_string(example.join(name)).map_err(|error| unreadable(&example.join(name), &error))?;
    let lock = std::fs::read_to_string(example.join("lockgate.lock")).map_err(|error| unreadable(example, &error))?;
    let files = [
        ("lockgate.toml", format!("[plugins]\npaths = [{:?}]\n\n[limits]\nwaiting = {WAITING}\n", plugins.display().to_string())),
        ("lockgate.lock", lock),
        ("integrations/order-to-invoice.toml", format!("{integration}\n[delivery]\nconcurrency = {concurrency}\n")),
        ("environments/bench.toml", environment(target)),
    ];
    for (file, text) in files {
        let path = to.join(file);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| {
            Problem::new(Code::DataFolderUnwritable, format!("{} cannot be written: {error}", path.display())).fix("name another --folder")
        })?;
    }
    Ok(())
}

fn environment(target: SocketAddr) -> String {
    format!(
        "[alias.shop]\nowner = {{ contact = \"bench@lockgate.example\" }}\n\
         verify = {{ hmac = {{ secret = {{ env = \"{SECRET_VARIABLE}\" }}, header = \"X-Signature\", encoding = \"hex\" }} }}\n\n\
         [alias.billing]\nowner = {{ contact = \"bench@lockgate.example\" }}\nurl = \"http://{target}\"\nnetwork = [\"127.0.0.0/8\"]\n"
    )
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{} cannot be read: {error}", path.display()))
        .fix("run the bench in the project's folder, or name it with -C DIR")
}
