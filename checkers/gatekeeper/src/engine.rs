//! Templates, constraints and objects of a cluster, and what they say about a request.

use crate::{
    Constraint, Finding, Invalid, Inventory, Matchable, Review, Template,
    rego::{Data, Failure, Providers},
    template::Source,
};
use machinery::object;
use serde_json::Value;
use std::collections::BTreeMap;

/// The enforcement point of admission requests; templates may leave out operations there.
const WEBHOOK: &str = "validation.gatekeeper.sh";

/// A violation of a constraint.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub kind: String,
    pub name: String,
    pub enforcement_action: String,
    /// The actions at this enforcement point, where the action is `scoped`.
    pub scoped_actions: Vec<String>,
    pub message: String,
    /// `details` of the rule, or `{}`; null where CEL judged.
    pub details: Value,
}

/// A program gave something that is no violation, or could not be run; Gatekeeper answers the request with this error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ReviewError {
    pub kind: String,
    pub message: String,
}

/// Everything that requests are judged by.
#[derive(Debug, Default)]
pub struct Engine {
    templates: BTreeMap<String, Template>,
    constraints: BTreeMap<(String, String), Constraint>,
    inventory: Inventory,
    data: Data,
}

impl Engine {
    /// What `external_data` is answered with.
    #[must_use]
    pub fn with_providers(mut self, providers: Providers) -> Self {
        self.data.providers = providers;
        self.forget();
        self
    }

    /// `time.now_ns()`, in nanoseconds since 1970; without it the function has no value.
    #[must_use]
    pub fn at_time(mut self, nanoseconds: i64) -> Self {
        self.data.now = Some(nanoseconds);
        self.forget();
        self
    }

    /// Adds a template or replaces the one of its name; returns what is accepted and will not do what was meant.
    pub fn add_template(&mut self, given: &Value) -> Result<&[Finding], Vec<Finding>> {
        let template = Template::read(given)?;
        let key = template.kind.to_lowercase();
        self.templates.insert(key.clone(), template);
        Ok(self.templates.get(&key).map(|template| template.advice.as_slice()).unwrap_or_default())
    }

    /// Adds a constraint, whose template must be there.
    pub fn add_constraint(&mut self, given: &Value) -> Result<(), Invalid> {
        let constraint = Constraint::read(given, self.templates.get(&object::kind(given).to_lowercase()))?;
        self.constraints.insert((constraint.kind.clone(), constraint.name.clone()), constraint);
        Ok(())
    }

    /// Whether a constraint could be added.
    pub fn check_constraint(&self, given: &Value) -> Result<(), Invalid> {
        Constraint::read(given, self.templates.get(&object::kind(given).to_lowercase())).map(drop)
    }

    /// Adds an object of the cluster.
    pub fn add_data(&mut self, added: &Value) -> Result<(), String> {
        self.inventory.add(added)?;
        self.forget();
        Ok(())
    }

    /// Takes all objects of the cluster away again.
    pub fn clear_data(&mut self) {
        self.inventory = Inventory::default();
        self.forget();
    }

    /// Programs keep the data that they have been run with.
    fn forget(&mut self) {
        for template in self.templates.values_mut() {
            if let Source::Rego(program) = &mut template.source {
                program.forget();
            }
        }
    }

    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Judges a request at an enforcement point, such as `gator.gatekeeper.sh`, `audit.gatekeeper.sh` or `validation.gatekeeper.sh`.
    /// Violations come by kind and name of their constraints.
    pub fn review(&self, review: &Review, point: &str) -> Result<Vec<Violation>, ReviewError> {
        let known = self.inventory.namespace(review.request_namespace());
        let namespace = review.namespace.as_ref().or(known);
        let mut violations = Vec::new();
        let mut input = None;
        for constraint in self.constraints.values() {
            let Some(template) = self.templates.get(&constraint.kind.to_lowercase()) else { continue };
            if point == WEBHOOK && !template.is_about(review.operation()) {
                continue;
            }
            let Some(scoped_actions) = constraint.actions(point) else { continue };
            let violation = |message: String, details: Value| Violation {
                kind: constraint.kind.clone(),
                name: constraint.name.clone(),
                enforcement_action: constraint.enforcement_action.clone(),
                scoped_actions: scoped_actions.clone(),
                message,
                details,
            };
            match matches(constraint, review, namespace) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(why) => {
                    violations.push(violation(format!("unable to match constraints: {why}"), Value::Null));
                    continue;
                }
            }
            match &template.source {
                Source::Native(native) => {
                    let messages = native.run(review, namespace, constraint);
                    violations.extend(messages.into_iter().map(|message| violation(message, Value::Null)));
                }
                Source::Rego(program) => {
                    let review = input.get_or_insert_with(|| review.input(namespace));
                    match program.run(review, &constraint.parameters(), &self.data, &self.inventory) {
                        Ok(found) => {
                            for one in found {
                                let Some(message) = one.message.as_str() else {
                                    let message = format!("a violation's msg must be a string, not {}", one.message);
                                    return Err(ReviewError { kind: constraint.kind.clone(), message });
                                };
                                violations.push(violation(message.to_owned(), one.details));
                            }
                        }
                        // What cannot be judged counts as violated.
                        Err(Failure::OfProgram(why)) => violations.push(violation(why, Value::Null)),
                        Err(Failure::NotRun(message)) => return Err(ReviewError { kind: constraint.kind.clone(), message }),
                    }
                }
            }
        }
        Ok(violations)
    }
}

/// Whether a constraint is about the object, or about the one before it.
fn matches(constraint: &Constraint, review: &Review, namespace: Option<&Value>) -> Result<bool, String> {
    if !constraint.has_match {
        return Ok(true);
    }
    for object in review.objects() {
        let target = Matchable { object, namespace, origin: review.origin };
        let matched = constraint.matcher.matches(&target);
        if matched.map_err(|why| format!("error matching the requested object: {} :{why}", object::name(object)))? {
            return Ok(true);
        }
    }
    Ok(false)
}
