//! `cordon check gatekeeper verify`.

use super::code;
use crate::cli::check::{Format, UNREADABLE, print, read_bytes};
use crate::cli::complain;
use anyhow::Result;
use checkers::manifest;
use gatekeeper::suite::{self, Outcome, Suite, TestOutcome};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run only tests and cases whose name has this text in it: `TEST` or `TEST//CASE`, as gator has it.
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Files with suites (`kind: Suite` of test.gatekeeper.sh); the files that they name lie beside them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut reports = Vec::new();
    for path in &arguments.files {
        let file = path.display().to_string();
        let suites = match suites(path) {
            Ok(suites) => suites,
            Err(error) => {
                complain(format_args!("{file}: {error}"));
                return Ok(UNREADABLE.into());
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = |name: &str| documents(&folder.join(name));
        let wanted = |test: &str, case: Option<&str>| is_wanted(arguments.run.as_deref(), test, case);
        let outcomes: Vec<_> =
            suites.iter().filter(|suite| !suite.skip).flat_map(|suite| &suite.tests).map(|test| test.run(&files, &wanted)).collect();
        reports.push((file, outcomes));
    }
    match arguments.format {
        Format::Text => print(&reports.iter().map(|(file, outcomes)| text(file, outcomes)).collect::<Vec<_>>().join("\n")),
        Format::Json => {
            let suites: Vec<_> = reports.iter().map(|(file, outcomes)| as_json(file, outcomes)).collect();
            print(&serde_json::to_string_pretty(&json!({"suites": suites}))?);
        }
    }
    Ok(code(reports.iter().flat_map(|(_, outcomes)| outcomes).any(TestOutcome::has_failed)))
}

fn suites(path: &Path) -> Result<Vec<Suite>, String> {
    let suites: Vec<_> = documents(path)?.into_iter().filter(suite::is_suite).collect();
    if suites.is_empty() {
        return Err("there is no Suite of test.gatekeeper.sh in it".to_owned());
    }
    suites.iter().map(Suite::read).collect()
}

fn documents(path: &Path) -> Result<Vec<Value>, String> {
    let at = |error: String| format!("{}: {error}", path.display());
    let bytes = read_bytes(&path.to_path_buf()).map_err(|error| at(error.to_string()))?;
    let read = manifest::read(&bytes).map_err(|error| at(error.to_string()))?;
    Ok(read.into_iter().map(|manifest| manifest.value).collect())
}

fn is_wanted(filter: Option<&str>, test: &str, case: Option<&str>) -> bool {
    let Some(filter) = filter else { return true };
    match (filter.split_once("//"), case) {
        (Some((wanted, _)), None) => test.contains(wanted),
        (Some((_, wanted)), Some(case)) => case.contains(wanted),
        // A case is wanted by its own name or by that of its test, so that every test must be looked into.
        (None, None) => true,
        (None, Some(case)) => test.contains(filter) || case.contains(filter),
    }
}

fn text(file: &str, outcomes: &[TestOutcome]) -> String {
    let mut lines = Vec::new();
    for test in outcomes {
        lines.push(line("", &test.name, &test.outcome));
        lines.extend(test.cases.iter().map(|(name, outcome)| line("    ", name, outcome)));
    }
    let failed = outcomes.iter().any(TestOutcome::has_failed);
    lines.push(format!("{}  {file}", if failed { "FAIL" } else { "ok" }));
    lines.join("\n")
}

fn line(indent: &str, name: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => format!("{indent}--- PASS: {name}"),
        Outcome::Skipped => format!("{indent}--- SKIP: {name}"),
        Outcome::Failed(why) => format!("{indent}--- FAIL: {name}\n{indent}      {why}"),
    }
}

fn as_json(file: &str, outcomes: &[TestOutcome]) -> Value {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Passed => json!("passed"),
        Outcome::Skipped => json!("skipped"),
        Outcome::Failed(why) => json!({"failed": why}),
    };
    let tests = outcomes.iter().map(|test| {
        let cases: Vec<_> = test.cases.iter().map(|(name, outcome)| json!({"name": name, "outcome": of(outcome)})).collect();
        json!({"name": test.name, "outcome": of(&test.outcome), "cases": cases})
    });
    json!({"file": file, "tests": tests.collect::<Vec<_>>()})
}
