//! `cordon check kyverno test`: Kyverno's unit tests of policies.

use super::{FINDINGS, Sources, UNREADABLE, apply::by_kind, evidence, print, values};
use crate::cli::complain;
use anyhow::Result;
use kyverno::{RuleResult, unit_test};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

const FILE: &str = "kyverno-test.yaml";
/// Folders in folders that are looked into.
const DEEPEST: usize = 16;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Tests, or folders with files called `kyverno-test.yaml`.
    #[arg(required = true, value_name = "FILE|DIR")]
    tests: Vec<PathBuf>,
    /// Print what differs only.
    #[arg(long)]
    fail_only: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &arguments.tests {
        if path.is_dir() { find(path, &mut files, 0) } else { files.push(path.clone()) }
    }
    files.sort();
    if files.is_empty() {
        complain(format_args!("no file called {FILE} is there"));
        return Ok(ExitCode::from(UNREADABLE));
    }
    let (mut passed, mut failed, mut unreadable) = (0, 0, false);
    for file in &files {
        let Some(outcomes) = all(file) else {
            unreadable = true;
            continue;
        };
        for outcome in outcomes {
            if outcome.ok {
                passed += 1
            } else {
                failed += 1
            }
            if !outcome.ok || !arguments.fail_only {
                let word = if outcome.ok { "ok" } else { "FAIL" };
                let rule = if outcome.rule.is_empty() { String::new() } else { format!("/{}", outcome.rule) };
                print(&format!("{word} {}{rule} {}: {}", outcome.policy, outcome.resource, outcome.reason));
            }
        }
    }
    print(&format!("{passed} passed, {failed} failed"));
    Ok(match (unreadable, failed) {
        (true, _) => ExitCode::from(UNREADABLE),
        (false, 0) => ExitCode::SUCCESS,
        _ => ExitCode::from(FINDINGS),
    })
}

fn find(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && depth < DEEPEST {
            find(&path, files, depth + 1);
        } else if path.file_name().is_some_and(|name| name == FILE) {
            files.push(path);
        }
    }
}

/// Every test of a file.
fn all(file: &Path) -> Option<Vec<unit_test::Outcome>> {
    let tests = values(file)?;
    if tests.is_empty() {
        complain(format_args!("{}: the file is empty", file.display()));
        return None;
    }
    // Each is run, so that what is wrong with each is told.
    let outcomes: Vec<_> = tests.iter().map(|test| one(file, test)).collect();
    Some(outcomes.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

fn one(file: &Path, test: &Value) -> Option<Vec<unit_test::Outcome>> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut sources = Sources::default();
    let (mut resources, mut payloads) = (Vec::new(), Vec::new());
    let mut evidence = evidence();
    let mut run = unit_test::Run::default();
    let mut whole = true;
    for (field, name) in unit_test::files_of(test) {
        let path = folder.join(&name);
        let is_compared = matches!(field, "patchedResources" | "patchedResource" | "generatedResource");
        if field == "policies" {
            whole &= sources.add(&path);
            continue;
        }
        // A file to compare with counts where there is something to compare.
        if is_compared && !path.exists() {
            continue;
        }
        let Some(objects) = values(&path) else {
            whole = false;
            continue;
        };
        match field {
            "resources" => resources.extend(objects),
            "jsonPayload" | "jsonPayloads" => payloads.extend(objects.into_iter().map(|payload| (name.clone(), payload))),
            _ if is_compared => drop(run.files.insert(name, objects)),
            "cloneSourceResource" => evidence.objects.extend(objects),
            "targetResources" => evidence.targets.extend(objects),
            "exceptions" => evidence.exceptions.extend(objects),
            kind => objects.into_iter().for_each(|object| evidence.add(&under(kind, object))),
        }
    }
    if let Some(given) = test.get("values").filter(|values| values.is_object()) {
        evidence.add(&under("values", given.clone()));
    }
    for field in ["apiCallResponses", "globalContextEntries"] {
        if let Some(mocked) = test.get(field) {
            evidence.add(&json!({ field: with_files(folder, mocked.clone(), &mut whole) }));
        }
    }
    if !whole {
        return None;
    }
    let policies = sources.read();
    for finding in &policies.findings {
        complain(sources.describe(finding));
    }
    run.known = resources.iter().map(unit_test::id_of).chain(payloads.iter().map(|(name, _)| name.clone())).collect();
    for operation in unit_test::operations_of(test) {
        let mut evidence = evidence.clone();
        if !operation.is_empty() {
            evidence.values.global.insert("request.operation".to_owned(), json!(operation));
        }
        let mut results = kyverno::apply(&policies, &resources, &evidence);
        for (name, payload) in &payloads {
            let about = kyverno::apply(&policies, std::slice::from_ref(payload), &evidence).into_iter();
            results.extend(about.map(|result| RuleResult { resource: name.clone(), ..result }));
        }
        run.results.insert(operation, results);
    }
    Some(unit_test::judge(test, &run))
}

/// Mocked entries with the objects of their `resourceFiles` in them.
fn with_files(folder: &Path, mut entries: Value, whole: &mut bool) -> Value {
    for entry in entries.as_array_mut().into_iter().flatten() {
        let files: Vec<PathBuf> =
            entry["resourceFiles"].as_array().into_iter().flatten().filter_map(Value::as_str).map(|file| folder.join(file)).collect();
        if !files.is_empty() {
            let read: Vec<Option<Vec<Value>>> = files.iter().map(|file| values(file)).collect();
            *whole &= read.iter().all(Option::is_some);
            entry["resources"] = read.into_iter().flatten().flatten().collect();
        }
    }
    entries
}

/// A document under the name of the field that names it; its kind may say more.
fn under(field: &str, document: Value) -> Value {
    match by_kind(document.clone()) {
        as_it_is if as_it_is == document => {
            let mut map = Map::new();
            map.insert(field.to_owned(), document);
            Value::Object(map)
        }
        named => named,
    }
}
