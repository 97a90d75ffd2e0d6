//! The hidden subcommands that a jail is made of: `jail-launch`, `jail-init`, `jail-shell`. People never call them.

use crate::{init, launch, limits::Limits};
use serde::{Deserialize, Serialize};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// Everything that the launcher has to know, as JSON in its one argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LaunchPlan {
    pub bwrap: PathBuf,
    /// The program that offers these subcommands; bound into the jail read-only.
    pub tool: PathBuf,
    pub kubectl: Option<PathBuf>,
    pub workspace: PathBuf,
    /// Mounted in the place of `workspace`; only where the launcher starts as root.
    pub device: Option<PathBuf>,
    pub etc: PathBuf,
    pub socket: PathBuf,
    pub relay_port: u16,
    /// The uid to become; only where the launcher starts as root.
    pub uid: Option<u32>,
    /// Files to write the launcher's pid into.
    pub cgroup_procs: Vec<PathBuf>,
    pub limits: Limits,
    /// The program inside, with its arguments.
    pub argv: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// What pid 1 of the jail has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InitPlan {
    pub relay_port: u16,
    pub limits: Limits,
    pub argv: Vec<String>,
}

/// True for an argument list that belongs to this module.
pub fn is_jail_command(arguments: &[OsString]) -> bool {
    arguments.first().and_then(|word| word.to_str()).is_some_and(|word| matches!(word, "jail-launch" | "jail-init" | "jail-shell"))
}

/// Runs a hidden subcommand; `arguments` without the program's own name. 126 means that the jail could not be set up; its reason
/// stands on the terminal.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let result = match words.as_slice() {
        ["jail-launch", plan] => parse(plan).and_then(|plan| launch::launch(&plan)),
        ["jail-init", plan] => parse(plan).and_then(|plan| init::init(&plan)),
        ["jail-shell", plan] => parse(plan).and_then(|plan| init::shell(&plan)),
        _ => Err("this is a part of the jail, not a command for people".to_owned()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            eprintln!("jail: {reason}");
            ExitCode::from(126)
        }
    }
}

fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("cannot read the plan: {error}"))
}
