//! `lockgate mapping`: what of a message becomes what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::progress::Progress;
use super::run::prepare_workspace;
use super::{Common, Failure, output, table};
use crate::app::testing::{self, About, Hears, Samples};
use crate::config::prepare::MissingLock;
use crate::mapping::draft::{draft, samples};
use crate::mapping::observation::{Becomes, FieldSeen, Observation};

#[derive(Debug, Subcommand)]
pub enum Mapping {
    Observe(Observe),
}

/// Observe what of a message becomes what, of a plugin whose source nobody has
///
/// Puts other values into one field of sample messages after the other, as `lockgate test` runs them (in the host's own core, with scripted
/// systems; nothing is sent), and lists which outputs and requests change, and how; what decides that a message is skipped or parked; what is
/// constant, and what seems unused. It is an observation over so many samples, not a proof.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate mapping observe orders-to-crm
  lockgate mapping observe acme-crm@2.1.0.wasm --samples orders
  lockgate mapping observe orders-to-crm --recorded --format markdown
  lockgate mapping observe orders-to-crm --json | jq '.fields[] | select(.becomes == [])'

docs/mapping.md says how it is found out, and what it cannot see.")]
pub struct Observe {
    /// An integration, a plugin, or a component
    #[arg(value_name = "NAME|FILE.wasm")]
    target: String,
    /// The environment whose aliases and values count: environments/<ENV>.toml
    #[arg(long, value_name = "ENV", default_value = "dev")]
    env: String,
    /// A folder of messages, instead of those of scenarios and of orders/
    #[arg(long, value_name = "DIR")]
    samples: Option<PathBuf>,
    /// The latest messages that the host on this machine recorded, instead
    #[arg(long, conflicts_with = "samples")]
    recorded: bool,
    /// The config of a plugin that stands by itself
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// As a table, or as the draft of a mapping document
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
}

impl Mapping {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let Self::Observe(observe) = self;
        observe.run(common)
    }
}

impl Observe {
    fn run(self, common: &Common) -> Result<(), Failure> {
        let progress = Progress::new(common.json);
        let building = progress.of_builds();
        let done = |so_far: usize, all: usize| progress.detail(&format!("{so_far} of {all}"));
        let hears = Hears { building: &building, said: &|text| progress.step(text), done: &done };
        let samples = Samples::asked(self.recorded, self.samples.as_deref());
        let config = testing::config(self.config.as_deref())?;
        let about = About { dir: common.directory.clone(), target: Some(self.target.clone()), config, samples };
        let seen = testing::mapping(&about, || prepare_workspace(&common.directory, &self.env, MissingLock::Ignore, &progress), hears)?;
        drop(building);
        drop(progress);
        match self.format {
            _ if common.json => output::json(&seen),
            Format::Markdown => draft(&seen).lines().for_each(output::line),
            Format::Text => tell(&seen),
        }
        Ok(())
    }
}

fn tell(seen: &Observation) {
    for (title, links) in seen.tables() {
        let rows: Vec<Vec<String>> = links.into_iter().map(|(field, becomes)| row(field, becomes)).collect();
        output::line(format!("{title}:"));
        table::print(&["FIELD", "BECOMES", "HOW", "EXAMPLE", "WHEN MISSING"], &rows);
        output::line("");
    }
    let listed = |title: &str, all: Vec<String>| {
        if !all.is_empty() {
            output::line(title);
            all.iter().for_each(|one| output::line(output::on_one_line(&format!("  {one}"))));
            output::line("");
        }
    };
    let told = |title: &str, of: &dyn Fn(&FieldSeen) -> &BTreeSet<String>| {
        let fields = seen.fields.iter().filter(|field| !of(field).is_empty());
        listed(
            title,
            fields.map(|field| format!("{}: {}", field.field, of(field).iter().cloned().collect::<Vec<_>>().join("; "))).collect(),
        );
    };
    told("not delivered without:", &|field| &field.missing);
    told("not delivered with other values in:", &|field| &field.decides);
    listed("constant:", seen.constants.iter().map(|constant| format!("{} = {}", constant.output, constant.value)).collect());
    listed("made of something else:", seen.unexplained.clone());
    let named = |is: &dyn Fn(&FieldSeen) -> bool| seen.fields.iter().filter(|field| is(field)).map(|field| field.field.clone()).collect();
    listed("seem unused:", named(&FieldSeen::seems_unused));
    listed("null in every sample:", named(&|field| field.not_varied));
    listed(
        "samples left out:",
        seen.samples.iter().filter(|sample| !sample.used).map(|sample| format!("{}: {}", sample.name, sample.intact)).collect(),
    );
    output::line(output::on_one_line(&format!("{}, over {}. {}", seen.about, samples(seen.used()), seen.remark)));
}

fn row(field: &FieldSeen, becomes: &Becomes) -> Vec<String> {
    let example = becomes.example(&str::to_owned);
    vec![field.field.clone(), becomes.output.clone(), becomes.how.as_str().to_owned(), example, becomes.when_missing(field)]
}
