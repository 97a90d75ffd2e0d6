//! `cordon check prometheus rules`.

use super::text;
use crate::cli::check::{FINDINGS, Format, UNREADABLE, print};
use crate::cli::complain;
use anyhow::Result;
use prometheus::rules::{Finding, Severity, read};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Pass over fields that Prometheus does not know.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Rule files, or YAML with PrometheusRule objects; `-` reads the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut whole = true;
    let mut lines = Vec::new();
    let mut reports: Vec<Value> = Vec::new();
    let mut failed = false;
    for path in &arguments.files {
        let file = path.display().to_string();
        let Some(text) = text(path) else {
            whole = false;
            continue;
        };
        let (rules, findings) = match read(&text, arguments.ignore_unknown_fields) {
            Ok(read) => read,
            Err(error) => {
                complain(format_args!("{file}: {error}"));
                whole = false;
                continue;
            }
        };
        let count: usize = rules.groups.iter().map(|group| group.rules.len()).sum();
        failed |= findings.iter().any(|finding| finding.severity == Severity::Error);
        if findings.is_empty() {
            lines.push(format!("{file}: {count} rules, nothing wrong"));
        }
        lines.extend(findings.iter().map(|finding| line(&file, finding)));
        reports.push(json!({"file": file, "rules": count, "findings": findings.iter().map(one).collect::<Vec<_>>()}));
    }
    if !whole {
        return Ok(UNREADABLE.into());
    }
    match arguments.format {
        Format::Text => print(&lines.join("\n")),
        Format::Json => print(&serde_json::to_string_pretty(&json!({"files": reports}))?),
    }
    Ok(if failed { FINDINGS.into() } else { ExitCode::SUCCESS })
}

/// `rules.yml:7: groups[0].rules[0].expr: 7:15: group "a", rule 1, "x": could not parse expression: …`
fn line(file: &str, finding: &Finding) -> String {
    let place = if finding.line > 0 { format!("{file}:{}", finding.line) } else { file.to_owned() };
    format!("{place}: {}: {}{}", finding.field, if finding.severity == Severity::Warning { "warning: " } else { "" }, finding.message)
}

fn one(finding: &Finding) -> Value {
    let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
    json!({"severity": severity, "line": finding.line, "column": finding.column, "field": finding.field, "message": finding.message})
}
