//! `cordon check prometheus …`: rule files, promtool's unit tests of them, and single queries.

use crate::cli::complain;
use anyhow::Result;
use clap::Subcommand;
use std::{path::Path, process::ExitCode};

mod promql;
mod rules;
mod test;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run unit tests of rules, in promtool's format.
    Test(test::Arguments),
    /// Say what is wrong with rule files and PrometheusRule objects.
    Rules(rules::Arguments),
    /// Run a query and compare it with what a case expects of it.
    Promql(promql::Arguments),
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Rules(arguments) => rules::run(&arguments),
        Command::Promql(arguments) => promql::run(&arguments),
    }
}

/// A file's text. Complaints go to stderr.
fn text(path: &Path) -> Option<String> {
    let bytes = super::read_bytes(&path.to_path_buf()).map_err(|error| error.to_string());
    match bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())) {
        Ok(text) => Some(text),
        Err(error) => {
            complain(format_args!("{}: {error}", path.display()));
            None
        }
    }
}
