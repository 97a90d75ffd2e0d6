//! Runs the tests.

use super::file::{AlertTest, ExprTest, TestFile, TestGroup};
use crate::{
    engine::{AppendError, EngineOptions, Storage, Value, instant},
    labels::Labels,
    load::{Load, LoadError},
    number::{format_duration, format_e, format_go_duration, quote},
    promql::{SequenceValue, parse_series},
    rules::{Environment, RuleFile, RunningGroup, as_vector},
};
use std::{collections::BTreeMap, fmt::Write};

/// How often the rules of one group of tests may be evaluated.
const MAX_EVALUATIONS: i64 = 200_000;

/// What became of one group of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub name: String,
    pub line: u64,
    /// In promtool's words; none where all tests hold.
    pub failures: Vec<String>,
}

/// Runs all groups over the rules of the given files.
pub fn run(file: &TestFile, rules: &[RuleFile]) -> Vec<Outcome> {
    // In a subquery without a step the evaluation interval counts.
    let options = EngineOptions { subquery_step: file.evaluation_interval, ..EngineOptions::default() };
    let groups: Result<Vec<RunningGroup>, _> =
        rules.iter().flat_map(|file| &file.groups).map(|group| RunningGroup::new(group, &options)).collect();
    let mut groups = match groups {
        Ok(groups) => groups,
        Err(error) => return vec![Outcome { name: String::new(), line: 0, failures: vec![error.to_string()] }],
    };
    let order = |name: &str| file.group_eval_order.iter().position(|known| known == name).unwrap_or(0);
    groups.sort_by_key(|running| order(&running.name));
    let name = |index: usize, group: &TestGroup| if group.name.is_empty() { format!("unnamed#{index}") } else { group.name.clone() };
    let outcome = |(index, group): (usize, &TestGroup)| Outcome {
        name: name(index, group),
        line: group.line,
        failures: run_group(file, group, groups.clone(), &options),
    };
    file.tests.iter().enumerate().map(outcome).collect()
}

/// Input series, of which only as much is stored as time has passed.
struct Input {
    series: Vec<(Labels, Vec<SequenceValue>, usize)>,
    start: i64,
    step: i64,
}

impl Input {
    fn advance(&mut self, storage: &mut Storage, until: i64) -> Result<(), AppendError> {
        for (labels, values, next) in &mut self.series {
            while let Some(value) = values.get(*next) {
                let t = self.start.saturating_add(self.step.saturating_mul(*next as i64));
                if t > until {
                    break;
                }
                if let Some(value) = value {
                    storage.append(labels, t, value.clone())?;
                }
                *next += 1;
            }
        }
        Ok(())
    }
}

fn run_group(file: &TestFile, group: &TestGroup, mut groups: Vec<RunningGroup>, options: &EngineOptions) -> Vec<String> {
    let mut input = match input(group) {
        Ok(input) => input,
        Err(error) => return vec![error],
    };
    if let Some(test) = group.alert_tests.iter().find(|test| test.alertname.is_empty()) {
        let within = if group.name.is_empty() { String::new() } else { format!(" (in TestGroup {})", group.name) };
        let at = format_duration(test.eval_time);
        return vec![format!("an item under alert_rule_test misses required attribute alertname at eval_time {at}{within}")];
    }

    let environment = Environment { external_labels: group.external_labels.clone(), external_url: group.external_url.clone() };
    let last = group.alert_tests.iter().map(|t| t.eval_time).chain(group.expr_tests.iter().map(|t| t.eval_time)).max().unwrap_or(0);
    if last / file.evaluation_interval > MAX_EVALUATIONS {
        return vec![format!("more than {MAX_EVALUATIONS} evaluations: choose a longer evaluation_interval or earlier times")];
    }
    let mut alert_tests: Vec<&AlertTest> = group.alert_tests.iter().collect();
    alert_tests.sort_by_key(|test| test.eval_time);
    let mut pending = alert_tests.into_iter().peekable();
    let mut storage = Storage::default();
    let mut failures = Vec::new();
    let mut offset = 0;
    while offset <= last {
        let now = group.start + offset;
        if let Err(error) = input.advance(&mut storage, now) {
            failures.push(error.to_string());
        } else {
            let mut failed = Vec::new();
            for running in &mut groups {
                failed.extend(running.evaluate(&mut storage, now, &environment, options));
            }
            if !failed.is_empty() {
                let time = format_go_duration(offset);
                failures.extend(failed.into_iter().map(|(rule, error)| format!("    rule: {rule}, time: {time}, err: {error}")));
                return failures;
            }
        }
        while let Some(test) = pending.next_if(|test| test.eval_time < offset + file.evaluation_interval) {
            failures.extend(check_alerts(group, test, &groups));
        }
        offset += file.evaluation_interval;
    }
    for test in &group.expr_tests {
        failures.extend(check_expr(file, group, test, &storage, options));
    }
    failures
}

fn input(group: &TestGroup) -> Result<Input, String> {
    let mut load = Load::default();
    for (index, (series, values)) in group.input_series.iter().enumerate() {
        let line = format!("{series} {values}");
        load.add(line.trim()).map_err(|error| match error {
            // promtool counts the line that says how far the values are apart as the first one.
            LoadError::Notation(error) => format!("{}:{}: parse error: {}", error.line + index + 1, error.column, error.message),
            other => other.to_string(),
        })?;
    }
    let series = load.series.into_iter().map(|(labels, values)| (labels, values, 0)).collect();
    Ok(Input { series, start: group.start, step: group.interval })
}

type Shown = (BTreeMap<String, String>, BTreeMap<String, String>);

fn check_alerts(group: &TestGroup, test: &AlertTest, groups: &[RunningGroup]) -> Option<String> {
    let owned = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let firing = groups.iter().flat_map(|running| running.firing(&test.alertname));
    let mut got: Vec<Shown> = firing.map(|alert| (owned(&alert.labels), alert.annotations.clone())).collect();
    let mut expected: Vec<Shown> = test
        .expected
        .iter()
        .map(|alert| {
            let mut labels: BTreeMap<String, String> = alert.labels.iter().cloned().collect();
            labels.insert("alertname".to_owned(), test.alertname.clone());
            (labels, alert.annotations.iter().cloned().collect())
        })
        .collect();
    got.sort();
    expected.sort();
    if got == expected {
        return None;
    }
    let name = if group.name.is_empty() { String::new() } else { format!("    name: {},\n", group.name) };
    let (alert, time) = (&test.alertname, format_duration(test.eval_time));
    Some(format!(
        "{name}    alertname: {alert}, time: {time}, \n        exp:{}, \n        got:{}",
        show_alerts(&expected),
        show_alerts(&got)
    ))
}

fn show_alerts(alerts: &[Shown]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let mut out = "[".to_owned();
    for (index, (labels, annotations)) in alerts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (labels, annotations) = (show_map(labels), show_map(annotations));
        let _ = write!(out, "{comma}\n            {index}:\n              Labels:{labels}\n              Annotations:{annotations}");
    }
    out + "\n            ]"
}

fn show_map(map: &BTreeMap<String, String>) -> String {
    format!("{{{}}}", map.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect::<Vec<_>>().join(", "))
}

/// Labels, value, and the histogram's notation where it is one.
type Comparable = (Labels, f64, String);

fn check_expr(file: &TestFile, group: &TestGroup, test: &ExprTest, storage: &Storage, options: &EngineOptions) -> Option<String> {
    let prefix = format!("    expr: {}, time: {},", quote(&test.expr), format_duration(test.eval_time));
    let at = group.start.saturating_add(test.eval_time);
    let answer = instant(storage, &test.expr, at, options).map_err(|error| error.to_string());
    let samples = match answer.and_then(|answer| as_vector(answer.value, at)) {
        Ok(samples) => samples,
        Err(error) => return Some(format!("{prefix} err: {error}")),
    };
    let mut got: Vec<Comparable> = samples
        .into_iter()
        .map(|sample| match sample.value {
            Value::Float(value) => (sample.metric, value, String::new()),
            Value::Histogram(histogram) => (sample.metric, 0.0, histogram.notation()),
        })
        .collect();
    let mut expected = Vec::with_capacity(test.expected.len());
    for sample in &test.expected {
        match expect(&sample.labels, &sample.histogram) {
            Ok((labels, histogram)) => expected.push((labels, sample.value, histogram)),
            Err(error) => return Some(format!("{prefix} err: labels {}: {error}", quote(&sample.labels))),
        }
    }
    got.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let near = |a: f64, b: f64| a == b || file.fuzzy_compare && (a.next_down() == b || a.next_up() == b);
    let same = got.len() == expected.len() && got.iter().zip(&expected).all(|(a, b)| a.0 == b.0 && near(a.1, b.1) && a.2 == b.2);
    if same { None } else { Some(format!("{prefix}\n        exp: {}\n        got: {}", show(&expected), show(&got))) }
}

fn expect(labels: &str, histogram: &str) -> Result<(Labels, String), String> {
    let (labels, values) = parse_series(labels.trim_end()).map_err(|error| error.to_string())?;
    if !values.is_empty() {
        return Err("1:1: parse error: unexpected values behind the labels".to_owned());
    }
    if histogram.is_empty() {
        return Ok((labels, String::new()));
    }
    let (_, values) = parse_series(&format!("{{}} {histogram}")).map_err(|error| error.to_string())?;
    match values.as_slice() {
        [Some(Value::Histogram(histogram))] => Ok((labels, histogram.notation())),
        [_] => Err("expected histogram".to_owned()),
        many => Err(format!("expected 1 value, got {}", many.len())),
    }
}

fn show(samples: &[Comparable]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let one = |sample: &Comparable| {
        let value = if sample.2.is_empty() { format_e(sample.1) } else { sample.2.clone() };
        format!("{} {value}", sample.0)
    };
    samples.iter().map(one).collect::<Vec<_>>().join(", ")
}
