//! `cordon check falco validate`, and the rules of `replay` and `grade`.

use super::{
    super::{FINDINGS, Format, UNREADABLE, print},
    SourceName, read_text,
};
use crate::cli::complain;
use anyhow::Result;
use falco::{
    Engine,
    fields::Source,
    rules::{File, Loaded, Report, load},
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Validate {
    /// The sources that rules may have; rules of any other are skipped with a warning, as Falco does without the plugin.
    #[arg(long = "source", value_enum, default_values = ["syscall"])]
    sources: Vec<SourceName>,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Rules files, in the order in which Falco would load them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

struct Read {
    names: Vec<String>,
    texts: Vec<String>,
}

fn read(files: &[PathBuf]) -> Option<Read> {
    let texts: Option<Vec<String>> = files.iter().map(read_text).collect();
    Some(Read { names: files.iter().map(|path| path.display().to_string()).collect(), texts: texts? })
}

fn load_all(read: &Read, sources: &[Source]) -> (Option<Loaded>, Vec<Report>) {
    let files: Vec<File<'_>> = read.names.iter().zip(&read.texts).map(|(name, text)| File { name, text }).collect();
    load(&files, sources)
}

pub fn validate(arguments: &Validate) -> Result<ExitCode> {
    let Some(read) = read(&arguments.files) else { return Ok(UNREADABLE.into()) };
    let sources: Vec<Source> = arguments.sources.iter().map(|source| (*source).into()).collect();
    let (loaded, reports) = load_all(&read, &sources);
    match arguments.format {
        Format::Text => {
            reports.iter().zip(&read.texts).for_each(|(report, text)| print(&report.to_text(text)));
            if let Some(loaded) = &loaded {
                print(&format!("{} rules, {} macros, {} lists", loaded.rules.len(), loaded.macros, loaded.lists));
            }
        }
        Format::Json => {
            let results: Vec<Value> = reports.iter().zip(&read.texts).map(|(report, text)| report.to_json(text)).collect();
            let rules: Vec<Value> = loaded.iter().flat_map(|loaded| &loaded.rules).map(described).collect();
            print(&serde_json::to_string_pretty(&json!({"falco_load_results": results, "rules": rules}))?);
        }
    }
    Ok(if loaded.is_some() { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn described(rule: &falco::rules::Rule) -> Value {
    json!({
        "name": rule.name,
        "line": rule.line,
        "description": rule.description,
        "condition": rule.condition.to_string(),
        "output": rule.output,
        "priority": rule.priority.as_str(),
        "source": rule.source.as_str(),
        "tags": rule.tags,
        "enabled": rule.enabled,
        "capture": rule.capture.enabled,
    })
}

/// The engine of `replay` and `grade`. What is wrong with the rules goes to stderr.
pub fn engine(files: &[PathBuf]) -> Option<Engine> {
    let read = read(files)?;
    let (loaded, reports) = load_all(&read, &Source::ALL);
    let Some(loaded) = loaded else {
        for (report, text) in reports.iter().zip(&read.texts).filter(|(report, _)| !report.is_successful()) {
            complain(report.to_text(text).trim_end());
        }
        return None;
    };
    Engine::new(&loaded).map_err(complain).ok()
}
