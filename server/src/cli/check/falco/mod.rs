//! `cordon check falco …`: conditions, rules files and recorded events, judged as Falco judges them.

use crate::cli::complain;
use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use falco::fields::Source;
use std::{path::PathBuf, process::ExitCode};

mod condition;
mod events;
mod rules;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Parse one condition: exit 0 it is one, 1 it is not.
    Parse(condition::One),
    /// Parse one condition and check its fields, types and values: exit 0 it compiles, 1 it does not.
    Compile(condition::One),
    /// Hold one condition against one event: exit 0 true, 1 false, 2 it does not compile.
    Eval(condition::Eval),
    /// Hold many conditions against many events: one JSON line per event, with the ids of the conditions that are true.
    Matches(condition::Matches),
    /// Load rules files and print Falco's report: exit 0 they load, 1 they do not.
    #[command(visible_alias = "load")]
    Validate(rules::Validate),
    /// Run rules over recorded events and print the alerts: exit 0 none, 1 some, 2 the rules do not load.
    Replay(events::Replay),
    /// Run rules over labelled events; precision and recall per rule, and the events that decided them: exit 0 all as labelled.
    Grade(events::Grade),
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Parse(one) => condition::parse(one),
        Command::Compile(one) => condition::compile(one),
        Command::Eval(eval) => condition::eval(eval),
        Command::Matches(matches) => condition::matches(matches),
        Command::Validate(validate) => rules::validate(validate),
        Command::Replay(replay) => events::replay(replay),
        Command::Grade(grade) => events::grade(grade),
    }
}

/// An event source by the name that rules call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SourceName {
    #[value(name = "syscall")]
    Syscall,
    #[value(name = "k8s_audit")]
    K8sAudit,
}

impl From<SourceName> for Source {
    fn from(name: SourceName) -> Self {
        match name {
            SourceName::Syscall => Self::Syscall,
            SourceName::K8sAudit => Self::K8sAudit,
        }
    }
}

/// The text of a file, with what is not UTF-8 replaced. A complaint goes to stderr.
fn read_text(path: &PathBuf) -> Option<String> {
    match super::read_bytes(path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            complain(format_args!("{}: {error}", path.display()));
            None
        }
    }
}
