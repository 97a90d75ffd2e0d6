//! Rules over a stream of events: compiled once, found by the type of the event.
//!
//! ```text
//! Loaded ──Engine::new──► Engine ──decode──► Event ──matching──► rules that fire ──alert──► Alert
//! ```

use crate::{
    event::{Event, Schema, Value, fields_of},
    fields::Source,
    filter::{self, EventTypes, Plan, Scratch},
    output::{Format, show},
    rules::{Loaded, Rule},
};
use serde_json::{Map, Value as Json, json};
use thiserror::Error;

/// A rule that could not be made ready, though it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("rule '{rule}': {message}")]
pub struct EngineError {
    pub rule: String,
    pub message: String,
}

/// Rules that are ready to run.
#[derive(Debug, Clone)]
pub struct Engine {
    rules: Vec<Ready>,
    conditions: Schema,
    outputs: Schema,
    /// Finds rules by the schema's number of the event type.
    plan: Plan,
}

#[derive(Debug, Clone)]
struct Ready {
    rule: Rule,
    output: Format,
}

/// What a rule says about an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub rule: String,
    pub priority: &'static str,
    pub source: &'static str,
    pub tags: Vec<String>,
    pub output: String,
    pub output_fields: Map<String, Json>,
}

impl Engine {
    /// Makes the enabled rules ready.
    pub fn new(loaded: &Loaded) -> Result<Self, EngineError> {
        let (mut conditions, mut outputs) = (Schema::default(), Schema::default());
        let (mut rules, mut filters) = (Vec::new(), Vec::new());
        for rule in loaded.rules.iter().filter(|rule| rule.enabled) {
            let failed = |message: String| EngineError { rule: rule.name.clone(), message };
            let (filter, _) = filter::compile(&rule.condition, rule.source, &mut conditions).map_err(|error| failed(error.message))?;
            let output = Format::new(&rule.output, rule.source, &mut outputs).map_err(failed)?;
            let (EventTypes::Only(names) | EventTypes::AllBut(names)) = &rule.event_types;
            for name in names {
                conditions.event_type(name);
            }
            rules.push(Ready { rule: rule.clone(), output });
            filters.push(filter);
        }
        let types = conditions.event_types();
        let mut by_type = vec![Vec::new(); types.len() + 1];
        for (number, ready) in (0..).zip(&rules) {
            let (named, others) = match &ready.rule.event_types {
                EventTypes::Only(names) => (names, false),
                EventTypes::AllBut(names) => (names, true),
            };
            for (candidates, name) in by_type.iter_mut().zip(types.iter().map(Some).chain([None])) {
                if name.is_some_and(|name| named.contains(*name)) != others {
                    candidates.push(number);
                }
            }
        }
        let plan = Plan::new(&filters, &types, &by_type, conditions.type_slot());
        Ok(Self { rules, conditions, outputs, plan })
    }

    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|ready| &ready.rule)
    }

    /// Decodes what the conditions read of an event.
    pub fn decode(&self, fields: &Map<String, Json>) -> Event {
        self.conditions.decode(fields)
    }

    /// The rules, by number in [`Self::rules`], that fire for an event that this engine decoded.
    pub fn matching<'a>(&self, event: &Event, scratch: &'a mut Scratch) -> &'a [usize] {
        self.plan.matching(event, scratch)
    }

    /// Runs the rules over one recorded event. An event without a source is one of `syscall`, or of `k8s_audit` where it has such
    /// fields; rules see the events of their own source only.
    pub fn run(&self, event: &Json) -> Vec<Alert> {
        let Some(fields) = fields_of(event) else { return Vec::new() };
        let decoded = self.decode(fields);
        let source = source_of(fields);
        let mut scratch = Scratch::default();
        let firing = self.matching(&decoded, &mut scratch).iter().copied();
        let firing: Vec<usize> = firing.filter(|number| self.rules[*number].rule.source.as_str() == source).collect();
        if firing.is_empty() {
            return Vec::new();
        }
        let printed = self.outputs.decode(fields);
        firing.into_iter().map(|number| self.alert(number, &printed)).collect()
    }

    fn alert(&self, number: usize, event: &Event) -> Alert {
        let Ready { rule, output, .. } = &self.rules[number];
        let fields = output.fields(event).into_iter().map(|(name, value)| (name.to_owned(), value.as_ref().map_or(Json::Null, json)));
        Alert {
            rule: rule.name.clone(),
            priority: rule.priority.as_str(),
            source: rule.source.as_str(),
            tags: rule.tags.iter().cloned().collect(),
            output: output.render(event),
            output_fields: fields.collect(),
        }
    }
}

fn source_of(fields: &Map<String, Json>) -> &str {
    match fields.get("evt.source").and_then(Json::as_str) {
        Some(source) => source,
        None if fields.keys().any(|key| key.starts_with("ka.")) => Source::K8sAudit.as_str(),
        None => Source::Syscall.as_str(),
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::Number(number) => {
            i64::try_from(*number).map(Json::from).or_else(|_| u64::try_from(*number).map(Json::from)).unwrap_or(Json::Null)
        }
        Value::Double(double) => json!(double),
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Many(values) => values.iter().map(json).collect(),
        other => Json::String(show(other)),
    }
}

impl Alert {
    /// As Falco writes an alert with `json_output`, without the time and the host, which a recorded event need not have.
    pub fn to_json(&self) -> Json {
        json!({
            "rule": self.rule,
            "priority": self.priority,
            "source": self.source,
            "tags": self.tags,
            "output": self.output,
            "output_fields": self.output_fields,
        })
    }
}
