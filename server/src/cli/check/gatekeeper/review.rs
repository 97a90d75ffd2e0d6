//! `cordon check gatekeeper review`.

use super::{Problem, code, providers, read};
use crate::cli::check::{Format, Object, UNREADABLE, print};
use crate::cli::complain;
use anyhow::Result;
use gatekeeper::{
    Engine, Review, TARGET, Violation,
    expansion::{self, Expander},
    mutation::{self, System},
    suite,
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files with ConstraintTemplates, Constraints, mutators and ExpansionTemplates, again and again.
    #[arg(long = "policies", short = 'p', value_name = "FILE", required = true)]
    policies: Vec<PathBuf>,
    /// Files with objects that are already in the cluster: `data.inventory`, and Namespaces for selectors.
    #[arg(long = "inventory", short = 'i', value_name = "FILE")]
    inventory: Vec<PathBuf>,
    /// The enforcement point that asks, which decides on constraints whose action is `scoped`.
    #[arg(long, value_name = "NAME", default_value = suite::POINT)]
    enforcement_point: String,
    /// A file with what external data providers answer: `{provider: {key: value}}`.
    #[arg(long, value_name = "FILE")]
    external_data: Option<PathBuf>,
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Files with objects or AdmissionReviews to judge; `-` reads the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Everything that objects are judged by.
struct Policies {
    engine: Engine,
    expander: Expander,
    mutators: System,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let files =
        (read(&arguments.policies), read(&arguments.inventory), read(&arguments.files), providers(arguments.external_data.as_ref()));
    let (Some(policies), Some(inventory), Some(objects), Some(providers)) = files else { return Ok(UNREADABLE.into()) };
    #[expect(clippy::disallowed_methods, reason = "the command line is an edge: policies judge by the time at which they are asked")]
    let now = jiff::Timestamp::now().as_nanosecond();
    let engine = Engine::default().with_providers(providers).at_time(i64::try_from(now)?);
    let mut held = Policies { engine, expander: Expander::default(), mutators: System::default() };
    let problems = held.fill(&policies);
    for problem in &problems {
        complain(problem.text());
    }
    // Objects cannot be judged by what cannot be used.
    if !problems.is_empty() {
        return Ok(UNREADABLE.into());
    }
    for object in &inventory {
        if let Err(why) = held.engine.add_data(&object.manifest.value) {
            complain(format_args!("{}: {why}", object.at("")));
            return Ok(UNREADABLE.into());
        }
    }
    let mut judged = Vec::new();
    for object in &objects {
        match held.judge(&object.manifest.value, &arguments.enforcement_point) {
            Ok(violations) => judged.push((object, violations)),
            Err(why) => {
                complain(format_args!("{}: {why}", object.at("")));
                return Ok(UNREADABLE.into());
            }
        }
    }
    match arguments.format {
        Format::Text => print(&text(&judged)),
        Format::Json => print(&serde_json::to_string_pretty(&as_json(&judged))?),
    }
    Ok(code(judged.iter().any(|(_, violations)| !violations.is_empty())))
}

impl Policies {
    /// Templates first: constraints need theirs.
    fn fill<'a>(&mut self, objects: &'a [Object]) -> Vec<Problem<'a>> {
        let mut problems = Vec::new();
        let is_template = |object: &&Object| object.manifest.value["kind"] == "ConstraintTemplate";
        let (templates, others): (Vec<_>, Vec<_>) = objects.iter().partition(is_template);
        for object in templates {
            if let Err(findings) = self.engine.add_template(&object.manifest.value) {
                problems.extend(findings.into_iter().map(|finding| Problem { object, finding }));
            }
        }
        // Constraints of a template that cannot be used would only repeat it.
        if !problems.is_empty() {
            return problems;
        }
        for object in others {
            let given = &object.manifest.value;
            let findings = if mutation::is_mutator(given) {
                self.mutators.add(given).err().into_iter().collect()
            } else if expansion::is_expansion_template(given) {
                self.expander.add(given).err().into_iter().collect()
            } else {
                self.engine.add_constraint(given).err().map(|invalid| invalid.findings().to_vec()).unwrap_or_default()
            };
            problems.extend(findings.into_iter().map(|finding| Problem { object, finding }));
        }
        problems
    }

    fn judge(&self, given: &Value, point: &str) -> Result<Vec<Violation>, String> {
        let review = Review::of_document(given).map_err(|error| error.to_string())?;
        let mut violations = self.engine.review(&review, point).map_err(|error| error.to_string())?;
        if !Review::is_admission_review(given) {
            violations.extend(suite::expanded(&self.engine, given, &self.expander, &self.mutators, point)?);
        }
        Ok(violations)
    }
}

type Judged<'a> = [(&'a Object, Vec<Violation>)];

fn text(judged: &Judged) -> String {
    let mut lines = Vec::new();
    for (object, violations) in judged {
        if violations.is_empty() {
            lines.push(format!("{}: no violations", object.label()));
        }
        for violation in violations {
            let Violation { kind, name, enforcement_action, scoped_actions, message, .. } = violation;
            let actions = if scoped_actions.is_empty() { enforcement_action.clone() } else { scoped_actions.join(", ") };
            lines.push(format!("{}: [{actions}] {kind} {name}: {message}", object.label()));
        }
    }
    lines.join("\n")
}

fn as_json(judged: &Judged) -> Value {
    let objects = judged.iter().map(|(object, violations)| {
        let violations = violations.iter().map(|violation| {
            json!({
                "constraint": {"kind": violation.kind, "name": violation.name},
                "enforcementAction": violation.enforcement_action,
                "scopedActions": violation.scoped_actions,
                "message": violation.message,
                "details": violation.details,
            })
        });
        let value = &object.manifest.value;
        json!({
            "file": object.file, "line": object.manifest.line(""), "kind": value["kind"],
            "namespace": value["metadata"]["namespace"], "name": value["metadata"]["name"],
            "violations": violations.collect::<Vec<_>>(),
        })
    });
    json!({"target": TARGET, "objects": objects.collect::<Vec<_>>()})
}
