//! Mutators: Assign, AssignMetadata, ModifySet and AssignImage of `mutations.gatekeeper.sh`.

use super::{
    apply::{Condition, Setter, Way, is_key},
    image,
    location::{Key, Location, Step},
};
use crate::{Finding, Match, Matchable, group_version, items, text};
use machinery::object;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) const GROUP: &str = "mutations.gatekeeper.sh";
const LONGEST_NAME: usize = 63;
/// Operations that the mutation webhook is asked about.
const OPERATIONS: [&str; 2] = ["CREATE", "UPDATE"];

/// Group, version and kind.
pub(super) type Kind = (String, String, String);

/// A mutator that can be applied.
#[derive(Debug)]
pub struct Mutator {
    pub kind: String,
    pub name: String,
    pub(super) location: Location,
    conditions: Vec<(usize, Condition)>,
    /// Kinds and operations that it is applied to; `None` for AssignMetadata, which is applied to all.
    apply_to: Option<Vec<ApplyTo>>,
    matcher: Match,
    action: Action,
}

/// One entry of `applyTo`.
#[derive(Debug, Clone)]
pub(crate) struct ApplyTo {
    groups: Vec<String>,
    versions: Vec<String>,
    kinds: Vec<String>,
    operations: Vec<String>,
}

#[derive(Debug)]
enum Action {
    Assign(Assigned),
    Merge(Vec<Value>),
    Prune(Vec<Value>),
    Image { domain: String, path: String, tag: String },
}

#[derive(Debug)]
enum Assigned {
    Value(Value),
    /// `name` or `namespace` of the object's metadata.
    Metadata(String),
}

impl ApplyTo {
    pub fn read(value: &Value) -> Self {
        let texts = |field: &str| items(&value[field]).iter().map(|one| text(one).to_owned()).collect();
        Self { groups: texts("groups"), versions: texts("versions"), kinds: texts("kinds"), operations: texts("operations") }
    }

    pub fn is_about(&self, object: &Value) -> bool {
        let (group, version) = group_version(text(&object["apiVersion"]));
        let lists = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        lists(&self.groups, group) && lists(&self.versions, version) && lists(&self.kinds, text(&object["kind"]))
    }

    pub fn covers(&self, group: &str, version: &str, kind: &str) -> bool {
        let lists = |names: &[String], wanted: &str| names.iter().any(|name| name == wanted);
        lists(&self.groups, group) && lists(&self.versions, version) && lists(&self.kinds, kind)
    }

    /// Without an operation (in an audit, in expansion) it must be for all of them.
    fn is_for(&self, operation: &str) -> bool {
        let all = self.operations.is_empty() || self.operations.iter().any(|listed| listed == "*");
        let listed = |wanted: &str| self.operations.iter().any(|listed| listed == wanted);
        match operation {
            "" => all || OPERATIONS.iter().all(|wanted| listed(wanted)),
            wanted => OPERATIONS.contains(&wanted) && (all || listed(wanted)),
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for group in &self.groups {
            for version in &self.versions {
                kinds.extend(self.kinds.iter().map(|kind| (group.clone(), version.clone(), kind.clone())));
            }
        }
        kinds
    }
}

impl Mutator {
    /// Reads a mutator, or says what is wrong with it.
    pub fn read(given: &Value) -> Result<Self, Finding> {
        let kind = object::kind(given);
        let (group, version) = group_version(text(&given["apiVersion"]));
        if group != GROUP || !matches!(version, "v1" | "v1beta1" | "v1alpha1") {
            return Err(Finding::new("apiVersion", format!("mutators are in {GROUP}/v1, v1beta1 or v1alpha1")));
        }
        let name = object::name(given);
        if name.len() > LONGEST_NAME {
            return Err(Finding::new("metadata.name", format!("a mutator's name has at most {LONGEST_NAME} characters")));
        }
        let spec = &given["spec"];
        let at_location = |message: String| Finding::new("spec.location", message);
        let location = Location::parse(text(&spec["location"]))
            .map_err(|why| at_location(format!("invalid location format `{}`: {why}", text(&spec["location"]))))?;
        let parameters = &spec["parameters"];
        let (action, conditions) = match kind {
            "Assign" | "ModifySet" | "AssignImage" => {
                if location.is_in_metadata() {
                    return Err(at_location(format!("{kind} can't change metadata; AssignMetadata adds labels and annotations")));
                }
                if kind != "ModifySet" {
                    keeps_keys(&location).map_err(at_location)?;
                }
                let action = match kind {
                    "Assign" => assign(&location, &parameters["assign"])?,
                    "ModifySet" => modify_set(&location, parameters)?,
                    _ => assign_image(&location, parameters)?,
                };
                (action, path_tests(&location, parameters)?)
            }
            "AssignMetadata" => {
                let action = assign_metadata(&location, text(&spec["location"]), &parameters["assign"])?;
                // It never changes what is there.
                (action, vec![(location.0.len() - 1, Condition::MustNotExist)])
            }
            other => return Err(Finding::new("kind", format!("{other} is no mutator: Assign, AssignMetadata, ModifySet or AssignImage"))),
        };
        let apply_to = if kind == "AssignMetadata" { None } else { Some(apply_to(&spec["applyTo"])?) };
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            location,
            conditions,
            apply_to,
            matcher: Match::read(&spec["match"]),
            action,
        })
    }

    pub(super) fn is_about(&self, target: &Matchable, operation: &str) -> Result<bool, String> {
        let applies = |all: &Vec<ApplyTo>| all.iter().any(|one| one.is_about(target.object) && one.is_for(operation));
        if self.apply_to.as_ref().is_some_and(|all| !applies(all)) {
            return Ok(false);
        }
        self.matcher.matches(target)
    }

    pub(super) fn apply(&self, object: &mut Value) -> Result<bool, String> {
        let value = match &self.action {
            Action::Assign(Assigned::Value(value)) => Some(value.clone()),
            Action::Assign(Assigned::Metadata(field)) => Some(Value::from(text(&object["metadata"][field.as_str()]))),
            _ => None,
        };
        let setter = Act { action: &self.action, value };
        Way { location: &self.location, conditions: &self.conditions, setter: &setter }.apply(object)
    }

    /// Kinds and operations whose schema the location says something about.
    pub(super) fn bindings(&self) -> BTreeSet<(Kind, &'static str)> {
        let mut bindings = BTreeSet::new();
        for one in self.apply_to.iter().flatten() {
            for operation in OPERATIONS {
                if one.is_for(operation) {
                    bindings.extend(one.kinds().into_iter().map(|kind| (kind, operation)));
                }
            }
        }
        bindings
    }

    /// What the location ends in, as far as the mutator says: a set, a text, or anything.
    pub(super) fn end(&self) -> &'static str {
        match self.action {
            Action::Merge(_) | Action::Prune(_) => "set",
            Action::Image { .. } => "string",
            Action::Assign(_) => "unknown",
        }
    }

    /// No other mutator may go on from where this one ends.
    pub(super) fn must_end(&self) -> bool {
        matches!(self.action, Action::Image { .. })
    }
}

/// Setting, with the value that is known for this object.
struct Act<'a> {
    action: &'a Action,
    value: Option<Value>,
}

impl Setter for Act<'_> {
    fn set(&self, owner: &mut Map<String, Value>, field: &str) -> Result<(), String> {
        match self.action {
            Action::Assign(_) => {
                owner.insert(field.to_owned(), self.value.clone().unwrap_or(Value::Null));
            }
            Action::Image { domain, path, tag } => {
                let held = match owner.get(field) {
                    None => "",
                    Some(Value::String(held)) => held,
                    Some(other) => return Err(format!("expected value at AssignImage location to be a string, got {other}")),
                };
                let image = image::mutate(domain, path, tag, held);
                owner.insert(field.to_owned(), image.into());
            }
            Action::Merge(values) | Action::Prune(values) => {
                let merges = matches!(self.action, Action::Merge(_));
                match owner.get_mut(field) {
                    None if merges => {
                        owner.insert(field.to_owned(), values.clone().into());
                    }
                    None => {}
                    Some(Value::Array(held)) if merges => {
                        for value in values {
                            if !held.contains(value) {
                                held.push(value.clone());
                            }
                        }
                    }
                    Some(Value::Array(held)) => held.retain(|value| !values.contains(value)),
                    Some(other) => return Err(format!("{other} is not a list of values, cannot treat it as a set")),
                }
            }
        }
        Ok(())
    }

    fn item(&self) -> Result<Map<String, Value>, String> {
        match (&self.action, &self.value) {
            (Action::Assign(_), Some(Value::Object(fields))) => Ok(fields.clone()),
            (Action::Assign(_), value) => Err(format!("assign.value for keyed list is not an object: {value:?}")),
            _ => Err("mutator does not accept keyed lists".to_owned()),
        }
    }
}

/// A location that ends below an item must not change what the item is found by.
fn keeps_keys(location: &Location) -> Result<(), String> {
    match location.0.as_slice() {
        [] => Err("empty path".to_owned()),
        [.., Step::Item { .. }, Step::Item { .. }] => Err("invalid path format: child of a list can't be a list".to_owned()),
        [.., Step::Item { by, .. }, Step::Field(name)] if name == by => {
            Err("invalid path format: changing the item key is not allowed".to_owned())
        }
        _ => Ok(()),
    }
}

/// `assign`, which has exactly one source of the value.
fn assigned(assign: &Value) -> Result<Assigned, Finding> {
    let field = "spec.parameters.assign";
    let given: Vec<_> = ["value", "fromMetadata", "externalData"].into_iter().filter(|name| !assign[*name].is_null()).collect();
    match given.as_slice() {
        ["value"] => Ok(Assigned::Value(assign["value"].clone())),
        ["fromMetadata"] => match text(&assign["fromMetadata"]["field"]) {
            known @ ("name" | "namespace") => Ok(Assigned::Metadata(known.to_owned())),
            other => {
                let message = format!("field {other} is not recognized: name or namespace");
                Err(Finding::new(format!("{field}.fromMetadata.field"), message))
            }
        },
        ["externalData"] => {
            let message = "values of external data providers are not assigned here: no provider can be asked";
            Err(Finding::new(format!("{field}.externalData"), message))
        }
        [] => Err(Finding::new(field, "assign must set one of `externalData`, `value` or `fromMetadata`")),
        _ => Err(Finding::new(field, "assign must only set one of `externalData`, `value` or `fromMetadata`")),
    }
}

fn assign(location: &Location, given: &Value) -> Result<Action, Finding> {
    let assigned = assigned(given)?;
    if let Some(Step::Item { by, key }) = location.0.last() {
        let at_value = |message: String| Err(Finding::new("spec.parameters.assign.value", message));
        let Assigned::Value(value) = &assigned else {
            return Err(Finding::new("spec.parameters.assign.fromMetadata", "cannot assign a metadata field to a list"));
        };
        if *key == Key::Every {
            return Err(Finding::new("spec.location", "can't append to a globbed list"));
        }
        if !value.is_object() {
            return at_value(format!("invalid value: `{value}`, only objects can be added to keyed lists"));
        }
        if !value.get(by).is_some_and(|value| is_key(value, key)) {
            return at_value(format!("adding object to list with different key {by}: object key {}", value[by.as_str()]));
        }
    }
    Ok(Action::Assign(assigned))
}

fn assign_metadata(location: &Location, given: &str, assign: &Value) -> Result<Action, Finding> {
    let valid = matches!(location.0.as_slice(), [Step::Field(root), Step::Field(map), Step::Field(_)]
        if root == "metadata" && (map == "labels" || map == "annotations"));
    if !valid {
        let message = format!("invalid location for AssignMetadata: {given}: metadata.labels.NAME or metadata.annotations.NAME");
        return Err(Finding::new("spec.location", message));
    }
    match assigned(assign)? {
        Assigned::Value(value) if !value.is_string() => {
            Err(Finding::new("spec.parameters.assign.value", "the value must be a string for AssignMetadata"))
        }
        assigned => Ok(Action::Assign(assigned)),
    }
}

fn modify_set(location: &Location, parameters: &Value) -> Result<Action, Finding> {
    if location.ends_in_item() {
        return Err(Finding::new("spec.location", "final node in a modifyset location cannot be a keyed list"));
    }
    let values = items(&parameters["values"]["fromList"]).to_vec();
    match parameters["operation"].as_str() {
        None | Some("merge") => Ok(Action::Merge(values)),
        Some("prune") => Ok(Action::Prune(values)),
        Some(other) => {
            Err(Finding::new("spec.parameters.operation", format!("unrecognized operation for modifyset: {other}: merge or prune")))
        }
    }
}

fn assign_image(location: &Location, parameters: &Value) -> Result<Action, Finding> {
    if location.ends_in_item() {
        return Err(Finding::new("spec.location", "assignImage cannot mutate list-type fields"));
    }
    let part = |name: &str| text(&parameters[name]).to_owned();
    let (domain, path, tag) = (part("assignDomain"), part("assignPath"), part("assignTag"));
    image::validate(&domain, &path, &tag).map_err(|(field, message)| Finding::new(format!("spec.parameters{field}"), message))?;
    Ok(Action::Image { domain, path, tag })
}

fn path_tests(location: &Location, parameters: &Value) -> Result<Vec<(usize, Condition)>, Finding> {
    let mut tests = Vec::new();
    for (index, test) in items(&parameters["pathTests"]).iter().enumerate() {
        let field = format!("spec.parameters.pathTests[{index}]");
        let written = text(&test["subPath"]);
        let path = Location::parse(written).map_err(|why| Finding::new(format!("{field}.subPath"), format!("{written}: {why}")))?;
        if !location.starts_with(&path) {
            let message = "all subpaths must be a prefix of the `location` value of the mutation";
            return Err(Finding::new(format!("{field}.subPath"), format!("{message}: {path}")));
        }
        let condition = match text(&test["condition"]) {
            "MustExist" => Condition::MustExist,
            "MustNotExist" => Condition::MustNotExist,
            other => return Err(Finding::new(format!("{field}.condition"), format!("{other:?}: MustExist or MustNotExist"))),
        };
        let Some(step) = path.0.len().checked_sub(1) else { continue };
        if tests.iter().any(|(of, other)| *of == step && *other != condition) {
            let message = format!("conflicting path test conditions: path {path} is marked both MustExist and MustNotExist");
            return Err(Finding::new(field, message));
        }
        tests.push((step, condition));
    }
    // By their place in the list, as Gatekeeper compares them.
    let must = tests.iter().rposition(|(_, condition)| *condition == Condition::MustExist).unwrap_or(0);
    let must_not = tests.iter().position(|(_, condition)| *condition == Condition::MustNotExist);
    if must_not.is_some_and(|must_not| must > must_not) {
        let message = "conflicting path test conditions: a path is marked MustExist but a parent MustNotExist";
        return Err(Finding::new("spec.parameters.pathTests", message));
    }
    Ok(tests)
}

fn apply_to(given: &Value) -> Result<Vec<ApplyTo>, Finding> {
    let all: Vec<_> = items(given).iter().map(ApplyTo::read).collect();
    for (index, one) in all.iter().enumerate() {
        let field = format!("spec.applyTo[{index}]");
        if one.groups.is_empty() || one.versions.is_empty() || one.kinds.is_empty() {
            return Err(Finding::new(field, "invalid applyTo: all of groups, versions and kinds must be specified"));
        }
        let field = format!("{field}.operations");
        for (at, operation) in one.operations.iter().enumerate() {
            if one.operations[..at].contains(operation) {
                return Err(Finding::new(field, format!("duplicate operation {operation:?}")));
            }
            if operation != "*" && !OPERATIONS.contains(&operation.as_str()) {
                return Err(Finding::new(field, format!("invalid operation {operation:?}: must be one of CREATE, UPDATE, *")));
            }
        }
        if one.operations.len() > 1 && one.operations.iter().any(|operation| operation == "*") {
            return Err(Finding::new(field, "wildcard \"*\" must not be combined with other operations"));
        }
    }
    if all.is_empty() {
        return Err(Finding::new("spec.applyTo", "applyTo is required: groups, versions and kinds that the mutator changes"));
    }
    Ok(all)
}
