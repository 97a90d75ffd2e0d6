//! `cordon check gatekeeper lint`.

use super::{Problem, code, read};
use crate::cli::check::{Format, UNREADABLE, print};
use anyhow::Result;
use gatekeeper::{
    Engine,
    expansion::{self, Expander},
    mutation::{self, System},
};
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// YAML or JSON files with ConstraintTemplates, Constraints of theirs, mutators and ExpansionTemplates; `-` reads the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(objects) = read(&arguments.files) else { return Ok(UNREADABLE.into()) };
    let (mut engine, mut mutators, mut expander) = (Engine::default(), System::default(), Expander::default());
    let mut problems = Vec::new();
    let is_template = |object: &&_| object_kind(object) == "ConstraintTemplate";
    let (templates, others): (Vec<_>, Vec<_>) = objects.iter().partition(is_template);
    for object in templates {
        let findings = match engine.add_template(&object.manifest.value) {
            Ok(advice) => advice.to_vec(),
            Err(findings) => findings,
        };
        problems.extend(findings.into_iter().map(|finding| Problem { object, finding }));
    }
    for object in others {
        let given = &object.manifest.value;
        let findings = if mutation::is_mutator(given) {
            mutators.add(given).err().into_iter().collect()
        } else if expansion::is_expansion_template(given) {
            expander.add(given).err().into_iter().collect()
        } else {
            engine.add_constraint(given).err().map(|invalid| invalid.findings().to_vec()).unwrap_or_default()
        };
        problems.extend(findings.into_iter().map(|finding| Problem { object, finding }));
    }
    let conflicts: Vec<_> = mutators.conflicts().map(|mutator| format!("{} {}", mutator.kind, mutator.name)).collect();
    match arguments.format {
        Format::Text => {
            let mut lines: Vec<_> = problems.iter().map(Problem::text).collect();
            if !conflicts.is_empty() {
                lines.push(format!("these mutators contradict each other and are not applied: {}", conflicts.join(", ")));
            }
            if lines.is_empty() {
                lines.push("nothing found".to_owned());
            }
            print(&lines.join("\n"));
        }
        Format::Json => {
            let findings: Vec<_> = problems.iter().map(Problem::json).collect();
            print(&serde_json::to_string_pretty(&json!({"findings": findings, "conflictingMutators": conflicts}))?);
        }
    }
    Ok(code(!problems.is_empty() || !conflicts.is_empty()))
}

fn object_kind(object: &crate::cli::check::Object) -> &str {
    object.manifest.value["kind"].as_str().unwrap_or_default()
}
