//! `[limits]` of an integration and `limits.call` of `lockgate.toml`: what one call of a plugin may use, and the most that any
//! integration may say of it.
//!
//! Depends on `integration`'s types and `config::reader`.

use std::time::Duration;

use super::integration::IntegrationFile;
use super::quantity;
use super::reader::{Keys, Node};
use crate::integration::{CallLimits, Limit, SaidLimits, Unit};
use crate::problem::{Code, Problem, Problems};

/// The words of [`Limit`]; a test holds them together.
const WORDS: Keys = Keys::all(&[
    "memory",
    "cpu",
    "wall",
    "output",
    "output-messages",
    "requests",
    "requests-at-once",
    "host-calls",
    "log",
    "key",
    "value",
    "key-value",
]);
const EXAMPLE: &str = "{ memory = \"128MiB\", cpu = \"2s\" }";

/// What an integration says.
pub fn said(node: &Node<'_>) -> SaidLimits {
    let mut said = SaidLimits::default();
    each(node, |limit, value| said.say(limit, value));
    said
}

/// What `lockgate.toml` allows integrations to say.
pub fn ceiling(node: &Node<'_>) -> CallLimits {
    let mut ceiling = CallLimits::ceiling();
    each(node, |limit, value| ceiling = ceiling.with(limit, value));
    ceiling
}

fn each(node: &Node<'_>, mut take: impl FnMut(Limit, u64)) {
    let Some(table) = node.table(WORDS, EXAMPLE) else { return };
    for limit in Limit::ALL {
        if let Some(value) = table.optional(limit.word()).and_then(|node| value(limit, &node)) {
            take(limit, value);
        }
    }
}

fn value(limit: Limit, node: &Node<'_>) -> Option<u64> {
    let (least, most) = limit.range();
    let within = |value: u64| match (least..=most).contains(&value) {
        true => Ok(value),
        false => Err(format!("must be from {} to {}", shown(limit, least), shown(limit, most))),
    };
    let example = shown(limit, CallLimits::default().get(limit));
    if limit.unit() == Unit::Count {
        return node.integer(least..most.saturating_add(1), &example);
    }
    node.parsed(&format!("\"{example}\""), |text| match limit.unit() {
        Unit::Milliseconds => quantity::duration(text).and_then(|time| within(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
        _ => quantity::size(text).and_then(within),
    })
}

/// A limit's value as people write it.
pub fn shown(limit: Limit, value: u64) -> String {
    match limit.unit() {
        Unit::Bytes => quantity::shown_size(value),
        Unit::Milliseconds => quantity::shown(Duration::from_millis(value)),
        Unit::Count => value.to_string(),
    }
}

/// What integrations of a workspace say that is over what its host allows.
pub fn check(integrations: &[IntegrationFile], ceiling: &CallLimits, problems: &mut Problems) {
    for file in integrations {
        let over = over(&file.integration.limits, ceiling);
        let of = &file.integration.name;
        problems.0.extend(over.map(|(limit, problem)| {
            let at = file.places.at(&format!("limits/{}", limit.word()));
            Problem { message: format!("integration {of}: {}", problem.message), ..problem }.at(at)
        }));
    }
}

/// A problem for each limit that is over `ceiling`.
pub fn over<'a>(said: &'a SaidLimits, ceiling: &'a CallLimits) -> impl Iterator<Item = (Limit, Problem)> + 'a {
    said.over(ceiling).map(|(limit, said)| {
        let (word, said, most) = (limit.word(), shown(limit, said), shown(limit, ceiling.get(limit)));
        let message = format!("`limits.{word}` = {said}, and this host allows {most}");
        let fix = format!("ask for no more than {most}, or let whoever runs the host raise `{word}` under [limits.call] in lockgate.toml");
        (limit, Problem::new(Code::OverCeiling, message).fix(fix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::host::HostConfig;

    const INTEGRATION: &str = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\nwebhook = { path = \"/a\", verify = \"none\" }\n[sink]\nchannel = \"c\"\n";

    fn integration(limits: &str) -> Result<IntegrationFile, String> {
        IntegrationFile::parse("orders", "integrations/orders.toml", &format!("{INTEGRATION}{limits}"))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn every_limit_has_its_word() {
        assert_eq!(WORDS.known, Limit::ALL.map(Limit::word));
    }

    #[test]
    fn says_of_each_wrong_value_what_it_may_be() {
        let wrong = integration("[limits]\nmemory = \"1B\"\ncpu = 1\nwall = \"2d\"\nrequests = 0\nstack = \"1MiB\"\n").unwrap_err();
        for told in ["from 1MiB to 2GiB", "memory = \"64MiB\"", "limits.cpu", "from 1s to 1h", "from 1 to 10000", "stack"] {
            assert!(wrong.contains(told), "{told}: {wrong}");
        }
    }

    #[test]
    fn an_integration_may_not_say_more_than_its_host_allows() {
        let file = integration("[limits]\nmemory = \"512MiB\"\nwall = \"1m\"\n").unwrap();
        let host = HostConfig::parse("lockgate.toml".as_ref(), "[limits.call]\nwall = \"20s\"\nmemory = \"1GiB\"\n").unwrap();
        let mut problems = Problems::default();
        check(std::slice::from_ref(&file), &host.call_limits, &mut problems);
        let told = problems.to_string();
        assert!(problems.0.len() == 1 && told.contains("`limits.wall` = 1m") && told.contains("allows 20s"), "{told}");
        assert!(told.contains("orders.toml:10:"), "{told}");
    }
}
