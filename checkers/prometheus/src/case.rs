//! A query with the result that is expected of it: loads, expression, and lines in the notation of Prometheus' own tests.

use crate::{
    engine::{Answer, EngineOptions, Level, QueryError, QueryValue, Series, Storage, Value, instant, range},
    histogram::{Histogram, almost_equal},
    labels::Labels,
    load::Load,
    number::{format_g, parse_duration, parse_number},
    promql::{ParseOptions, SequenceValue, parse_series},
    regexp::Regexp,
};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// How far a result may be from what is expected, relatively.
const EPSILON: f64 = 1e-6;

/// A case, as it is read from JSON.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    #[serde(default)]
    pub loads: Vec<CaseLoad>,
    pub expr: String,
    pub mode: Mode,
    #[serde(default)]
    pub at: Option<String>,
    #[serde(default)]
    pub start: Option<String>,
    #[serde(default)]
    pub end: Option<String>,
    #[serde(default)]
    pub step: Option<String>,
    pub expect: Expect,
    /// `expect warn`, `expect ordered`, `expect fail msg: …`.
    #[serde(default)]
    pub directives: Vec<String>,
    #[serde(default)]
    pub result: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct CaseLoad {
    /// `load`, or `load_with_nhcb` for native histograms with custom buckets beside classic ones.
    pub cmd: String,
    pub step: String,
    pub series: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Instant,
    Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    Ok,
    Fail,
}

/// A case that cannot be run; it says which part of it is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct CaseError {
    pub field: String,
    pub message: String,
}

impl CaseError {
    fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

/// Reads a case from JSON.
pub fn read(json: &str) -> Result<Case, CaseError> {
    serde_json::from_str(json).map_err(|error| CaseError::new("case", error))
}

/// Runs a case; `Err` inside says how the result differs.
pub fn run(case: &Case) -> Result<Result<(), String>, CaseError> {
    let mut storage = Storage::default();
    for (index, load) in case.loads.iter().enumerate() {
        let step = time(&load.step).map_err(|error| CaseError::new(format!("loads[{index}].step"), error))?;
        let mut lines = Load::default();
        for (at, line) in load.series.iter().enumerate() {
            lines.add(line).map_err(|error| CaseError::new(format!("loads[{index}].series[{at}]"), error))?;
        }
        let problem = |error: crate::load::LoadError| CaseError::new(format!("loads[{index}]"), error);
        lines.store(&mut storage, 0, step).map_err(problem)?;
        if load.cmd == "load_with_nhcb" {
            lines.store_custom_buckets(&mut storage, 0, step).map_err(problem)?;
        }
    }
    let parse = ParseOptions { experimental_functions: true, newer: true };
    let options = EngineOptions { delayed_name_removal: true, parse, ..EngineOptions::default() };
    let field = |name: &str, value: &Option<String>| time(value.as_deref().unwrap_or("0")).map_err(|error| CaseError::new(name, error));
    let (start, step, answer) = match case.mode {
        Mode::Instant => {
            let at = field("at", &case.at)?;
            (at, 0, instant(&storage, &case.expr, at, &options))
        }
        Mode::Range => {
            let (start, end, step) = (field("start", &case.start)?, field("end", &case.end)?, field("step", &case.step)?);
            (start, step, range(&storage, &case.expr, start, end, step, &options))
        }
    };
    let mut rules = Vec::new();
    for (index, directive) in case.directives.iter().enumerate() {
        rules.push(Rule::read(directive).map_err(|error| CaseError::new(format!("directives[{index}]"), error))?);
    }
    judge(case, &rules, start, step, answer)
}

/// One directive.
#[derive(Debug)]
struct Rule {
    kind: String,
    text: Option<Text>,
}

#[derive(Debug)]
enum Text {
    Exact(String),
    Pattern(Regexp),
}

impl Rule {
    fn read(directive: &str) -> Result<Self, String> {
        let rest = directive.trim().strip_prefix("expect ").ok_or("must begin with `expect`")?.trim();
        let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rest = rest.trim();
        let text = if let Some(message) = rest.strip_prefix("msg:") {
            Some(Text::Exact(message.trim().to_owned()))
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            Some(Text::Pattern(Regexp::unanchored(pattern.trim())?))
        } else if kind == "string" || kind == "range" {
            Some(Text::Exact(rest.to_owned()))
        } else {
            None
        };
        Ok(Self { kind: kind.to_owned(), text })
    }

    fn matches(&self, message: &str) -> bool {
        match &self.text {
            None => true,
            Some(Text::Exact(text)) => text == message,
            Some(Text::Pattern(pattern)) => pattern.is_match(message),
        }
    }
}

fn judge(case: &Case, rules: &[Rule], start: i64, step: i64, answer: Result<Answer, QueryError>) -> Result<Result<(), String>, CaseError> {
    let fails = case.expect == Expect::Fail;
    let answer = match answer {
        Err(error) => {
            let message = error.to_string();
            let known = rules.iter().filter(|rule| rule.kind == "fail").all(|rule| rule.matches(&message));
            return Ok(match (fails, known) {
                (true, true) => Ok(()),
                (true, false) => Err(format!("it fails in other words than expected: {message}")),
                (false, _) => Err(format!("it fails: {message}")),
            });
        }
        Ok(_) if fails => return Ok(Err("it was expected to fail".to_owned())),
        Ok(answer) => answer,
    };
    if let Err(difference) = judge_annotations(rules, &answer) {
        return Ok(Err(difference));
    }
    let ordered = rules.iter().any(|rule| rule.kind == "ordered");
    compare(case, rules, start, step, ordered, &answer.value)
}

fn judge_annotations(rules: &[Rule], answer: &Answer) -> Result<(), String> {
    for (level, name) in [(Level::Warning, "warn"), (Level::Info, "info")] {
        let messages: Vec<&str> = answer.annotations.of(level).collect();
        let expected: Vec<&Rule> = rules.iter().filter(|rule| rule.kind == name).collect();
        if rules.iter().any(|rule| rule.kind == format!("no_{name}")) && !messages.is_empty() {
            return Err(format!("annotations where none are expected: {messages:?}"));
        }
        if expected.is_empty() {
            continue;
        }
        let all_found = expected.iter().all(|rule| messages.iter().any(|message| rule.matches(message)));
        let all_known = messages.iter().all(|message| expected.iter().any(|rule| rule.matches(message)));
        if !all_found || !all_known {
            return Err(format!("{name} annotations differ: {messages:?}"));
        }
    }
    Ok(())
}

fn compare(case: &Case, rules: &[Rule], start: i64, step: i64, ordered: bool, value: &QueryValue) -> Result<Result<(), String>, CaseError> {
    if let Some(rule) = rules.iter().find(|rule| rule.kind == "string") {
        let wanted = match &rule.text {
            Some(Text::Exact(text)) => text.as_str(),
            _ => "",
        };
        let QueryValue::String(got) = value else { return Ok(Err("a string was expected".to_owned())) };
        let quotes = ['"', '\'', '`'];
        let inner = wanted.strip_prefix(quotes).and_then(|rest| rest.strip_suffix(quotes)).unwrap_or(wanted);
        return Ok(if inner == got { Ok(()) } else { Err(format!("string {got:?} instead of {wanted}")) });
    }
    let (mut from, mut every) = (start, step);
    let described = rules.iter().find(|rule| rule.kind == "range");
    if let Some(Rule { text: Some(Text::Exact(text)), .. }) = described {
        // `vector from 9m10s to 10m step 1m`
        let words: Vec<&str> = text.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1)).copied().unwrap_or_default();
        from = time(after("from")).map_err(|error| CaseError::new("directives", error))?;
        every = time(after("step")).map_err(|error| CaseError::new("directives", error))?;
    }
    if let [line] = case.result.as_slice()
        && let Ok(number) = parse_number(line.trim())
    {
        return Ok(match value {
            QueryValue::Scalar(got) if almost_equal(number, *got, EPSILON) => Ok(()),
            other => Err(format!("{} instead of scalar {}", show(other), format_g(number))),
        });
    }
    let mut expected: HashMap<Labels, (usize, Vec<SequenceValue>)> = HashMap::new();
    for (index, line) in case.result.iter().enumerate() {
        let (labels, values) = parse_series(line.trim()).map_err(|error| CaseError::new(format!("result[{index}]"), error))?;
        expected.insert(labels, (index, values));
    }
    Ok(match value {
        QueryValue::Vector(samples) => {
            let series = samples.iter().map(|sample| Series {
                metric: sample.metric.clone(),
                points: vec![crate::engine::Point { t: start, value: sample.value.clone() }],
                drop_name: false,
            });
            let series: Vec<Series> = series.collect();
            let places = |labels: &Labels| expected.get(labels).map(|entry| entry.0);
            if ordered && series.iter().enumerate().any(|(index, series)| places(&series.metric) != Some(index)) {
                return Ok(Err(format!("another order: {}", show(value))));
            }
            compare_series(&expected, &series, start, every)
        }
        QueryValue::Matrix(_) if ordered => Err("an ordered result was expected".to_owned()),
        QueryValue::Matrix(series) => compare_series(&expected, series, from, every),
        other => Err(format!("{} instead of a vector", show(other))),
    })
}

fn compare_series(expected: &HashMap<Labels, (usize, Vec<SequenceValue>)>, got: &[Series], start: i64, step: i64) -> Result<(), String> {
    let mut seen = HashSet::new();
    for series in got {
        let metric = &series.metric;
        let Some((_, values)) = expected.get(metric) else { return Err(format!("unexpected {}", show_series(series))) };
        if !seen.insert(metric) {
            return Err(format!("{metric} comes twice"));
        }
        let wanted: Vec<(i64, &Value)> =
            values.iter().enumerate().filter_map(|(index, value)| Some((start + step * index as i64, value.as_ref()?))).collect();
        let same = wanted.len() == series.points.len()
            && wanted.iter().zip(&series.points).all(|((t, value), point)| *t == point.t && same_value(value, &point.value));
        if !same {
            let wanted: Vec<String> = wanted.iter().map(|(t, value)| format!("{}@{t}", show_value(value))).collect();
            return Err(format!("{} instead of {}", show_series(series), wanted.join(" ")));
        }
    }
    match expected.keys().find(|metric| !seen.contains(metric)) {
        Some(missing) => Err(format!("{missing} is missing")),
        None => Ok(()),
    }
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => almost_equal(*a, *b, EPSILON),
        (Value::Histogram(a), Value::Histogram(b)) => same_histogram(&(**a).clone().compact(), &(**b).clone().compact()),
        _ => false,
    }
}

fn same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let near = |a: f64, b: f64| almost_equal(a, b, EPSILON);
    let buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && near(a.1, b.1));
    a.schema == b.schema
        && near(a.count, b.count)
        && near(a.sum, b.sum)
        && a.zero_threshold == b.zero_threshold
        && near(a.zero_count, b.zero_count)
        && (!a.is_custom() || a.custom == b.custom)
        && buckets(&a.positive, &b.positive)
        && buckets(&a.negative, &b.negative)
}

fn time(text: &str) -> Result<i64, String> {
    match text.strip_prefix('-') {
        Some(rest) => parse_duration(rest).map(|value| -value),
        None => parse_duration(text),
    }
}

fn show(value: &QueryValue) -> String {
    match value {
        QueryValue::Scalar(value) => format!("scalar {}", format_g(*value)),
        QueryValue::String(text) => format!("string {text:?}"),
        QueryValue::Vector(samples) => {
            samples.iter().map(|sample| format!("{} {}", sample.metric, show_value(&sample.value))).collect::<Vec<_>>().join("; ")
        }
        QueryValue::Matrix(matrix) => matrix.iter().map(show_series).collect::<Vec<_>>().join("; "),
    }
}

fn show_series(series: &Series) -> String {
    let points: Vec<String> = series.points.iter().map(|point| format!("{}@{}", show_value(&point.value), point.t)).collect();
    format!("{} {}", series.metric, points.join(" "))
}

fn show_value(value: &Value) -> String {
    match value {
        Value::Float(value) => format_g(*value),
        Value::Histogram(histogram) => histogram.notation(),
    }
}
