//! One control, one file.

pub(crate) mod app_armor;
pub(crate) mod capabilities;
pub(crate) mod host_namespaces;
pub(crate) mod host_path_volumes;
pub(crate) mod host_ports;
pub(crate) mod host_probes;
pub(crate) mod privilege_escalation;
pub(crate) mod privileged;
pub(crate) mod proc_mount;
pub(crate) mod restricted_volumes;
pub(crate) mod run_as_non_root;
pub(crate) mod run_as_user;
pub(crate) mod se_linux;
pub(crate) mod seccomp;
pub(crate) mod sysctls;
pub(crate) mod windows_host_process;

use crate::{
    control::{Forbidden, Violation},
    pod::Container,
};

/// Puts together what a control found; nothing found is nothing forbidden.
fn forbid(control: &'static str, reason: &str, detail: impl FnOnce() -> String, violations: Vec<Violation>) -> Option<Forbidden> {
    if violations.is_empty() {
        return None;
    }
    Some(Forbidden { control, reason: reason.to_owned(), detail: detail(), violations })
}

fn in_pod(field: impl Into<String>, actual: impl Into<String>, expected: impl Into<String>) -> Violation {
    Violation { container: None, field: field.into(), actual: actual.into(), expected: expected.into() }
}

fn in_container(container: &Container<'_>, field: &str, actual: impl Into<String>, expected: impl Into<String>) -> Violation {
    Violation {
        container: Some(container.name.to_owned()),
        field: container.field(field),
        actual: actual.into(),
        expected: expected.into(),
    }
}

/// Names of the containers among the violations, each once, in the order of visiting.
fn names(violations: &[Violation]) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    let mut names = Vec::new();
    for violation in violations {
        let Some(name) = &violation.container else { continue };
        // Two containers may share a name in a pod that was never validated: tell them apart by their paths.
        let path = violation.field.split(']').next().unwrap_or_default();
        if !paths.contains(&path) {
            paths.push(path);
            names.push(name.as_str());
        }
    }
    names
}

/// Whether the pod's own settings are among the violations.
fn pod_itself(violations: &[Violation]) -> bool {
    violations.iter().any(|violation| violation.container.is_none())
}
