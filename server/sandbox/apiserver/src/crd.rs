//! CustomResourceDefinitions: what they add to what is served, and their own conditions.

use crate::{
    call::Call,
    client::Change,
    store::{State, Transaction},
};
use machinery::{
    Resource, Scheme,
    clock::rfc3339,
    defaults, object,
    resource::{CustomDefinition, Subresource},
};
use serde_json::{Value, json};
use std::{borrow::Cow, sync::Arc};

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const STATUS_VERBS: &[&str] = &["get", "patch", "update"];

/// Whether a change makes the served resources other ones.
pub(crate) fn defines_resources(change: &Change) -> bool {
    &*change.group == GROUP && &*change.resource == PLURAL
}

/// Everything that is served while `state` holds.
pub(crate) fn scheme(state: &State) -> Scheme {
    let custom = state.list(GROUP, PLURAL, None).flat_map(|definition| resources(&definition)).map(Arc::new).collect();
    Scheme::with_custom(custom)
}

fn owned(value: &Value) -> Cow<'static, str> {
    Cow::Owned(value.as_str().unwrap_or_default().to_owned())
}

fn texts(value: &Value) -> Vec<Cow<'static, str>> {
    value.as_array().map(|list| list.iter().map(owned).collect()).unwrap_or_default()
}

/// One resource for each served version; none while the names are not accepted.
fn resources(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let storage = versions.iter().find(|version| version["storage"] == true).map(|version| owned(&version["name"]));
    versions
        .iter()
        .filter(|version| version["served"] == true && names["plural"].is_string() && names["kind"].is_string())
        .map(|version| {
            let schema = version["schema"]["openAPIV3Schema"].clone();
            let mut subresources = Vec::new();
            if version["subresources"]["status"].is_object() {
                subresources.push(Subresource {
                    name: "status".into(),
                    group: owned(&spec["group"]),
                    version: owned(&version["name"]),
                    kind: owned(&names["kind"]),
                    verbs: STATUS_VERBS,
                });
            }
            if version["subresources"]["scale"].is_object() {
                subresources.push(Subresource {
                    name: "scale".into(),
                    group: "autoscaling".into(),
                    version: "v1".into(),
                    kind: "Scale".into(),
                    verbs: STATUS_VERBS,
                });
            }
            let singular = names["singular"].as_str().map_or_else(
                || Cow::Owned(names["kind"].as_str().unwrap_or_default().to_lowercase()),
                |singular| Cow::Owned(singular.to_owned()),
            );
            let this = owned(&version["name"]);
            Resource {
                group: owned(&spec["group"]),
                plural: owned(&names["plural"]),
                singular,
                kind: owned(&names["kind"]),
                namespaced: spec["scope"] == "Namespaced",
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                verbs: VERBS,
                subresources,
                storage: storage.as_ref().filter(|storage| **storage != this).map(|storage| (owned(&spec["group"]), storage.clone())),
                version: this,
                custom: Some(Arc::new({
                    let preserve = spec["preserveUnknownFields"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true;
                    let fields = version["selectableFields"].as_array();
                    let paths = |list: &Vec<Value>| list.iter().filter_map(|field| field["jsonPath"].as_str().map(str::to_owned)).collect();
                    let columns = version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default();
                    CustomDefinition::new(schema, columns, preserve, fields.map(paths).unwrap_or_default())
                })),
            }
        })
        .collect()
}

/// Where `scale` of a custom resource reads and writes: the version's `subresources.scale`.
pub(crate) fn scale_paths(state: &State, resource: &Resource) -> Option<Value> {
    let definition = state.get(GROUP, PLURAL, "", &format!("{}.{}", resource.plural, resource.group))?;
    let versions = definition["spec"]["versions"].as_array()?;
    versions.iter().find(|version| version["name"] == *resource.version).map(|version| version["subresources"]["scale"].clone())
}

/// Accepts the names and establishes the definition, which a real server's controllers do a moment later.
pub(crate) fn establish(call: &Call, definition: &mut Value) {
    let names = definition["spec"]["names"].clone();
    let mut accepted = names.clone();
    if accepted["listKind"].is_null() {
        accepted["listKind"] = format!("{}List", names["kind"].as_str().unwrap_or_default()).into();
    }
    if accepted["singular"].is_null() {
        accepted["singular"] = names["kind"].as_str().unwrap_or_default().to_lowercase().into();
    }
    definition["spec"]["names"] = accepted.clone();
    if definition["spec"]["conversion"].is_null() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
    let stored: Vec<Value> = definition["spec"]["versions"]
        .as_array()
        .map(|versions| versions.iter().filter(|version| version["storage"] == true).map(|version| version["name"].clone()).collect())
        .unwrap_or_default();
    let mut stored_versions = definition["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
    for version in stored {
        if !stored_versions.contains(&version) {
            stored_versions.push(version);
        }
    }
    let at = rfc3339(call.now);
    let mut conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for (kind, reason, message) in [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ] {
        if !conditions.iter().any(|condition| condition["type"] == kind) {
            conditions.push(json!({"type": kind, "status": "True", "lastTransitionTime": at, "reason": reason, "message": message}));
        }
    }
    definition["status"] = json!({"acceptedNames": accepted, "conditions": conditions, "storedVersions": stored_versions});
}

/// With a definition go its objects, in the same write.
pub(crate) fn remove_instances(transaction: &mut Transaction, definition: &Value) {
    let group = definition["spec"]["group"].as_str().unwrap_or_default().to_owned();
    let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default().to_owned();
    let instances: Vec<_> = transaction
        .state
        .list(&group, &plural, None)
        .map(|instance| (object::namespace(&instance).to_owned(), object::name(&instance).to_owned()))
        .collect();
    for (namespace, name) in instances {
        transaction.remove(&group, &plural, &namespace, &name);
    }
}

/// Defaults of a built-in kind, or those of a custom resource's schema.
pub(crate) fn set_defaults(resource: &Resource, object: &mut Value) {
    match &resource.custom {
        None => defaults::set(resource, object),
        Some(definition) => {
            if let Some(properties) = definition.schema["properties"].as_object() {
                // apiVersion, kind and metadata are the API server's own.
                for (name, schema) in properties.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata")) {
                    set_property(schema, object, name, 0);
                }
            }
        }
    }
}

/// Nesting of a schema that is followed.
const DEPTH: usize = 100;

fn set_property(schema: &Value, parent: &mut Value, name: &str, depth: usize) {
    let Some(parent) = parent.as_object_mut().filter(|_| depth < DEPTH) else { return };
    let missing = parent.get(name).is_none_or(|held| held.is_null() && schema["nullable"] != true);
    if missing && !schema["default"].is_null() {
        parent.insert(name.to_owned(), schema["default"].clone());
    }
    if let Some(value) = parent.get_mut(name) {
        set_below(schema, value, depth + 1);
    }
}

fn set_below(schema: &Value, value: &mut Value, depth: usize) {
    if depth > DEPTH {
        return;
    }
    if let Some(items) = value.as_array_mut() {
        for item in items {
            set_below(&schema["items"], item, depth + 1);
        }
        return;
    }
    if !value.is_object() {
        return;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        set_property(property, value, name, depth);
    }
    if schema["additionalProperties"].is_object() {
        for held in value.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
            set_below(&schema["additionalProperties"], held, depth + 1);
        }
    }
}
