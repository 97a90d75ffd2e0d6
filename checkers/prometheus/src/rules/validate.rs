//! What Prometheus refuses, in its words, and rules that are there twice.

use super::{Finding, Group, Rule, RuleFile, Severity};
use crate::{
    labels::{METRIC_NAME, is_label_name},
    number::quote,
    promql::{ParseOptions, parse},
    template,
};

pub fn validate(file: &RuleFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, group) in file.groups.iter().enumerate() {
        let path = format!("groups[{index}]");
        let mut found = |field: &str, message: String| {
            let message = format!("{}:{}: {message}", group.line, group.column);
            findings.push(Finding {
                severity: Severity::Error,
                line: group.line,
                column: group.column,
                field: format!("{path}.{field}"),
                message,
            });
        };
        if group.name.is_empty() {
            found("name", "Groupname must not be empty".to_owned());
        }
        if file.groups[..index].iter().any(|earlier| earlier.name == group.name) {
            found("name", format!("groupname: \"{}\" is repeated in the same file", group.name));
        }
        for (name, _) in &group.labels {
            if !is_label_name(name) || name == METRIC_NAME {
                let field = format!("{path}.labels[{name}]");
                let message = format!("invalid label name: {name}");
                findings.push(Finding { severity: Severity::Error, line: group.line, column: group.column, field, message });
            }
        }
        for (at, rule) in group.rules.iter().enumerate() {
            check_rule(group, at, rule, &format!("{path}.rules[{at}]"), &mut findings);
        }
    }
    if findings.is_empty() {
        findings = duplicates(file);
    }
    findings
}

fn check_rule(group: &Group, at: usize, rule: &Rule, path: &str, findings: &mut Vec<Finding>) {
    let places = rule.places;
    let named = format!("group {}, rule {}, {}", quote(&group.name), at + 1, quote(rule.name()));
    let mut found = |field: &str, shown: &[(u64, u64)], message: String| {
        let prefix: String = shown.iter().map(|(line, column)| format!("{line}:{column}: ")).collect();
        let (line, column) = shown.iter().copied().find(|place| place.0 > 0).unwrap_or(places.rule);
        let message = format!("{prefix}{named}: {message}");
        findings.push(Finding { severity: Severity::Error, line, column, field: format!("{path}.{field}"), message });
    };
    let both = [places.record, places.alert];
    match (rule.record.is_empty(), rule.alert.is_empty()) {
        (false, false) => found("record", &both, "only one of 'record' and 'alert' must be set".to_owned()),
        (true, true) => found("record", &both, "one of 'record' or 'alert' must be set".to_owned()),
        _ => {}
    }
    if rule.expr.is_empty() {
        found("expr", &[places.expr], "field 'expr' must be set in rule".to_owned());
    } else if let Err(error) = parse(&rule.expr, ParseOptions::default()) {
        found("expr", &[places.expr], format!("could not parse expression: {error}"));
    }
    if !rule.record.is_empty() {
        let misplaced =
            [("annotations", !rule.annotations.is_empty()), ("for", rule.hold != 0), ("keep_firing_for", rule.keep_firing_for != 0)];
        for (field, _) in misplaced.into_iter().filter(|(_, is_set)| *is_set) {
            found(field, &[places.record], format!("invalid field '{field}' in recording rule"));
        }
        if rule.record.contains(['{', '}']) {
            let message = format!("braces present in the recording rule name; should it be in expr?: {}", rule.record);
            found("record", &[places.record], message);
        }
    }
    for (name, _) in &rule.labels {
        if !is_label_name(name) || name == METRIC_NAME {
            found(&format!("labels[{name}]"), &[], format!("invalid label name: {name}"));
        }
    }
    for (name, _) in &rule.annotations {
        if !is_label_name(name) {
            found(&format!("annotations[{name}]"), &[], format!("invalid annotation name: {name}"));
        }
    }
    if rule.alert.is_empty() {
        return;
    }
    let template_name = format!("__alert_{}", rule.alert);
    for (kind, field, texts) in [("label", "labels", &rule.labels), ("annotation", "annotations", &rule.annotations)] {
        for (name, text) in texts {
            if let Err(error) = template::check(&template_name, text, &template::VARIABLES) {
                found(&format!("{field}[{name}]"), &[], format!("{kind} {}: {error}", quote(name)));
            }
        }
    }
}

/// Rules that give the same metric and labels.
fn duplicates(file: &RuleFile) -> Vec<Finding> {
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for (index, group) in file.groups.iter().enumerate() {
        for (at, rule) in group.rules.iter().enumerate() {
            let key = (rule.name(), rule.all_labels(group));
            if seen.contains(&key) {
                let labels: Vec<String> = key.1.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let message = format!("duplicate rule: metric {}, label(s) {}", rule.name(), labels.join(", "));
                let message = format!("{message}; might cause inconsistency while recording expressions");
                let (line, column) = rule.places.rule;
                findings.push(Finding {
                    severity: Severity::Warning,
                    line,
                    column,
                    field: format!("groups[{index}].rules[{at}]"),
                    message,
                });
            } else {
                seen.push(key);
            }
        }
    }
    findings
}
