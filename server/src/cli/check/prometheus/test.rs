//! `cordon check prometheus test`.

use super::text;
use crate::cli::check::{FINDINGS, Format, UNREADABLE, print};
use crate::cli::complain;
use anyhow::Result;
use prometheus::{
    rules::{self, RuleFile, Severity},
    unit_test::{self, TestFile, matches_pattern},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Pass over fields of rule files that Prometheus does not know.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Files of tests, as `promtool test rules` reads them; the rule files that they name lie beside them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What one file of tests came to.
#[derive(Debug, Default)]
struct Report {
    file: String,
    /// What stands in the way of the tests.
    problems: Vec<String>,
    outcomes: Vec<unit_test::Outcome>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut reports = Vec::with_capacity(arguments.files.len());
    for path in &arguments.files {
        let Some(report) = one(arguments, path) else { return Ok(UNREADABLE.into()) };
        reports.push(report);
    }
    match arguments.format {
        Format::Text => print(&reports.iter().map(show).collect::<Vec<_>>().join("\n")),
        Format::Json => print(&serde_json::to_string_pretty(&json!({"files": reports.iter().map(as_json).collect::<Vec<_>>()}))?),
    }
    let passed = reports.iter().all(passes);
    Ok(if passed { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn one(arguments: &Arguments, path: &Path) -> Option<Report> {
    let file = path.display().to_string();
    let (tests, problems) = match unit_test::read(&text(path)?) {
        Ok(read) => read,
        Err(error) => {
            complain(format_args!("{file}: {error}"));
            return None;
        }
    };
    let problems: Vec<String> =
        problems.iter().map(|problem| format!("{file}:{}: {}: {}", problem.line, problem.field, problem.message)).collect();
    let mut report = Report { file, problems, outcomes: vec![] };
    if report.problems.is_empty() {
        let rules = rule_files(arguments, path, &tests, &mut report.problems)?;
        if report.problems.is_empty() {
            report.outcomes = unit_test::run(&tests, &rules);
        }
    }
    Some(report)
}

fn rule_files(arguments: &Arguments, tests: &Path, file: &TestFile, problems: &mut Vec<String>) -> Option<Vec<RuleFile>> {
    let base = tests.parent().unwrap_or(Path::new(""));
    let mut all = Vec::new();
    for pattern in &file.rule_files {
        let found = matching(&base.join(pattern));
        if found.is_empty() {
            complain(format_args!("  WARNING: no file match pattern {}", base.join(pattern).display()));
        }
        for path in found {
            let name = path.display().to_string();
            let (rules, findings) = match rules::read(&text(&path)?, arguments.ignore_unknown_fields) {
                Ok(read) => read,
                Err(error) => {
                    problems.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
            problems.extend(errors.map(|finding| format!("{name}: {}", finding.message)));
            all.push(rules);
        }
    }
    Some(all)
}

/// The files that a path with wildcards names, in order.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let entries = |folder: &PathBuf| {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>()
        };
        let next = found.iter().flat_map(|folder| entries(folder).into_iter().map(|name| folder.join(name)));
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| matches_pattern(&text, &name.to_string_lossy()));
        found = next.filter(named).collect();
        found.sort();
    }
    found.retain(|path| path.exists());
    found
}

fn passes(report: &Report) -> bool {
    report.problems.is_empty() && report.outcomes.iter().all(|outcome| outcome.failures.is_empty())
}

fn show(report: &Report) -> String {
    let mut out = format!("Unit Testing: {}\n", report.file);
    if passes(report) {
        return out + "  SUCCESS\n";
    }
    out += "  FAILED:\n";
    let failures = report.outcomes.iter().flat_map(|outcome| &outcome.failures);
    report.problems.iter().chain(failures).for_each(|failure| out += &format!("{failure}\n\n"));
    out
}

fn as_json(report: &Report) -> Value {
    let tests: Vec<Value> =
        report.outcomes.iter().map(|outcome| json!({"name": outcome.name, "line": outcome.line, "failures": outcome.failures})).collect();
    json!({"file": report.file, "passed": passes(report), "problems": report.problems, "tests": tests})
}
