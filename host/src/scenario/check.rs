//! Whether a scenario can mean anything for what it is about: every name in it is one that is there. Pure.

use std::collections::BTreeSet;

use super::file::{Scenario, To};
use crate::alias::Environment;
use crate::config::reader::{Places, nearest};
use crate::integration::select::Selector;
use crate::integration::{Entry, Integration, Sink};
use crate::problem::{Code, Problem, Problems};

/// What a scenario runs in.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub integration: &'a Integration,
    pub environment: &'a Environment,
    /// The channels that integrations of the workspace read.
    pub channels: &'a BTreeSet<String>,
}

/// Everything in `scenario` that nobody has.
pub fn check(scenario: &Scenario, places: &Places, about: About<'_>) -> Problems {
    let mut checking = Checking { scenario, places, about, problems: Problems::default() };
    checking.messages();
    checking.answers();
    checking.expects();
    checking.problems
}

struct Checking<'a> {
    scenario: &'a Scenario,
    places: &'a Places,
    about: About<'a>,
    problems: Problems,
}

impl<'a> Checking<'a> {
    fn problem(&mut self, code: Code, path: &str, message: String, fix: String) {
        self.problems.push(Problem::new(code, message).at(self.places.at(path)).fix(fix));
    }

    fn messages(&mut self) {
        let About { integration, .. } = self.about;
        let asks_itself = integration.sources.iter().any(|source| matches!(source.entry, Entry::Poll(_) | Entry::Schedule(_)));
        if self.scenario.messages.is_empty() && !asks_itself {
            let message = format!("no message comes in, and {} asks for none itself", integration.name);
            let fix = "add `message = { file = \"orders/plain.json\" }`".to_owned();
            self.problem(Code::MissingKey, &self.scenario.path, message, fix);
        }
        let Some(source) = integration.sources.first() else { return };
        for input in &self.scenario.messages {
            let is_webhook = matches!(source.entry, Entry::Webhook { .. });
            if input.id.is_some() && is_webhook && !source.id.iter().any(|selector| matches!(selector, Selector::Header(_))) {
                let said: Vec<String> = source.id.iter().map(|selector| format!("`{selector}`")).collect();
                let what = if said.is_empty() { "its body".to_owned() } else { said.join(" and ") };
                let message = format!("`id`: {} takes what makes a message the same from {what}", integration.name);
                self.problem(
                    Code::WrongValue,
                    &format!("{}/id", input.path),
                    message,
                    "remove `id`, and give it the body that has it".into(),
                );
            }
            let rule = source.key.as_ref().map(ToString::to_string).or_else(|| is_webhook.then(|| "nowhere".to_owned()));
            if let (Some(_), Some(rule)) = (&input.key, rule) {
                let message = format!("`key`: {} takes the key of a message from {rule}", integration.name);
                self.problem(Code::WrongValue, &format!("{}/key", input.path), message, "remove `key`".into());
            }
        }
    }

    fn answers(&mut self) {
        for answer in &self.scenario.answers {
            if let Some(alias) = &answer.alias {
                self.alias(alias, &format!("{}/alias", answer.path));
            }
            let is_named = |name: &str| answer.alias.as_ref().is_none_or(|alias| alias == name);
            let has_tokens = |name: &str| self.about.environment.aliases.get(name).is_some_and(|alias| alias.auth.token_url().is_some());
            if answer.to == To::Token && !self.aliases().into_iter().any(|name| is_named(name) && has_tokens(name)) {
                let message = "`to` = \"token\", and no alias here asks for tokens".to_owned();
                self.problem(Code::WrongValue, &format!("{}/to", answer.path), message, "give it a method and a path".into());
            }
        }
    }

    fn expects(&mut self) {
        for expect in &self.scenario.expects {
            if let Some(of) = &expect.of {
                let known = self.scenario.messages.iter().map(|message| message.name.as_str());
                if !known.clone().any(|name| name == of) {
                    let message = format!("no message is named `{of}`");
                    let fix = offer(of, known);
                    self.problem(Code::NotFound, &format!("{}/of", expect.path), message, fix);
                }
            }
            for alias in expect.aliases.keys() {
                self.alias(alias, &format!("{}/aliases/{alias}", expect.path));
            }
            for alias in expect.tokens.keys() {
                self.alias(alias, &format!("{}/tokens/{alias}", expect.path));
            }
            for request in expect.requests.iter().flatten() {
                if let Some(alias) = &request.alias {
                    self.alias(alias, &format!("{}/alias", request.path));
                }
            }
            for channel in expect.channels.keys() {
                self.channel(channel, &format!("{}/channels/{channel}", expect.path));
            }
            if expect.cursor.is_some() && self.about.integration.polls().next().is_none() {
                let message = format!("`cursor`: {} polls nothing", self.about.integration.name);
                self.problem(Code::WrongValue, &format!("{}/cursor", expect.path), message, "remove `cursor`".into());
            }
        }
    }

    fn aliases(&self) -> BTreeSet<&'a str> {
        let uses = self.about.integration.uses();
        uses.flat_map(|(_, step)| step.bindings.values()).map(|binding| binding.alias.as_str()).collect()
    }

    fn alias(&mut self, alias: &str, path: &str) {
        let known = self.aliases();
        if !known.contains(alias) {
            let message = format!("{} has no slot that leads to the alias `{alias}`", self.about.integration.name);
            let fix = offer(alias, known.iter().copied());
            self.problem(Code::UnknownAlias, path, message, fix);
        }
    }

    fn channel(&mut self, channel: &str, path: &str) {
        let sink = if let Sink::Channel(name) = &self.about.integration.sink { Some(name.as_str()) } else { None };
        let known = self.about.channels.iter().map(String::as_str).chain(sink);
        if !known.clone().any(|name| name == channel) {
            let fix = offer(channel, known);
            self.problem(Code::UnreadChannel, path, format!("nobody writes or reads a channel `{channel}`"), fix);
        }
    }
}

/// What there is instead of a name that nobody has.
fn offer<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    if all.is_empty() { "there is none".to_owned() } else { format!("there is: {}", all.join(", ")) }
}
