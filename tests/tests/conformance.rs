//! Command-line tier: `cordon check` against cases that the real programs judged (`CORDON_CONFORMANCE`), each suite with its floor.
//! `make conformance` replays all of them and more; here only what takes seconds.

use std::{env, path::PathBuf, process::Command};
use tests::{not_run, sandbox::cordon};

/// Replays one suite and returns how many cases there are and how many are right.
fn replay(suite: &str, options: &[&str], template: &str) -> Option<(u64, u64)> {
    let Some(folder) = env::var_os("CORDON_CONFORMANCE").map(PathBuf::from) else {
        not_run(suite, "CORDON_CONFORMANCE does not name a folder of cases");
        return None;
    };
    let script = folder.join("run.py");
    if !script.is_file() || Command::new("python3").args(["-c", "import yaml"]).status().map_or(true, |status| !status.success()) {
        not_run(suite, "it needs the cases' run.py, and Python 3 with PyYAML");
        return None;
    }
    let command = format!("'{}' check {template}", cordon().display());
    let output = Command::new("python3").arg(script).arg(suite).args(options).args(["--cmd", &command]).output().expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().rev().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let figures = figures.unwrap_or_else(|| panic!("{suite} prints its figures: {text}{}", String::from_utf8_lossy(&output.stderr)));
    Some((figures["cases"].as_u64().unwrap_or(0), figures["right"].as_u64().unwrap_or(0)))
}

/// Every case is right, and there are not suspiciously few of them.
fn all_right(suite: &str, options: &[&str], template: &str, at_least: u64) {
    if let Some((cases, right)) = replay(suite, options, template) {
        assert!(cases >= at_least, "{suite}: only {cases} cases");
        assert_eq!(right, cases, "{suite} {options:?}");
    }
}

const POD_SECURITY: &str = "pod-security --level {level} --version {version} {file}";

#[test]
fn pod_security() {
    all_right("pod-security", &["--latest", "--checks"], POD_SECURITY, 50);
}

#[test]
fn pod_security_of_templates() {
    for kind in ["Deployment", "CronJob", "Job"] {
        all_right("pod-security", &["--latest", "--wrap", kind], POD_SECURITY, 50);
    }
}

#[test]
fn pod_security_details() {
    all_right("pod-unit", &[], POD_SECURITY, 40);
}

#[test]
fn network_policies() {
    all_right("netpol", &[], "network-policy --format json --protocol {protocol} --port {port} {cluster}", 50);
}

#[test]
fn network_policies_validated() {
    all_right("netpol-valid", &[], "network-policy --validate {file}", 10);
}

#[test]
fn promql() {
    all_right("promql", &[], "prometheus promql {file}", 250);
}

/// Cases of newer releases than 3.5 and of its experiments: most are right, the rest is listed in docs/conformance.md.
#[test]
fn promql_extended() {
    if let Some((cases, right)) = replay("promql", &["--tier", "extended"], "prometheus promql {file}") {
        assert!(cases >= 500 && right * 100 >= cases * 78, "promql extended: {right} of {cases}");
    }
}

#[test]
fn prometheus_rules() {
    all_right("prom-rules", &[], "prometheus test {tests}", 15);
}

#[test]
fn falco_conditions() {
    all_right("falco-parse", &[], "falco parse {file}", 200);
    all_right("falco-compile", &[], "falco compile {file}", 120);
}

#[test]
fn falco_conditions_on_events() {
    all_right("falco-eval", &[], "falco eval {filter} {event}", 300);
}

#[test]
fn falco_rules_files() {
    all_right("falco-load", &["--checks"], "falco validate {file}", 100);
}

#[test]
fn falco_rules_on_recorded_events() {
    all_right("falco-traces", &[], "falco matches {filters} {events}", 1_000);
    all_right("falco-attacks", &[], "falco matches {filters} {events}", 70);
}

#[test]
fn gatekeeper() {
    let template = "gatekeeper review -p {dir}/template.yaml -p {dir}/constraint.yaml -i {dir}/inventory.yaml {dir}/object.yaml";
    all_right("gatekeeper", &[], template, 150);
}

/// What is not right is listed in docs/conformance.md, each with its reason.
#[test]
fn kyverno_policies() {
    for (repository, at_least, floor) in [("policies-repo", 2_000, 95), ("kyverno-cli-tests", 200, 82)] {
        if let Some((cases, right)) = replay("kyverno", &["--repo", repository], "kyverno apply --format json {dir}") {
            assert!(cases >= at_least && right * 100 >= cases * floor, "kyverno {repository}: {right} of {cases}");
        }
    }
}
