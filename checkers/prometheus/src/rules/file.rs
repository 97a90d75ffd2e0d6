//! The format.

use super::validate;
use crate::{
    labels::Labels,
    number::quote,
    yaml::{Entry, Kind, Node, Problem, Reader, YamlError, documents, find, join},
};

#[derive(Debug, Clone, Default)]
pub struct RuleFile {
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, Default)]
pub struct Group {
    pub name: String,
    /// Milliseconds.
    pub interval: Option<i64>,
    pub query_offset: i64,
    /// Zero is no limit.
    pub limit: usize,
    pub labels: Vec<(String, String)>,
    pub rules: Vec<Rule>,
    pub line: u64,
    pub column: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Rule {
    pub record: String,
    pub alert: String,
    pub expr: String,
    pub hold: i64,
    pub keep_firing_for: i64,
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
    /// Where the fields are; zero where they are not.
    pub places: Places,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Places {
    pub rule: (u64, u64),
    pub record: (u64, u64),
    pub alert: (u64, u64),
    pub expr: (u64, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Prometheus does not load the file.
    Error,
    /// It does, but it is hardly meant so.
    Warning,
}

/// What is wrong with a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub line: u64,
    pub column: u64,
    /// `groups[0].rules[1].expr`.
    pub field: String,
    /// As promtool says it, without the file's name.
    pub message: String,
}

impl Rule {
    pub fn name(&self) -> &str {
        if self.alert.is_empty() { &self.record } else { &self.alert }
    }

    /// Its own and its group's.
    pub fn all_labels(&self, group: &Group) -> Labels {
        Labels::new(group.labels.iter().chain(&self.labels).map(|(name, value)| (name, value)))
    }
}

/// Reads a rule file, or the groups of PrometheusRule objects. What is wrong with rules is a finding, not an error.
pub fn read(text: &str, ignore_unknown: bool) -> Result<(RuleFile, Vec<Finding>), YamlError> {
    let mut file = RuleFile::default();
    let mut reader = Reader { problems: vec![], ignore_unknown };
    for (index, document) in documents(text)?.iter().enumerate() {
        let is_object = document.get("kind").and_then(Node::text).is_some();
        match document.get("spec") {
            Some(spec) if is_object => {
                let entries = reader.map(spec, "spec", "PrometheusRuleSpec", &["groups"]);
                groups(&mut reader, entries, "spec", true, &mut file);
            }
            // Prometheus reads the first document only.
            _ if index == 0 => {
                let entries = reader.map(document, "", "rulefmt.RuleGroups", &["groups"]);
                groups(&mut reader, entries, "", false, &mut file);
            }
            _ => {}
        }
    }
    let mut findings: Vec<Finding> = reader.problems.into_iter().map(from_problem).collect();
    if findings.is_empty() {
        findings = validate::validate(&file);
    }
    Ok((file, findings))
}

fn from_problem(problem: Problem) -> Finding {
    let message = format!("yaml: unmarshal errors: {}", problem.message);
    Finding { severity: Severity::Error, line: problem.line, column: problem.column, field: problem.field, message }
}

fn groups(reader: &mut Reader, entries: &[Entry], path: &str, in_object: bool, file: &mut RuleFile) {
    let mut known = vec!["name", "interval", "query_offset", "limit", "rules", "labels"];
    if in_object {
        known.push("partial_response_strategy");
    }
    let path = join(path, "groups");
    for (index, node) in reader.list(entries, "", "groups", "[]rulefmt.RuleGroup").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let entries = reader.map(node, &path, "rulefmt.RuleGroup", &known);
        let limit = reader.text(entries, &path, "limit");
        if !limit.is_empty() && limit.parse::<i64>().is_err() {
            let at = find(entries, "limit").unwrap_or(node);
            reader.mismatch(at, &join(&path, "limit"), "int");
        }
        let mut group = Group {
            name: reader.text(entries, &path, "name"),
            interval: reader.duration(entries, &path, "interval"),
            query_offset: reader.duration(entries, &path, "query_offset").unwrap_or(0),
            limit: limit.parse::<i64>().ok().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0),
            labels: reader.strings(entries, &path, "labels"),
            rules: vec![],
            line: node.line,
            column: node.column,
        };
        for (at, rule) in reader.list(entries, &path, "rules", "[]rulefmt.Rule").iter().enumerate() {
            group.rules.push(self::rule(reader, rule, &format!("{path}.rules[{at}]")));
        }
        file.groups.push(group);
    }
}

fn rule(reader: &mut Reader, node: &Node, path: &str) -> Rule {
    let known = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];
    let entries = reader.map(node, path, "rulefmt.Rule", &known);
    let place = |name: &str| find(entries, name).map_or((0, 0), |node| (node.line, node.column));
    let places = Places { rule: (node.line, node.column), record: place("record"), alert: place("alert"), expr: place("expr") };
    if matches!(node.kind, Kind::Scalar(..)) {
        reader.mismatch(node, path, &format!("rulefmt.Rule {}", quote(node.text().unwrap_or_default())));
    }
    Rule {
        record: reader.text(entries, path, "record"),
        alert: reader.text(entries, path, "alert"),
        expr: reader.text(entries, path, "expr"),
        hold: reader.duration(entries, path, "for").unwrap_or(0),
        keep_firing_for: reader.duration(entries, path, "keep_firing_for").unwrap_or(0),
        labels: reader.strings(entries, path, "labels"),
        annotations: reader.strings(entries, path, "annotations"),
        places,
    }
}
