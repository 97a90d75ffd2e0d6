//! `cordon check …`: the checkers' engines on files, for authors and tests.
//!
//! Exit code 0: everything is allowed. 1: there are findings. 2: something could not be read, said with file and line.

use crate::cli::{self, complain};
use anyhow::Result;
use checkers::manifest::{self, Manifest};
use clap::{Subcommand, ValueEnum};
use std::{io::Read, path::PathBuf, process::ExitCode};

mod falco;
mod gatekeeper;
mod kyverno;
mod network_policy;
mod pod_security;
mod prometheus;
mod rbac;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge pods and the pods inside workloads by the Pod Security Standards.
    PodSecurity(pod_security::Arguments),
    /// Draw who can reach whom under the NetworkPolicies of a set of objects, or validate the policies.
    NetworkPolicy(network_policy::Arguments),
    /// Who may do what under the roles and bindings of a set of objects.
    Rbac(rbac::Arguments),
    /// Rule files, unit tests of rules and PromQL, as Prometheus and promtool judge them.
    #[command(subcommand)]
    Prometheus(prometheus::Command),
    /// Judge Falco's conditions, rules and alerts on recorded events.
    Falco(falco::Arguments),
    /// Judge by Gatekeeper's templates and constraints, run suites, mutate and expand, as gator does.
    Gatekeeper(gatekeeper::Arguments),
    /// Policies on objects and unit tests of policies, as Kyverno judges them.
    #[command(subcommand)]
    Kyverno(kyverno::Command),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::PodSecurity(arguments) => pod_security::run(&arguments),
        Command::NetworkPolicy(arguments) => network_policy::run(&arguments),
        Command::Rbac(arguments) => rbac::run(&arguments),
        Command::Prometheus(command) => prometheus::run(command),
        Command::Falco(arguments) => falco::run(&arguments),
        Command::Gatekeeper(arguments) => gatekeeper::run(&arguments),
        Command::Kyverno(command) => kyverno::run(command),
    }
}

const FINDINGS: u8 = 1;
const UNREADABLE: u8 = 2;

/// An object and the file that it came from.
#[derive(Debug)]
struct Object {
    file: String,
    /// No other file was read.
    only_file: bool,
    manifest: Manifest,
}

impl Object {
    /// As [`Self::at`], without the file's name where there is only one, as `grep` has it.
    fn label(&self) -> String {
        match self.manifest.line("") {
            line @ 1.. if self.only_file => format!("line {line}: {}", self.manifest.id()),
            _ if self.only_file => self.manifest.id(),
            _ => self.at(""),
        }
    }

    /// `pods.yaml:12: Pod ml/serving: spec.hostPID`.
    fn at(&self, field: &str) -> String {
        let line = self.manifest.line(field);
        let place = if line > 0 { format!("{}:{line}", self.file) } else { self.file.clone() };
        if field.is_empty() { format!("{place}: {}", self.manifest.id()) } else { format!("{place}: {}: {field}", self.manifest.id()) }
    }
}

/// Reads every file (`-` is the standard input). Complaints go to stderr; `None` where there were any.
fn read(files: &[PathBuf]) -> Option<Vec<Object>> {
    let mut objects = Vec::new();
    let mut whole = true;
    for path in files {
        let file = path.display().to_string();
        match read_bytes(path).map_err(|error| error.to_string()).and_then(|bytes| manifest::read(&bytes).map_err(|e| e.to_string())) {
            Ok(manifests) => {
                objects.extend(manifests.into_iter().map(|manifest| Object { file: file.clone(), only_file: files.len() == 1, manifest }))
            }
            Err(error) => {
                complain(format_args!("{file}: {error}"));
                whole = false;
            }
        }
    }
    whole.then_some(objects)
}

/// One byte more than is ever read, so that a file without end costs no more than that.
fn read_bytes(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    let limit = checkers::yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn print(text: &str) {
    cli::print(text.trim_end());
}
