//! `cordon check kyverno apply`.

use super::{FINDINGS, Format, Sources, UNREADABLE, evidence, print, values};
use crate::cli::complain;
use anyhow::Result;
use kyverno::{RuleResult, Status};
use serde_json::{Map, Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folders with `policies.yaml`, `resources.yaml` and, if there is more to know, `aux.json`.
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// A file with policies, again and again.
    #[arg(long = "policy", short, value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// A file with the objects to judge, again and again.
    #[arg(long = "resource", short, value_name = "FILE")]
    resources: Vec<PathBuf>,
    /// A file with values, a user, a context or exceptions, as Kyverno's command line takes them, again and again.
    #[arg(long = "evidence", short, value_name = "FILE")]
    evidence: Vec<PathBuf>,
    /// Lines for people, or a JSON object per rule for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// What is judged together.
struct Set {
    policies: Vec<PathBuf>,
    resources: Vec<PathBuf>,
    evidence: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let of_folder = |folder: &PathBuf| Set {
        policies: vec![folder.join("policies.yaml")],
        resources: vec![folder.join("resources.yaml")],
        evidence: Some(folder.join("aux.json")).filter(|file| file.is_file()).into_iter().collect(),
    };
    let mut sets: Vec<Set> = arguments.folders.iter().map(of_folder).collect();
    if !arguments.policies.is_empty() || !arguments.resources.is_empty() || sets.is_empty() {
        sets.push(Set {
            policies: arguments.policies.clone(),
            resources: arguments.resources.clone(),
            evidence: arguments.evidence.clone(),
        });
    }
    let (mut bad, mut unreadable) = (false, false);
    for set in &sets {
        match judge(set, arguments.format) {
            Some(fails) => bad |= fails,
            None => unreadable = true,
        }
    }
    Ok(match (unreadable, bad) {
        (true, _) => ExitCode::from(UNREADABLE),
        (false, true) => ExitCode::from(FINDINGS),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Whether something fails; `None` where something cannot be read.
fn judge(set: &Set, format: Format) -> Option<bool> {
    let mut sources = Sources::default();
    // Each is read, so that what is wrong with each is told.
    let mut whole = true;
    for file in &set.policies {
        whole &= sources.add(file);
    }
    let mut resources = Vec::new();
    for file in &set.resources {
        match values(file) {
            Some(objects) => resources.extend(objects),
            None => whole = false,
        }
    }
    let mut evidence = evidence();
    for file in &set.evidence {
        match values(file) {
            Some(documents) => documents.into_iter().for_each(|document| evidence.add(&by_kind(document))),
            None => whole = false,
        }
    }
    if !whole {
        return None;
    }
    let policies = sources.read();
    for finding in &policies.findings {
        complain(sources.describe(finding));
    }
    let results = kyverno::apply(&policies, &resources, &evidence);
    for result in &results {
        match format {
            Format::Json => print(&json!(result).to_string()),
            Format::Text => print(&line(result)),
        }
    }
    let wrong = policies.findings.iter().any(|finding| !finding.warning);
    Some(wrong || results.iter().any(|result| matches!(result.status, Status::Fail | Status::Error)))
}

fn line(result: &RuleResult) -> String {
    let rule = if result.rule.is_empty() { String::new() } else { format!("/{}", result.rule) };
    let message = if result.message.is_empty() { String::new() } else { format!(": {}", result.message) };
    format!("{} {}{rule} {}{message}", result.status, result.policy, result.resource)
}

/// A file of Kyverno's command line under the name of its kind; a document that has such names already is taken as it is.
pub fn by_kind(document: Value) -> Value {
    let name = match document.get("kind").and_then(Value::as_str) {
        Some("Value" | "Values") => "variables",
        Some("UserInfo") => "userinfo",
        Some("Context") => "context",
        Some("ClusterResource") => "clusterResources",
        Some("PolicyException") => "exceptions",
        _ => return document,
    };
    let mut map = Map::new();
    map.insert(name.to_owned(), document);
    Value::Object(map)
}
