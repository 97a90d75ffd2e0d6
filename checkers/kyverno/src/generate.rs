//! `generate`: what a rule makes of an object's arrival.

use crate::{
    condition,
    context::{Context, QueryError},
    engine::{Response, load_context},
    matching::{kind_name, kind_selector},
    mutate::find_objects,
    result::Status,
    subject::Subject,
    validate::elements_of,
    variables,
};
use serde_json::{Map, Value, json};

pub fn rule(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value) -> Response {
    let empty = Value::Null;
    let generate = rule.get("generate").unwrap_or(&empty);
    let generated = match generate.get("foreach").and_then(Value::as_array).filter(|loops| !loops.is_empty()) {
        Some(loops) => foreach(context, subject, rule, loops),
        None => objects(context, subject, rule, generate),
    };
    match generated {
        Ok(generated) => {
            let mut response = Response::pass("");
            response.generated = generated;
            response
        }
        Err(error) => Response::new(Status::Error, error.to_string()),
    }
}

fn foreach(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value, loops: &[Value]) -> Result<Vec<Value>, QueryError> {
    let mut generated = Vec::new();
    for each in loops {
        let list = each.get("list").and_then(Value::as_str).unwrap_or_default();
        let elements = elements_of(context, list)?;
        context.checkpoint();
        let result = over_elements(context, subject, rule, each, &elements, &mut generated);
        context.restore();
        result?;
    }
    Ok(generated)
}

fn over_elements(
    context: &mut Context<'_>,
    subject: &Subject<'_>,
    rule: &Value,
    each: &Value,
    elements: &[Value],
    generated: &mut Vec<Value>,
) -> Result<(), QueryError> {
    for (i, element) in elements.iter().enumerate().filter(|(_, element)| !element.is_null()) {
        context.runtime.step()?;
        context.reset();
        context.set_element(element, i, 0);
        load_context(context, subject, rule, each.get("context"));
        if condition::hold(context, each.get("preconditions"))?.0 {
            generated.extend(objects(context, subject, rule, each)?);
        }
    }
    Ok(())
}

/// The objects of one block with `data`, `clone` or `cloneList`.
fn objects(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value, block: &Value) -> Result<Vec<Value>, QueryError> {
    let mut block = block.clone();
    if let Some(fields) = block.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "list" | "context" | "preconditions" | "foreach"));
    }
    let block = variables::substitute(context, &block)?;
    let text = |pointer: &str| block.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let known = &context.runtime.evidence.objects;
    let target =
        json!({ "apiVersion": text("/apiVersion"), "kind": text("/kind"), "namespace": text("/namespace"), "name": text("/name") });
    let (mut made, exists) = if !text("/clone/name").is_empty() {
        let own = text("/clone/namespace") == text("/namespace") && text("/clone/name") == text("/name");
        if own {
            return Ok(Vec::new());
        }
        let source = json!({
            "apiVersion": text("/apiVersion"), "kind": text("/kind"), "namespace": text("/clone/namespace"), "name": text("/clone/name"),
        });
        let Some(found) = find_objects(known, &source, None).into_iter().next() else {
            let (namespace, name) = (text("/clone/namespace"), text("/clone/name"));
            return Err(QueryError::Failed(format!("source resource {} {namespace}/{name} not found", text("/kind"))));
        };
        (vec![placed(clone_of(found), &target)], !find_objects(known, &target, None).is_empty())
    } else if block.pointer("/cloneList/kinds").is_some() {
        (clone_list(known, &block), false)
    } else {
        let data = block.get("data").filter(|data| !data.is_null()).cloned();
        let Some(data) = data else { return Ok(Vec::new()) };
        (vec![placed(data, &target)], !find_objects(known, &target, None).is_empty())
    };
    let synchronize = rule.pointer("/generate/synchronize").and_then(Value::as_bool).unwrap_or(false);
    // What exists already is only kept up where it is synchronized.
    if exists && !synchronize {
        return Ok(Vec::new());
    }
    for object in &mut made {
        label(object, subject, rule);
    }
    Ok(made)
}

fn clone_list(known: &[Value], block: &Value) -> Vec<Value> {
    let text = |pointer: &str| block.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut made = Vec::new();
    for kind in block.pointer("/cloneList/kinds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let [group, version, ..] = kind_selector(kind);
        let api_version = if group == "*" { version.to_owned() } else { format!("{group}/{version}") };
        let selector = json!({
            "apiVersion": api_version, "kind": kind_name(kind), "namespace": text("/cloneList/namespace"), "selector": block.pointer("/cloneList/selector"),
        });
        for found in find_objects(known, &selector, None) {
            let name = found.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            if text("/cloneList/namespace") == text("/namespace") {
                continue;
            }
            let target = json!({ "namespace": text("/namespace"), "name": name });
            made.push(placed(clone_of(found), &target));
        }
    }
    made
}

/// The object without what belongs to the original alone.
fn clone_of(source: &Value) -> Value {
    let mut copy = source.clone();
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        let own = ["uid", "selfLink", "creationTimestamp", "managedFields", "resourceVersion", "ownerReferences", "generation"];
        metadata.retain(|name, _| !own.contains(&name.as_str()));
    }
    if let Some(fields) = copy.as_object_mut() {
        fields.remove("status");
    }
    copy
}

fn placed(mut object: Value, target: &Value) -> Value {
    let text = |name: &str| target.get(name).and_then(Value::as_str).unwrap_or_default();
    if !object.is_object() {
        object = json!({});
    }
    for name in ["apiVersion", "kind"] {
        if !text(name).is_empty() && (name == "apiVersion" || object.get(name).is_none()) {
            object[name] = json!(text(name));
        }
    }
    if !object.get("metadata").is_some_and(Value::is_object) {
        object["metadata"] = json!({});
    }
    for name in ["name", "namespace"] {
        if text(name).is_empty() {
            if name == "namespace"
                && let Some(metadata) = object["metadata"].as_object_mut()
            {
                metadata.remove(name);
            }
        } else {
            object["metadata"][name] = json!(text(name));
        }
    }
    object
}

/// Where a generated object comes from, as Kyverno labels it.
fn label(object: &mut Value, subject: &Subject<'_>, rule: &Value) {
    let empty = Value::Null;
    let trigger = subject.object().unwrap_or(&empty);
    let text = |pointer: &str| trigger.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let policy_namespace = subject.policy.object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let api_version = text("/apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let rule = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let labels = [
        ("app.kubernetes.io/managed-by", "kyverno"),
        ("generate.kyverno.io/policy-name", subject.policy.name()),
        ("generate.kyverno.io/policy-namespace", policy_namespace),
        ("generate.kyverno.io/rule-name", rule),
        ("generate.kyverno.io/trigger-group", group),
        ("generate.kyverno.io/trigger-kind", text("/kind")),
        ("generate.kyverno.io/trigger-namespace", text("/metadata/namespace")),
        ("generate.kyverno.io/trigger-uid", text("/metadata/uid")),
        ("generate.kyverno.io/trigger-version", version),
    ];
    let metadata = &mut object["metadata"];
    if !metadata.get("labels").is_some_and(Value::is_object) {
        metadata["labels"] = Value::Object(Map::new());
    }
    for (name, value) in labels {
        metadata["labels"][name] = json!(value);
    }
}
