//! Constraints: what a template is to find, in which objects, and what then happens.

use crate::{
    Finding, Match, Template, group_version, items,
    schema::{GROUP, Misfit},
    text,
};
use machinery::{object, selector::LabelSelector};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Why a constraint is refused. gator's tests with `invalid: true` want the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    Schema(Vec<Finding>),
    Other(Vec<Finding>),
}

impl Invalid {
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Schema(findings) | Self::Other(findings) => findings,
        }
    }

    fn of(field: &str, message: impl Into<String>) -> Self {
        Self::Other(vec![Finding::new(field, message)])
    }
}

/// A constraint with its defaults filled in.
#[derive(Debug)]
pub struct Constraint {
    pub kind: String,
    pub name: String,
    /// `deny`, `warn`, `dryrun`, `scoped` or what else is written there.
    pub enforcement_action: String,
    /// Actions of each enforcement point, where the action is `scoped`.
    scoped: BTreeMap<String, Vec<String>>,
    pub(crate) object: Value,
    pub(crate) matcher: Match,
    /// `spec.match` is there.
    pub(crate) has_match: bool,
}

impl Constraint {
    pub(crate) fn read(given: &Value, template: Option<&Template>) -> Result<Self, Invalid> {
        let (group, version) = group_version(text(&given["apiVersion"]));
        let (kind, name) = (text(&given["kind"]), object::name(given));
        if name.is_empty() {
            return Err(Invalid::of("metadata.name", "a constraint needs a name"));
        }
        if group != GROUP {
            return Err(Invalid::of("apiVersion", format!("group {group:?}: constraints are in {GROUP}")));
        }
        let Some(template) = template else {
            return Err(Invalid::of("kind", format!("template {:?} not found: no ConstraintTemplate makes {kind}", kind.to_lowercase())));
        };
        for field in ["labelSelector", "namespaceSelector"] {
            let selector = &given["spec"]["match"][field];
            if selector.is_object()
                && let Err(error) = LabelSelector::from_object(selector)
            {
                return Err(Invalid::of(&format!("spec.match.{field}"), error.message));
            }
        }
        if kind != template.kind {
            return Err(Invalid::of("kind", format!("wrong kind {kind:?}; want {:?}", template.kind)));
        }
        if !matches!(version, "v1beta1" | "v1alpha1") {
            return Err(Invalid::of("apiVersion", format!("unsupported version {version:?}: v1beta1 or v1alpha1")));
        }
        let mut object = given.clone();
        template.definition.check(&mut object).map_err(|misfit| match misfit {
            Misfit::Schema(findings) => Invalid::Schema(findings),
            Misfit::Unknown(findings) => Invalid::Other(findings),
        })?;
        let spec = &object["spec"];
        let enforcement_action = spec["enforcementAction"].as_str().unwrap_or("deny").to_owned();
        let scoped = if enforcement_action == "scoped" { scoped_actions(spec)? } else { BTreeMap::new() };
        let matcher = Match::read(&spec["match"]);
        let has_match = spec["match"].is_object();
        Ok(Self { kind: kind.to_owned(), name: name.to_owned(), enforcement_action, scoped, matcher, has_match, object })
    }

    /// What Rego sees as `input.parameters`.
    pub(crate) fn parameters(&self) -> Value {
        match &self.object["spec"]["parameters"] {
            Value::Null => json!({}),
            parameters => parameters.clone(),
        }
    }

    /// The actions at an enforcement point of a constraint whose action is `scoped`; `None` where it is not judged there.
    pub(crate) fn actions(&self, point: &str) -> Option<Vec<String>> {
        if self.enforcement_action != "scoped" {
            return Some(Vec::new());
        }
        let mut actions: Vec<_> = self.scoped.get(point).into_iter().chain(self.scoped.get("*")).flatten().cloned().collect();
        actions.sort_unstable();
        actions.dedup();
        (!actions.is_empty()).then_some(actions)
    }
}

fn scoped_actions(spec: &Value) -> Result<BTreeMap<String, Vec<String>>, Invalid> {
    let Some(listed) = spec["scopedEnforcementActions"].as_array() else {
        let message = "missing required field: the action `scoped` needs spec.scopedEnforcementActions";
        return Err(Invalid::of("spec.scopedEnforcementActions", message));
    };
    let mut actions = BTreeMap::<String, Vec<String>>::new();
    for one in listed {
        for point in items(&one["enforcementPoints"]) {
            actions.entry(text(&point["name"]).to_owned()).or_default().push(text(&one["action"]).to_owned());
        }
    }
    Ok(actions)
}
