//! A template's program in Rego: checked as Gatekeeper checks it, run by regorus.
//!
//! ```text
//! rego, libs ──check──► findings                 review, parameters, inventory
//!      └──Program::compile──► Program ──run──► the set that `violation` makes
//! ```
//!
//! OPA's functions that regorus lacks, and those whose results could grow without end, are in [`builtins`]. An evaluation has a bound
//! of steps, which [`limits`] counts without a clock.

mod bodies;
mod builtins;
mod check;
mod limits;
mod negation;

pub use builtins::Providers;

use crate::{Finding, Inventory};
use regorus::Value as Rego;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The package that a template's program is put into.
const PACKAGE: &str = "template";
/// Levels of what a program may find.
const DEEPEST_RESULT: usize = 100;
const VIOLATION: &str = "data.template.violation";

/// What programs see beside their input and the inventory, the same for all programs of an engine.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub providers: Providers,
    /// `time.now_ns()`.
    pub now: Option<i64>,
}

/// What a rule found: `msg`, which should be a string, and `details`.
#[derive(Debug)]
pub(crate) struct Found {
    pub message: Value,
    pub details: Value,
}

/// Why a program found nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The program itself cannot be judged.
    OfProgram(String),
    /// It was not run, which says nothing about the program.
    NotRun(String),
}

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Program {
    engine: regorus::Engine,
    /// The same with the data of the cluster, made when it is first asked for.
    ready: OnceLock<Result<regorus::Engine, String>>,
}

impl Program {
    /// `field` is where `rego` and `libs` lie in the template.
    pub fn compile(field: &str, rego: &str, libs: &[&str], is_v1: bool) -> Result<Self, Vec<Finding>> {
        let mut sources = vec![(format!("{field}.rego"), rego.to_owned())];
        sources.extend(libs.iter().enumerate().map(|(index, lib)| (format!("{field}.libs[{index}]"), (*lib).to_owned())));
        for (_, text) in &mut sources {
            *text = bodies::apart(text);
        }
        let findings: Vec<_> = sources.iter().filter_map(|(field, text)| check::too_deep(field, text)).collect();
        if !findings.is_empty() {
            return Err(findings);
        }
        // Read once as it stands, to find the package's name, then under the name that is asked for.
        let mut engine = parse(&sources, is_v1)?;
        let findings = check::modules(engine.get_modules(), &sources);
        if !findings.is_empty() {
            return Err(findings);
        }
        let texts = engine.get_modules().iter().zip(&sources).map(|(module, (_, text))| negation::bind_arguments(module, text));
        let bound: Vec<_> = sources.iter().map(|(field, _)| field.clone()).zip(texts).collect();
        // A text that cannot be read afterwards is run as it was written.
        if let Ok(again) = parse(&bound, is_v1) {
            (engine, sources) = (again, bound);
        }
        if let Some(entry) = engine.get_modules().first() {
            let text = &mut sources[0].1;
            let span = entry.package.refr.span();
            let (begin, end) = (span.start as usize, span.end as usize);
            if text.get(begin..end).is_some() {
                text.replace_range(begin..end, PACKAGE);
            }
        }
        let mut engine = parse(&sources, is_v1)?;
        builtins::add(&mut engine);
        let prepared = engine.compile_with_entrypoint(&VIOLATION.into());
        prepared.map_err(|error| vec![finding(&sources, &error)])?;
        Ok(Self { engine, ready: OnceLock::new() })
    }

    /// The data of the cluster have changed.
    pub fn forget(&mut self) {
        self.ready = OnceLock::new();
    }

    /// Runs the program.
    pub fn run(&self, review: &Value, parameters: &Value, data: &Data, inventory: &Inventory) -> Result<Vec<Found>, Failure> {
        let outcome = limits::with_room(|| self.run_here(review, parameters, data, inventory));
        outcome.map_err(Failure::NotRun)?.map_err(Failure::OfProgram)
    }

    fn run_here(&self, review: &Value, parameters: &Value, data: &Data, inventory: &Inventory) -> Result<Vec<Found>, String> {
        let mut engine = self.ready.get_or_init(|| self.with_data(data, inventory).map_err(|error| said(&error))).clone()?;
        engine.set_input(Rego::from(json!({"review": review, "parameters": parameters})));
        let budget = limits::Budget::begin(&mut engine);
        let value = engine.eval_rule(VIOLATION.to_owned()).and_then(|value| fits(&value).map(|()| value));
        let value = budget.end(value.map_err(|error| said(&error)))?;
        let elements: Vec<&Rego> = match &value {
            Rego::Set(set) => set.iter_sorted().collect(),
            _ => Vec::new(),
        };
        let found = elements.into_iter().filter_map(|element| {
            // What has no message is no violation.
            let message = &element["msg"];
            (*message != Rego::Undefined).then(|| Found {
                message: json(message),
                details: match &element["details"] {
                    Rego::Undefined => json!({}),
                    details => json(details),
                },
            })
        });
        Ok(found.collect())
    }

    fn with_data(&self, data: &Data, inventory: &Inventory) -> anyhow::Result<regorus::Engine> {
        let mut engine = self.engine.clone();
        builtins::add_evidence(&mut engine, data)?;
        engine.add_data(Rego::from(inventory.to_data()))?;
        engine.compile_with_entrypoint(&VIOLATION.into())?;
        Ok(engine)
    }
}

/// What a program found must be small enough to be shown.
fn fits(value: &Rego) -> anyhow::Result<()> {
    builtins::weigh(value)?;
    let mut level = vec![value];
    for _ in 0..DEEPEST_RESULT {
        let below = level.into_iter().flat_map(|value| match value {
            Rego::Array(items) => items.iter().collect(),
            Rego::Set(items) => items.iter().collect(),
            Rego::Object(fields) => fields.iter().flat_map(|(key, value)| [key, value]).collect(),
            _ => Vec::new(),
        });
        level = below.collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    anyhow::bail!("what the program found lies more than {DEEPEST_RESULT} levels deep")
}

fn said(error: &anyhow::Error) -> String {
    limits::explain(error).unwrap_or_else(|| one_line(error))
}

/// A value as JSON, as OPA's answers have it: sets are lists.
fn json(value: &Rego) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn parse(sources: &[(String, String)], is_v1: bool) -> Result<regorus::Engine, Vec<Finding>> {
    limits::count_steps();
    let mut engine = regorus::Engine::new();
    engine.set_rego_v0(!is_v1);
    // As in OPA, a function that is given what it does not take has no value.
    engine.set_strict_builtin_errors(false);
    let mut findings = Vec::new();
    for (field, text) in sources {
        if let Err(error) = engine.add_policy(field.clone(), text.clone()) {
            findings.push(finding(sources, &error));
        }
    }
    if findings.is_empty() { Ok(engine) } else { Err(findings) }
}

/// An error of regorus: its first lines show the place, the last one says what is wrong.
fn finding(sources: &[(String, String)], error: &anyhow::Error) -> Finding {
    let said = format!("{error:#}");
    let place = said.lines().find_map(|line| line.trim().strip_prefix("--> "));
    // The file is the field, whose name has no colon.
    let (field, line) = match place.and_then(|place| place.split_once(':')) {
        Some((field, rest)) => (field, rest.split(':').next().and_then(|line| line.parse().ok())),
        None => (sources.first().map_or("", |(field, _)| field.as_str()), None),
    };
    Finding::new(field, last_line(&said)).at_line(line)
}

fn last_line(said: &str) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// An error of an evaluation in one line, with its place.
fn one_line(error: &anyhow::Error) -> String {
    let said = format!("{error:#}");
    let place = said.lines().find_map(|line| line.trim().strip_prefix("--> ")).map(|place| format!("{place}: "));
    format!("{}{}", place.unwrap_or_default(), last_line(&said))
}
