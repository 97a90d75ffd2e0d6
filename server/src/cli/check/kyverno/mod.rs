//! `cordon check kyverno …`: policies on objects, and unit tests of policies, judged as Kyverno judges them.

use super::{FINDINGS, Format, UNREADABLE, print, read_bytes};
use crate::cli::complain;
use anyhow::Result;
use checkers::{manifest::Manifest, yaml};
use clap::Subcommand;
use jiff::Timestamp;
use kyverno::{Evidence, Finding, Policies};
use serde_json::Value;
use std::{path::Path, process::ExitCode};

mod apply;
mod test;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply policies to objects: exit 0 nothing fails, 1 something fails or a policy is wrong, 2 something cannot be read.
    Apply(apply::Arguments),
    /// Run Kyverno's unit tests of policies: exit 0 all is as expected, 1 something is not.
    Test(test::Arguments),
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
    }
}

/// The objects of a file. Documents that are no Kubernetes objects count too: policies in CEL judge any JSON.
fn objects(path: &Path) -> Option<Vec<(Value, Option<Manifest>)>> {
    let bytes = match read_bytes(&path.to_path_buf()) {
        Ok(bytes) => bytes,
        Err(error) => {
            complain(format_args!("{}: {error}", path.display()));
            return None;
        }
    };
    if let Ok(manifests) = checkers::manifest::read(&bytes) {
        return Some(manifests.into_iter().map(|manifest| (manifest.value.clone(), Some(manifest))).collect());
    }
    match yaml::documents_from_bytes(&bytes) {
        Ok(documents) => Some(documents.into_iter().map(|document| (document.value, None)).filter(|(value, _)| !value.is_null()).collect()),
        Err(error) => {
            complain(format_args!("{}: {error}", path.display()));
            None
        }
    }
}

fn values(path: &Path) -> Option<Vec<Value>> {
    Some(objects(path)?.into_iter().map(|(value, _)| value).collect())
}

/// Policies with the place of each, for findings.
#[derive(Default)]
struct Sources {
    values: Vec<Value>,
    places: Vec<(String, Option<Manifest>)>,
}

impl Sources {
    fn add(&mut self, path: &Path) -> bool {
        let Some(objects) = objects(path) else { return false };
        for (value, manifest) in objects {
            self.values.push(value);
            self.places.push((path.display().to_string(), manifest));
        }
        true
    }

    /// `policies.yaml:12: spec.rules[0].match: …`.
    fn describe(&self, finding: &Finding) -> String {
        let (file, manifest) = &self.places[finding.document];
        let line = manifest.as_ref().map_or(0, |manifest| manifest.line(&finding.field));
        let place = if line > 0 { format!("{file}:{line}") } else { file.clone() };
        let warning = if finding.warning { "warning: " } else { "" };
        format!("{place}: {warning}{}: {}", finding.field, finding.message)
    }

    fn read(&self) -> Policies {
        Policies::read(&self.values)
    }
}

fn evidence() -> Evidence {
    #[expect(clippy::disallowed_methods, reason = "the command line is an edge: functions such as time_now() need the time")]
    let now = Timestamp::now();
    Evidence { now, seed: now.as_nanosecond().unsigned_abs() as u64, ..Evidence::default() }
}
