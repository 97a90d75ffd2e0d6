//! CustomResourceDefinitions, and custom resources against the schema of their definition (the messages are those of
//! k8s.io/kube-openapi's validation).

use super::kit::{Errors, has, immutable, list, supported_or_refuse, text};
use super::{names, rules};
use crate::field::FieldError;
use crate::strategy::equal;
use serde_json::Value;
use std::collections::BTreeSet;

const MAX_DEPTH: usize = 64;

pub(super) fn definition(errors: &mut Errors, new: &Value, old: Option<&Value>) {
    let spec = &new["spec"];
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let name = crate::object::name(new);
    let wanted = format!("{plural}.{group}");
    if name != wanted {
        errors.push(FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else {
        let messages = names::dns_subdomain(group);
        if !messages.is_empty() {
            errors.push(FieldError::invalid("spec.group", group, messages.join(",")));
        } else if !group.contains('.') {
            errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
        }
    }
    match text(&spec["scope"]) {
        "" => errors.push(FieldError::required("spec.scope", "")),
        scope => supported_or_refuse(errors, "spec.scope", scope, &["Cluster", "Namespaced"]),
    }
    resource_names(errors, &spec["names"]);
    versions(errors, spec, &new["status"]);
    if let Some(old) = old {
        let before = &old["spec"];
        let established = list(&old["status"]["conditions"]).iter().any(|c| c["type"] == "Established" && c["status"] == "True");
        if established {
            immutable(errors, "spec.scope", &spec["scope"], &before["scope"]);
            immutable(errors, "spec.names.kind", &spec["names"]["kind"], &before["names"]["kind"]);
        }
        immutable(errors, "spec.group", &spec["group"], &before["group"]);
        immutable(errors, "spec.names.plural", &spec["names"]["plural"], &before["names"]["plural"]);
    }
}

fn resource_names(errors: &mut Errors, all: &Value) {
    let mixed = |errors: &mut Errors, field: &str| {
        let value = text(&all[field]);
        let path = format!("spec.names.{field}");
        let messages = names::dns_1035_label(&value.to_lowercase());
        if value.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if !messages.is_empty() {
            let message = format!("may have mixed case, but should otherwise match: {}", messages.join(","));
            errors.push(FieldError::invalid(path, value, message));
        }
    };
    for field in ["plural", "singular"] {
        let value = text(&all[field]);
        let path = format!("spec.names.{field}");
        let messages = names::dns_1035_label(value);
        if value.is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        if !value.is_empty() && !messages.is_empty() {
            errors.push(FieldError::invalid(path, value, messages.join(",")));
        }
    }
    mixed(errors, "kind");
    mixed(errors, "listKind");
    for (field, rule) in [("shortNames", names::dns_1035_label as super::meta::NameRule), ("categories", names::dns_1035_label)] {
        for (index, name) in list(&all[field]).iter().enumerate() {
            let messages = rule(text(name));
            if !messages.is_empty() {
                errors.push(FieldError::invalid(format!("spec.names.{field}[{index}]"), text(name), messages.join(",")));
            }
        }
    }
    if !text(&all["kind"]).is_empty() && all["kind"] == all["listKind"] {
        errors.push(FieldError::invalid("spec.names.listKind", text(&all["listKind"]), "kind and listKind may not be the same"));
    }
}

fn versions(errors: &mut Errors, spec: &Value, status: &Value) {
    let all = list(&spec["versions"]);
    // One schema for all versions is looked at once, where older definitions had it.
    let shared = all.windows(2).all(|pair| pair[0]["schema"] == pair[1]["schema"]);
    let mut seen = BTreeSet::new();
    for (index, version) in all.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(&version["name"]);
        let messages = names::dns_1035_label(name);
        if !messages.is_empty() {
            errors.push(FieldError::invalid(format!("{path}.name"), name, messages.join(",")));
        }
        if !seen.insert(name) {
            errors.push(FieldError::invalid("spec.versions", name, "must contain unique version names"));
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        if !has(schema) {
            errors.push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), ""));
            continue;
        }
        if shared && index > 0 {
            continue;
        }
        let path = if shared { "spec.validation.openAPIV3Schema".to_owned() } else { format!("{path}.schema.openAPIV3Schema") };
        match text(&schema["type"]) {
            "object" => {}
            "" => errors.push(FieldError::required(format!("{path}.type"), "must not be empty at the root")),
            other => errors.push(FieldError::invalid(format!("{path}.type"), other, "must be object at the root")),
        }
        let before = errors.len();
        structural(errors, &path, schema, 0);
        rules_of(errors, &path, schema, 0);
        if errors.len() == before {
            let mut costs = rules::Costs::default();
            let root = rules::Place { path, often: Some(1), apart: None };
            compiled(errors, &root, schema, 0, &mut costs);
            costs.check(errors, &root.path);
        }
    }
    let storage = all.iter().filter(|v| v["storage"] == true).count();
    if list(&status["storedVersions"]).is_empty() {
        let message = "must have at least one stored version";
        errors.push(FieldError::invalid("status.storedVersions", &status["storedVersions"], message));
    }
    if storage != 1 {
        let message = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &spec["versions"], message));
    }
}

/// The form of the rules of every part of a schema.
fn rules_of(errors: &mut Errors, path: &str, schema: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for (path, part) in parts(path, schema) {
        rules_of(errors, &path, part, depth + 1);
    }
    rules::define(errors, path, schema);
}

/// Compiles the rules of every part of a schema.
pub(super) fn compiled(errors: &mut Errors, place: &rules::Place, schema: &Value, depth: usize, costs: &mut rules::Costs) {
    if depth > MAX_DEPTH {
        return;
    }
    let most = match text(&schema["type"]) {
        "array" => schema["maxItems"].as_u64(),
        "object" if schema["additionalProperties"].is_object() => schema["maxProperties"].as_u64(),
        _ => Some(1),
    };
    let often = place.often.zip(most).map(|(often, most)| often.saturating_mul(most));
    let is_apart = schema["type"] == "array" && schema["x-kubernetes-list-type"] != "map";
    let apart = place.apart.clone().or_else(|| is_apart.then(|| place.path.clone()));
    for (path, part) in parts(&place.path, schema) {
        compiled(errors, &rules::Place { path, often, apart: apart.clone() }, part, depth + 1, costs);
    }
    rules::compile(errors, place, schema, depth == 0, costs);
}

fn parts<'a>(path: &str, schema: &'a Value) -> Vec<(String, &'a Value)> {
    let mut parts: Vec<(String, &Value)> = Vec::new();
    for (name, property) in super::kit::entries(&schema["properties"]) {
        parts.push((format!("{path}.properties[{name}]"), property));
    }
    for field in ["items", "additionalProperties"] {
        if schema[field].is_object() {
            parts.push((format!("{path}.{field}"), &schema[field]));
        }
    }
    parts
}

/// Every part of a schema must say its type, and its default must fit it.
fn structural(errors: &mut Errors, path: &str, schema: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    if !schema["default"].is_null() {
        // The path of the schema stands before a message that names no field.
        let mut own = Errors::new();
        value(&mut own, "", schema, &schema["default"], 0);
        errors.extend(own.into_iter().map(|mut error| {
            error.detail = error.detail.trim_start().to_owned();
            error.field = format!("{path}.default{}", error.field);
            error
        }));
    }
    if schema["type"] == "array" && !has(&schema["items"]) {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    for (path, part) in parts(path, schema) {
        let any = part["x-kubernetes-int-or-string"] == true || part["x-kubernetes-preserve-unknown-fields"] == true;
        let kind = text(&part["type"]);
        if kind.is_empty() && !any {
            errors.push(FieldError::required(format!("{path}.type"), "must not be empty for specified object fields"));
        } else if !kind.is_empty() {
            let kinds = ["array", "boolean", "integer", "number", "object", "string"];
            supported_or_refuse(errors, &format!("{path}.type"), kind, &kinds);
        }
        structural(errors, &path, part, depth + 1);
    }
}

/// A custom resource against the schema of its version and the rules in it.
pub(super) fn resource(errors: &mut Errors, definition: &crate::resource::CustomDefinition, new: &Value, old: Option<&Value>) {
    instance(errors, &definition.schema, new);
    if let Some(rules) = definition.rules() {
        rules.check(errors, new, old);
    }
}

/// A custom resource against the `openAPIV3Schema` of its version.
fn instance(errors: &mut Errors, schema: &Value, object: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for name in list(&schema["required"]).iter().map(text) {
        if !has(&object[name]) {
            errors.push(FieldError::required(name, ""));
        }
    }
    for (name, part) in properties {
        if !matches!(name.as_str(), "metadata" | "apiVersion" | "kind") && has(&object[name]) {
            value(errors, name, part, &object[name], 0);
        }
    }
}

fn value(errors: &mut Errors, path: &str, schema: &Value, value: &Value, depth: usize) {
    if depth > MAX_DEPTH || (value.is_null() && schema["nullable"] == true) {
        return;
    }
    if !type_fits(schema, value) {
        let kind = text(&schema["type"]);
        let actual = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let quoted = crate::field::go_quote(actual);
        let kind = if schema["x-kubernetes-int-or-string"] == true { "integer,string" } else { kind };
        errors.push(FieldError::type_invalid(path, actual, format!("{path} in body must be of type {kind}: {quoted}")));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<_> = allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        let allowed: Vec<_> = allowed.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(path, value, &allowed));
    }
    match value {
        Value::Number(_) => number(errors, path, schema, value),
        Value::String(one) => string(errors, path, schema, one),
        Value::Array(values) => array(errors, path, schema, values, depth),
        Value::Object(_) => object(errors, path, schema, value, depth),
        _ => {}
    }
    for part in list(&schema["allOf"]) {
        self::value(errors, path, part, value, depth + 1);
    }
    let fits = |part: &Value| {
        let mut own = Errors::new();
        self::value(&mut own, path, part, value, depth + 1);
        own.is_empty()
    };
    let any = list(&schema["anyOf"]);
    if !any.is_empty() && !any.iter().any(fits) {
        errors.push(FieldError::invalid(path, value, format!("{path} in body must validate at least one schema (anyOf)")));
    }
    let one = list(&schema["oneOf"]);
    if !one.is_empty() && one.iter().filter(|part| fits(part)).count() != 1 {
        errors.push(FieldError::invalid(path, value, format!("{path} in body must validate one and only one schema (oneOf)")));
    }
    if has(&schema["not"]) && fits(&schema["not"]) {
        errors.push(FieldError::invalid(path, value, format!("{path} in body must not validate the schema (not)")));
    }
}

fn type_fits(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match text(&schema["type"]) {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    }
}

fn number(errors: &mut Errors, path: &str, schema: &Value, value: &Value) {
    let number = value.as_f64().unwrap_or_default();
    for (field, exclusive, words) in [("minimum", "exclusiveMinimum", "greater"), ("maximum", "exclusiveMaximum", "less")] {
        let Some(bound) = schema[field].as_f64() else { continue };
        let strict = schema[exclusive] == true;
        let (outside, at) = if field == "minimum" { (number < bound, number <= bound) } else { (number > bound, number >= bound) };
        if outside || (strict && at) {
            let or_equal = if strict { "" } else { " or equal to" };
            let message = format!("{path} in body should be {words} than{or_equal} {}", schema[field]);
            errors.push(FieldError::invalid(path, value, message));
        }
    }
    if let Some(step) = schema["multipleOf"].as_f64()
        && (number / step).fract() != 0.0
    {
        let message = format!("{path} in body should be a multiple of {}", schema["multipleOf"]);
        errors.push(FieldError::invalid(path, value, message));
    }
}

fn string(errors: &mut Errors, path: &str, schema: &Value, value: &str) {
    let length = value.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64()
        && length > most
    {
        errors.push(FieldError::too_long(path, usize::try_from(most).unwrap_or(usize::MAX)));
        return;
    }
    if let Some(least) = schema["minLength"].as_u64()
        && length < least
    {
        errors.push(FieldError::invalid(path, value, format!("{path} in body should be at least {least} chars long")));
        return;
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Ok(regexp) = go_regexp::Regexp::unanchored(pattern)
        && !regexp.is_match(value)
    {
        errors.push(FieldError::invalid(path, value, format!("{path} in body should match '{pattern}'")));
    }
    if schema["format"] == "date-time" && value.parse::<jiff::Timestamp>().is_err() {
        let message = format!("{path} in body must be of type date-time: {}", crate::field::go_quote(value));
        errors.push(FieldError::invalid(path, value, message));
    }
}

fn array(errors: &mut Errors, path: &str, schema: &Value, values: &[Value], depth: usize) {
    if let Some(most) = schema["maxItems"].as_u64()
        && values.len() as u64 > most
    {
        errors.push(FieldError::too_many(path, values.len(), usize::try_from(most).unwrap_or(usize::MAX)));
    }
    if let Some(least) = schema["minItems"].as_u64()
        && (values.len() as u64) < least
    {
        let message = format!("{path} in body should have at least {least} items");
        errors.push(FieldError::invalid(path, i64::try_from(values.len()).unwrap_or(i64::MAX), message));
    }
    let keys: Vec<_> = list(&schema["x-kubernetes-list-map-keys"]).iter().map(text).collect();
    let set = schema["uniqueItems"] == true || schema["x-kubernetes-list-type"] == "set";
    for (index, one) in values.iter().enumerate() {
        let same = |other: &Value| {
            if keys.is_empty() { set && equal(other, one) } else { keys.iter().all(|key| other[*key] == one[*key]) }
        };
        if values[..index].iter().any(same) {
            // Of an item of a map, its keys are shown.
            let shown: Value = if keys.is_empty() {
                one.clone()
            } else {
                keys.iter().map(|key| ((*key).to_owned(), one[*key].clone())).collect::<serde_json::Map<_, _>>().into()
            };
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), &shown));
        }
        if schema["items"].is_object() {
            value(errors, &format!("{path}[{index}]"), &schema["items"], one, depth + 1);
        }
    }
}

fn object(errors: &mut Errors, path: &str, schema: &Value, owner: &Value, depth: usize) {
    for name in list(&schema["required"]).iter().map(text) {
        if owner.get(name).is_none() {
            errors.push(FieldError::required(format!("{path}.{name}"), ""));
        }
    }
    let fields = super::kit::entries(owner);
    if let Some(most) = schema["maxProperties"].as_u64()
        && fields.len() as u64 > most
    {
        errors.push(FieldError::too_many(path, fields.len(), usize::try_from(most).unwrap_or(usize::MAX)));
    }
    if let Some(least) = schema["minProperties"].as_u64()
        && (fields.len() as u64) < least
    {
        let message = format!("{path} in body should have at least {least} properties");
        errors.push(FieldError::invalid(path, i64::try_from(fields.len()).unwrap_or(i64::MAX), message));
    }
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        if schema["properties"][name].is_object() {
            value(errors, &path, &schema["properties"][name], field, depth + 1);
        } else if schema["additionalProperties"].is_object() {
            value(errors, &path, &schema["additionalProperties"], field, depth + 1);
        }
    }
}
