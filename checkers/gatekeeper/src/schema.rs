//! The CustomResourceDefinition that a template stands for, and constraints against it.

use crate::{Finding, text};
use machinery::{
    Resource, Scheme, defaults,
    field::FieldError,
    object,
    resource::CustomDefinition,
    strict::{self, FieldValidation},
    validation,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(crate) const GROUP: &str = "constraints.gatekeeper.sh";
const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];
/// Where a template's own schema lies in the definition, as the messages of its validation begin.
const PARAMETERS: &str = "spec.validation.openAPIV3Schema.properties[spec].properties[parameters]";
const LONGEST_NAME: usize = 63;
/// Deepest part of a schema that defaults are looked for in.
const MAX_DEPTH: usize = 64;

/// What constraints of a template must look like.
#[derive(Debug)]
pub(crate) struct Definition {
    resource: Resource,
    /// The CustomResourceDefinition as Gatekeeper's controller makes it.
    pub object: Value,
}

/// Why a constraint does not fit, told apart as gator's `invalid` tests tell it apart.
pub(crate) enum Misfit {
    Schema(Vec<Finding>),
    Unknown(Vec<Finding>),
}

impl Definition {
    /// `parameters` is the template's schema, if it has one.
    pub fn new(kind: &str, names: &Value, parameters: Option<Value>) -> Result<Self, Vec<Finding>> {
        let schema = schema(parameters);
        let plural = kind.to_lowercase();
        let mut definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{GROUP}"), "labels": {"gatekeeper.sh/constraint": "yes"}},
            "spec": {
                "group": GROUP,
                "scope": "Cluster",
                "names": {
                    "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": plural,
                    "shortNames": names["shortNames"], "categories": ["constraint", "constraints"],
                },
                "versions": VERSIONS.map(|version| json!({
                    "name": version, "served": true, "storage": version == VERSIONS[0],
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "enforcement-action", "type": "string", "jsonPath": ".spec.enforcementAction"},
                        {"name": "total-violations", "type": "integer", "jsonPath": ".status.totalViolations"},
                    ],
                })),
            },
        });
        if let Some(names) = definition["spec"]["names"].as_object_mut() {
            names.retain(|_, value| !value.is_null());
        }
        let findings = match Scheme::find_builtin("apiextensions.k8s.io", "v1", "customresourcedefinitions") {
            Some(of_definitions) => validate(of_definitions, definition.clone()),
            None => Vec::new(),
        };
        if !findings.is_empty() {
            return Err(findings);
        }
        let custom = CustomDefinition::new(schema, Vec::new(), false, Vec::new());
        let resource = Resource {
            group: GROUP.into(),
            version: VERSIONS[0].into(),
            plural: plural.clone().into(),
            singular: plural.into(),
            kind: kind.to_owned().into(),
            namespaced: false,
            short_names: Vec::new(),
            categories: Vec::new(),
            verbs: &[],
            subresources: Vec::new(),
            storage: None,
            custom: Some(Arc::new(custom)),
        };
        Ok(Self { resource, object: definition })
    }

    /// Validates a constraint and fills in the defaults.
    pub fn check(&self, constraint: &mut Value) -> Result<(), Misfit> {
        let found: Vec<_> = validation::create(&self.resource, constraint).into_iter().map(finding).collect();
        if !found.is_empty() {
            // The schema says nothing of metadata but the length of the name.
            let of_schema = found.iter().any(|finding| !finding.field.starts_with("metadata"));
            return Err(if of_schema { Misfit::Schema(found) } else { Misfit::Unknown(found) });
        }
        if object::name(constraint).len() > LONGEST_NAME {
            let message = format!("Too long: may not be more than {LONGEST_NAME} bytes");
            return Err(Misfit::Schema(vec![Finding::new("metadata.name", message)]));
        }
        let mut pruned = constraint.clone();
        if let Err(error) = strict::check(&self.resource, &mut pruned, FieldValidation::Strict) {
            return Err(Misfit::Unknown(vec![Finding::new("spec", error.message)]));
        }
        if let Some(custom) = &self.resource.custom {
            fill(&custom.schema, constraint, 0);
        }
        Ok(())
    }
}

fn finding(error: FieldError) -> Finding {
    Finding::new(error.field.clone(), error.body())
}

/// What is wrong with the definition, in fields of the template.
fn validate(of_definitions: &Resource, mut definition: Value) -> Vec<Finding> {
    definition["status"] = json!({"storedVersions": [VERSIONS[0]]});
    defaults::set(of_definitions, &mut definition);
    let errors = validation::create(of_definitions, &definition);
    let moved = errors.into_iter().map(|mut error| {
        error.field = match (error.field.strip_prefix(PARAMETERS), error.field.strip_prefix("spec.names")) {
            (Some(rest), _) => format!("spec.crd.spec.validation.openAPIV3Schema{rest}"),
            (None, Some(rest)) => format!("spec.crd.spec.names{rest}"),
            (None, None) => "spec.crd".to_owned(),
        };
        finding(error)
    });
    moved.collect()
}

/// The schema of a whole constraint.
fn schema(parameters: Option<Value>) -> Value {
    let mut spec = Map::new();
    spec.insert("match".to_owned(), match_schema());
    spec.insert("enforcementAction".to_owned(), json!({"type": "string", "default": "deny"}));
    let point = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let scoped = json!({"action": {"type": "string"}, "enforcementPoints": {"type": "array", "items": point}});
    let scoped = json!({"type": "array", "items": {"type": "object", "properties": scoped}});
    spec.insert("scopedEnforcementActions".to_owned(), scoped);
    if let Some(parameters) = parameters {
        spec.insert("parameters".to_owned(), parameters);
    }
    json!({
        "type": "object",
        "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": LONGEST_NAME}}},
            "spec": {"type": "object", "properties": spec},
            "status": {"x-kubernetes-preserve-unknown-fields": true},
        },
    })
}

/// `spec.match`, as [`crate::Match`] reads it.
fn match_schema() -> Value {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let glob = json!({"type": "string", "pattern": r"^\*?[-:a-z0-9]*\*?$"});
    let globs = json!({"type": "array", "items": glob});
    let selector = json!({
        "type": "object",
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
            "matchExpressions": {"type": "array", "items": {
                "type": "object",
                "required": ["key", "operator"],
                "properties": {"key": {"type": "string"}, "operator": {"type": "string"}, "values": texts},
            }},
        },
    });
    json!({
        "type": "object",
        "properties": {
            "kinds": {"type": "array", "items": {"type": "object", "properties": {"apiGroups": texts, "kinds": texts}}},
            "scope": {"type": "string"},
            "namespaces": globs,
            "excludedNamespaces": globs,
            "labelSelector": selector,
            "namespaceSelector": selector,
            "name": glob,
            "source": {"type": "string", "enum": ["All", "Generated", "Original"]},
        },
    })
}

/// A template's `openAPIV3Schema`, where `legacySchema` allows fields that it does not describe.
pub(crate) fn preserve_unknown(schema: &mut Value, depth: usize) {
    if depth > MAX_DEPTH || !schema.is_object() {
        return;
    }
    match text(&schema["type"]) {
        "" | "object" => schema["x-kubernetes-preserve-unknown-fields"] = true.into(),
        "array" if !schema["items"].is_object() => {
            schema["items"] = json!({"x-kubernetes-preserve-unknown-fields": true});
        }
        _ => {}
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| preserve_unknown(property, depth + 1));
    }
    for part in ["items", "additionalProperties"] {
        if let Some(part) = schema.get_mut(part) {
            preserve_unknown(part, depth + 1);
        }
    }
}

/// Fills in the defaults of a structural schema.
fn fill(schema: &Value, value: &mut Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let default = &property["default"];
                let absent = match fields.get(name) {
                    None => true,
                    Some(Value::Null) => property["nullable"] != true,
                    Some(_) => false,
                };
                if absent && !default.is_null() {
                    fields.insert(name.clone(), default.clone());
                }
                if let Some(held) = fields.get_mut(name) {
                    fill(property, held, depth + 1);
                }
            }
            if schema["additionalProperties"].is_object() {
                let described = |name: &String| schema["properties"].get(name).is_some();
                let others = fields.iter_mut().filter(|(name, _)| !described(name));
                others.for_each(|(_, held)| fill(&schema["additionalProperties"], held, depth + 1));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item, depth + 1)),
        _ => {}
    }
}
