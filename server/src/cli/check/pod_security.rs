//! `cordon check pod-security`.

use super::{FINDINGS, Format, Object, UNREADABLE, complain, print, read};
use anyhow::Result;
use pod_security::{Evaluation, Level, PodTemplate, Version, evaluate, holds_pod, malformed, pod_template};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The standard: privileged, baseline or restricted.
    #[arg(long, default_value = "restricted")]
    level: Level,
    /// The policy version: v1.0 to the newest, or latest.
    #[arg(long, default_value = "latest")]
    version: Version,
    /// Lines for people, or JSON with every finding.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// YAML or JSON files with pods, workloads or lists of them; `-` reads the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(objects) = read(&arguments.files) else { return Ok(UNREADABLE.into()) };
    let mut judged = Vec::new();
    let mut whole = true;
    for object in objects.iter().filter(|object| holds_pod(&object.manifest.value)) {
        match judge(arguments, object) {
            Ok(evaluation) => judged.push((object, evaluation)),
            Err(complaints) => {
                complaints.iter().for_each(complain);
                whole = false;
            }
        }
    }
    if !whole {
        return Ok(UNREADABLE.into());
    }
    match arguments.format {
        Format::Text => print(&text(arguments, &judged)),
        Format::Json => print(&serde_json::to_string_pretty(&json(arguments, &judged))?),
    }
    let allowed = judged.iter().all(|(_, (_, evaluation))| evaluation.allowed());
    Ok(if allowed { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn judge<'a>(arguments: &Arguments, object: &'a Object) -> Result<(PodTemplate<'a>, Evaluation), Vec<String>> {
    let template = pod_template(&object.manifest.value).ok_or_else(|| vec![format!("{} has no pod template", object.at(""))])?;
    let complaints = malformed(template.metadata, template.spec);
    if !complaints.is_empty() {
        return Err(complaints.iter().map(|c| format!("{} {}", object.at(&template.field(&c.field)), c.message)).collect());
    }
    Ok((template, evaluate(arguments.level, arguments.version, template.metadata, template.spec)))
}

type Judged<'a> = [(&'a Object, (PodTemplate<'a>, Evaluation))];

fn text(arguments: &Arguments, judged: &Judged<'_>) -> String {
    if judged.is_empty() {
        return "no pods and no workloads in these files".to_owned();
    }
    let mut out = String::new();
    for (object, (template, evaluation)) in judged {
        if evaluation.allowed() {
            out += &format!("{}: allowed by {}:{}\n", object.label(), arguments.level, arguments.version);
            continue;
        }
        out += &format!("{}: {}\n", object.label(), evaluation.message());
        for forbidden in &evaluation.forbidden {
            for violation in &forbidden.violations {
                let field = template.field(&violation.field);
                let line = object.manifest.line(&field);
                out +=
                    &format!("  line {line}: {field} is {}; expected {} [{}]\n", violation.actual, violation.expected, forbidden.control);
            }
        }
    }
    out
}

fn json(arguments: &Arguments, judged: &Judged<'_>) -> Value {
    let objects: Vec<Value> = judged
        .iter()
        .map(|(object, (template, evaluation))| {
            let value = &object.manifest.value;
            let findings: Vec<Value> = evaluation
                .forbidden
                .iter()
                .map(|forbidden| {
                    let fields: Vec<Value> = forbidden
                        .violations
                        .iter()
                        .map(|violation| {
                            let field = template.field(&violation.field);
                            let line = object.manifest.line(&field);
                            json!({"container": violation.container, "field": field, "line": line, "actual": violation.actual, "expected": violation.expected})
                        })
                        .collect();
                    json!({"control": forbidden.control, "reason": forbidden.reason, "detail": forbidden.detail, "fields": fields})
                })
                .collect();
            json!({
                "file": object.file,
                "line": object.manifest.line(""),
                "kind": value["kind"],
                "namespace": value["metadata"]["namespace"],
                "name": value["metadata"]["name"],
                "allowed": evaluation.allowed(),
                "message": evaluation.message(),
                "findings": findings,
            })
        })
        .collect();
    json!({"level": arguments.level.as_str(), "version": arguments.version.to_string(), "objects": objects})
}
