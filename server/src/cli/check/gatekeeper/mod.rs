//! `cordon check gatekeeper …`: templates, constraints, suites, mutation and expansion, judged as gator judges them.

use super::{FINDINGS, Object};
use crate::cli::{check::read, complain};
use anyhow::Result;
use clap::Subcommand;
use gatekeeper::{Finding, Providers};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

mod change;
mod lint;
mod review;
mod verify;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge objects and AdmissionReviews by templates and constraints: exit 0 no violations, 1 some.
    #[command(visible_alias = "test")]
    Review(review::Arguments),
    /// Run gator's suites: exit 0 all tests pass, 1 not.
    Verify(verify::Arguments),
    /// Say what is wrong with templates, constraints, mutators and ExpansionTemplates: exit 0 nothing, 1 something.
    Lint(lint::Arguments),
    /// Print objects as mutators make them: exit 0 they were mutated, 1 that failed.
    Mutate(change::Mutate),
    /// Print what workloads would create, by ExpansionTemplates: exit 0 they were expanded, 1 that failed.
    Expand(change::Expand),
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Review(arguments) => review::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Lint(arguments) => lint::run(arguments),
        Command::Mutate(arguments) => change::mutate(arguments),
        Command::Expand(arguments) => change::expand(arguments),
    }
}

/// What is wrong with an object of a file.
struct Problem<'a> {
    object: &'a Object,
    finding: Finding,
}

impl Problem<'_> {
    /// The line of what is wrong: of the field, or of the text that it holds.
    fn line(&self) -> u64 {
        let line = self.object.manifest.line(&self.finding.field);
        let within = self.finding.line.unwrap_or(0);
        // A block of text begins on the line after its field, any other text on the same.
        if self.object.is_block(&self.finding.field) { line + within } else { line }
    }

    fn text(&self) -> String {
        let within = self.finding.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let (file, id) = (&self.object.file, self.object.manifest.id());
        format!("{file}:{}: {id}: {}: {within}{}", self.line(), self.finding.field, self.finding.message)
    }

    fn json(&self) -> Value {
        json!({
            "file": self.object.file, "line": self.line(), "object": self.object.manifest.id(),
            "field": self.finding.field, "programLine": self.finding.line, "message": self.finding.message,
        })
    }
}

impl Object {
    /// Whether a field holds a text of several lines.
    fn is_block(&self, field: &str) -> bool {
        let pointer = format!("/{}", field.replace('[', "/").replace(']', "").replace('.', "/"));
        self.manifest.value.pointer(&pointer).and_then(Value::as_str).is_some_and(|text| text.contains('\n'))
    }
}

/// Answers of external data providers: `{provider: {key: value}}`, where `{"error": "…"}` is a provider's error.
fn providers(path: Option<&PathBuf>) -> Option<Providers> {
    let mut providers = Providers::default();
    let Some(path) = path else { return Some(providers) };
    let file = path.display();
    let bytes = super::read_bytes(path).map_err(|error| error.to_string());
    let documents = bytes.and_then(|bytes| checkers::yaml::documents_from_bytes(&bytes).map_err(|error| error.to_string()));
    let documents = match documents {
        Ok(documents) => documents,
        Err(error) => {
            complain(format_args!("{file}: {error}"));
            return None;
        }
    };
    for document in documents {
        for (provider, answers) in document.value.as_object().into_iter().flatten() {
            let Some(answers) = answers.as_object() else {
                complain(format_args!("{file}:{}: {provider}: must hold answers by key", document.line(provider)));
                return None;
            };
            for (key, answer) in answers {
                let answer = match answer["error"].as_str() {
                    Some(error) => Err(error.to_owned()),
                    None => Ok(answer.clone()),
                };
                providers.set(provider, key, answer);
            }
        }
    }
    Some(providers)
}

/// The code for whether anything was found.
fn code(found: bool) -> ExitCode {
    if found { FINDINGS.into() } else { ExitCode::SUCCESS }
}
