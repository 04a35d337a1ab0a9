//! What an active release needs of an environment: aliases to bind to, and values for its configs. A release is no file of the
//! workspace any more, so integration and step are what names the place.
//!
//! Depends on `alias` and `integration` for plain data.

use serde_json::Value;

use super::values::{resolve_config, unresolved};
use crate::alias::Environment;
use crate::integration::Integration;
use crate::problem::{Code, Problem, Problems};

/// The configs of the plugins of `integration`, in the order of `Integration::uses`, as JSON texts with the values of `environment` in them.
///
/// # Errors
/// LG-1006 for each alias that is not there, or leads nowhere, and LG-1007 for each value that is missing: everything at once.
pub fn configs_of(integration: &Integration, environment: &Environment) -> Result<Vec<String>, Problems> {
    let (mut problems, mut configs) = (Problems::default(), Vec::new());
    for (place, step) in integration.uses() {
        let of_it = |what: &str| format!("active release of {}, {place}: {what}", integration.name);
        for binding in step.bindings.values() {
            let (name, alias) = (&environment.name, &binding.alias);
            let lacks = match environment.aliases.get(alias) {
                None => format!("environment {name} has no alias `{alias}`"),
                Some(found) if found.url.is_none() => format!("alias `{alias}` of environment {name} has no `url`"),
                Some(_) => continue,
            };
            let fix =
                format!("add [alias.{alias}] with a `url` to the environment, or activate the workspace's releases: lockgate run --deploy");
            problems.push(Problem::new(Code::UnknownAlias, of_it(&lacks)).fix(fix));
        }
        match resolve_config(&step.config, &environment.values) {
            Ok(config) => configs.push(config),
            Err(_first) => {
                let all = unresolved("config", &Value::Object(step.config.clone()), &environment.values);
                problems.0.extend(all.into_iter().map(|(_, problem)| Problem { message: of_it(&problem.message), ..problem }));
            }
        }
    }
    problems.or(configs)
}
