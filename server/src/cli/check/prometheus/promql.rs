//! `cordon check prometheus promql`.

use super::text;
use crate::cli::check::{FINDINGS, Format, UNREADABLE, print};
use crate::cli::complain;
use anyhow::Result;
use prometheus::case;
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// A JSON file with series, a query, and its result in the notation of Prometheus' own tests; `-` reads the standard input.
    #[arg(value_name = "CASE")]
    file: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(text) = text(&arguments.file) else { return Ok(UNREADABLE.into()) };
    let result = case::read(&text).and_then(|case| case::run(&case));
    let difference = match result {
        Err(error) => {
            complain(format_args!("{}: {error}", arguments.file.display()));
            return Ok(UNREADABLE.into());
        }
        Ok(result) => result.err(),
    };
    match arguments.format {
        Format::Text => print(difference.as_deref().unwrap_or("as expected")),
        Format::Json => print(&json!({"right": difference.is_none(), "difference": difference}).to_string()),
    }
    Ok(if difference.is_none() { ExitCode::SUCCESS } else { FINDINGS.into() })
}
