//! What the user writes, parsed and checked: the host file, integrations, environments, and whether it all fits together.
//!
//! Depends on `integration`, `alias`, `plugin`'s static facts and `problem`; does no I/O beyond reading files. Everything
//! that is wrong is reported at once, each mistake with its place and its fix.

mod active;
mod approval;
mod auth;
mod batch;
pub mod changes;
mod channels;
pub mod check;
mod environment;
mod host;
mod integration;
mod ledger;
pub mod limits;
mod name;
mod plugins;
pub mod prepare;
pub mod quantity;
mod rate;
pub mod reader;
mod secrets;
mod source;
mod step;
mod values;
pub mod watch;
pub mod workspace;

pub use active::configs_of;
pub use approval::{ApprovalRule, Approved};
pub use environment::EnvironmentFile;
pub use host::{HostConfig, HostTls, Retention};
pub use integration::IntegrationFile;
pub use name::{NAME_RULE, is_name, name as name_of};
pub use plugins::PluginsConfig;
pub use rate::limit as rate;
pub use secrets::{missing_secrets, missing_secrets_of, secret_names, secret_references, used_aliases_of};
pub use step::{given as plugin_given, json as json_of, plugin_requirement};
pub use values::resolve as resolve_values;
pub use workspace::Workspace;
