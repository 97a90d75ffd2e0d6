//! Rules at work: recorded series, and alerts with their states.

use super::{Group, Rule};
use crate::{
    engine::{AppendError, EngineOptions, QueryValue, Sample, Storage, Value, instant, instant_expr},
    labels::{Labels, METRIC_NAME},
    number::stale,
    promql::{Expr, ParseError, parse},
    template,
};
use indexmap::IndexMap;
use std::collections::{BTreeMap, HashSet};

/// How long an alert that no longer fires is remembered, in milliseconds.
const RESOLVED_RETENTION: i64 = 15 * 60_000;

/// What templates see besides the series.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub external_labels: Labels,
    pub external_url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    Inactive,
    Pending,
    Firing,
}

#[derive(Debug, Clone)]
pub struct ActiveAlert {
    pub labels: Labels,
    /// Empty ones too.
    pub annotations: Annotations,
    pub state: AlertState,
    active_at: i64,
    resolved_at: Option<i64>,
    keep_firing_since: Option<i64>,
}

/// Texts by name.
pub type Annotations = BTreeMap<String, String>;

/// A group between evaluations.
#[derive(Debug, Clone)]
pub struct RunningGroup {
    pub name: String,
    query_offset: i64,
    limit: usize,
    rules: Vec<RunningRule>,
}

#[derive(Debug, Clone)]
struct RunningRule {
    rule: Rule,
    labels: Labels,
    expr: Expr,
    active: IndexMap<Labels, ActiveAlert>,
    /// Series that the last evaluation gave.
    returned: Vec<Labels>,
}

impl RunningGroup {
    pub fn new(group: &Group, options: &EngineOptions) -> Result<Self, ParseError> {
        let mut rules = Vec::with_capacity(group.rules.len());
        for rule in &group.rules {
            let expr = parse(&rule.expr, options.parse)?;
            let labels = rule.all_labels(group);
            rules.push(RunningRule { rule: rule.clone(), labels, expr, active: IndexMap::new(), returned: vec![] });
        }
        Ok(Self { name: group.name.clone(), query_offset: group.query_offset, limit: group.limit, rules })
    }

    /// Evaluates all rules in order at one time. Answers with the rules that failed and why.
    pub fn evaluate(
        &mut self,
        storage: &mut Storage,
        at: i64,
        environment: &Environment,
        options: &EngineOptions,
    ) -> Vec<(String, String)> {
        let query_at = at.saturating_sub(self.query_offset);
        let mut failures = Vec::new();
        for running in &mut self.rules {
            let name = running.rule.name().to_owned();
            let result = if running.rule.alert.is_empty() {
                running.record(storage, query_at, self.limit, options)
            } else {
                running.alert(storage, at, query_at, self.limit, environment, options)
            };
            match result {
                Err(error) => failures.push((name, error)),
                Ok(samples) => failures.extend(running.store(storage, query_at, samples).map(|error| (name, error.to_string()))),
            }
        }
        failures
    }

    /// Firing alerts of the rules of this name.
    pub fn firing<'g>(&'g self, alert: &'g str) -> impl Iterator<Item = &'g ActiveAlert> {
        let rules = self.rules.iter().filter(move |running| running.rule.alert == alert && !alert.is_empty());
        rules
            .flat_map(|running| running.active.values())
            .filter(|active| active.state == AlertState::Firing && active.resolved_at.is_none())
    }
}

impl RunningRule {
    fn vector(&self, storage: &Storage, at: i64, options: &EngineOptions) -> Result<Vec<Sample>, String> {
        let answer = instant_expr(storage, &self.rule.expr, self.expr.clone(), at, options).map_err(|error| error.to_string())?;
        as_vector(answer.value, at)
    }

    fn record(&mut self, storage: &Storage, at: i64, limit: usize, options: &EngineOptions) -> Result<Vec<Sample>, String> {
        let mut samples = self.vector(storage, at, options)?;
        let mut seen = HashSet::new();
        for sample in &mut samples {
            sample.metric = sample.metric.with(METRIC_NAME, &self.rule.record);
            for (name, value) in self.labels.iter() {
                sample.metric = sample.metric.with(name, value);
            }
            if !seen.insert(sample.metric.clone()) {
                return Err("vector contains metrics with the same labelset after applying rule labels".to_owned());
            }
        }
        if limit > 0 && samples.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", samples.len()));
        }
        Ok(samples)
    }

    fn alert(
        &mut self,
        storage: &Storage,
        at: i64,
        query_at: i64,
        limit: usize,
        environment: &Environment,
        options: &EngineOptions,
    ) -> Result<Vec<Sample>, String> {
        let samples = self.vector(storage, query_at, options)?;
        let mut present: IndexMap<Labels, Annotations> = IndexMap::with_capacity(samples.len());
        let query = |text: &str| {
            let answer = instant(storage, text, at, options).map_err(|error| error.to_string())?;
            as_vector(answer.value, at)
        };
        let name = format!("__alert_{}", self.rule.alert);
        for sample in &samples {
            let value = match &sample.value {
                Value::Float(value) => template::Val::Float(*value),
                Value::Histogram(histogram) => template::Val::Histogram(histogram.clone()),
            };
            let data = template::Data {
                labels: &sample.metric,
                value,
                external_labels: &environment.external_labels,
                external_url: &environment.external_url,
                query: &query,
            };
            let expand = |text: &str| {
                if !text.contains("{{") {
                    return text.to_owned();
                }
                template::expand(&name, text, &data).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
            };
            let own = self.labels.iter().map(|(name, text)| (name.to_owned(), expand(text)));
            let metric = sample.metric.iter().filter(|pair| pair.0 != METRIC_NAME).map(|(name, value)| (name.to_owned(), value.to_owned()));
            let labels = Labels::new(metric.chain(own).chain([("alertname".to_owned(), self.rule.alert.clone())]));
            let annotations = self.rule.annotations.iter().map(|(name, text)| (name.clone(), expand(text))).collect();
            if present.insert(labels, annotations).is_some() {
                return Err("vector contains metrics with the same labelset after applying alert labels".to_owned());
            }
        }
        self.advance(at, query_at, limit, &present)
    }

    /// Moves alerts between their states, and answers with the series that show them.
    fn advance(&mut self, at: i64, query_at: i64, limit: usize, present: &IndexMap<Labels, Annotations>) -> Result<Vec<Sample>, String> {
        for (labels, annotations) in present {
            match self.active.get_mut(labels).filter(|active| active.state != AlertState::Inactive) {
                Some(active) => active.annotations = annotations.clone(),
                None => {
                    let (labels, annotations) = (labels.clone(), annotations.clone());
                    let state = AlertState::Pending;
                    let alert = ActiveAlert {
                        labels: labels.clone(),
                        annotations,
                        state,
                        active_at: at,
                        resolved_at: None,
                        keep_firing_since: None,
                    };
                    self.active.insert(labels, alert);
                }
            }
        }
        let (hold, keep) = (self.rule.hold, self.rule.keep_firing_for);
        let mut samples = Vec::new();
        let mut counted = 0;
        self.active.retain(|labels, active| {
            let mut remembered = true;
            if present.contains_key(labels) {
                active.keep_firing_since = None;
            } else {
                let mut keeps = false;
                if active.state == AlertState::Firing && keep > 0 {
                    keeps = at - *active.keep_firing_since.get_or_insert(at) < keep;
                }
                let forgotten = active.resolved_at.is_some_and(|resolved| at - resolved > RESOLVED_RETENTION);
                remembered = active.state != AlertState::Pending && !forgotten;
                if active.state != AlertState::Inactive && !keeps {
                    active.state = AlertState::Inactive;
                    active.resolved_at = Some(at);
                }
                if !keeps {
                    return remembered;
                }
            }
            counted += 1;
            if active.state == AlertState::Pending && at - active.active_at >= hold {
                active.state = AlertState::Firing;
            }
            let word = if active.state == AlertState::Firing { "firing" } else { "pending" };
            let series = |name: &str, value: f64| {
                let metric = active.labels.with(METRIC_NAME, name);
                Sample { metric, value: Value::Float(value), t: query_at, drop_name: false }
            };
            let mut shown = series("ALERTS", 1.0);
            shown.metric = shown.metric.with("alertstate", word);
            samples.push(shown);
            samples.push(series("ALERTS_FOR_STATE", active.active_at.div_euclid(1000) as f64));
            remembered
        });
        if limit > 0 && counted > limit {
            self.active.clear();
            return Err(format!("exceeded limit of {limit} with {counted} alerts"));
        }
        Ok(samples)
    }

    /// Stores what the rule gave, and ends the series that it no longer gives.
    fn store(&mut self, storage: &mut Storage, at: i64, samples: Vec<Sample>) -> Option<AppendError> {
        let mut problem = None;
        let mut returned = Vec::with_capacity(samples.len());
        for sample in samples {
            match storage.append(&sample.metric, at, sample.value) {
                Ok(()) => returned.push(sample.metric),
                Err(error) => problem = Some(error),
            }
        }
        let there: HashSet<&Labels> = returned.iter().collect();
        for labels in self.returned.iter().filter(|labels| !there.contains(labels)) {
            // Another rule may have written the series; then it goes on.
            match storage.append(labels, at, Value::Float(stale())) {
                Ok(()) | Err(AppendError::OutOfOrder | AppendError::Duplicate) => {}
                Err(error) => problem = Some(error),
            }
        }
        self.returned = returned;
        problem
    }
}

/// A query's result as the vector that rules and templates want.
pub fn as_vector(value: QueryValue, at: i64) -> Result<Vec<Sample>, String> {
    match value {
        QueryValue::Vector(samples) => Ok(samples),
        QueryValue::Scalar(value) => Ok(vec![Sample { metric: Labels::default(), value: Value::Float(value), t: at, drop_name: false }]),
        _ => Err("rule result is not a vector or scalar".to_owned()),
    }
}
