//! Rules for pods, written again for the controllers of pods (<https://kyverno.io/docs/policy-types/cluster-policy/autogen/>).

use crate::matching::{kind_name, kinds_of, texts};
use serde_json::{Map, Value, json};

const ANNOTATION: &str = "pod-policies.kyverno.io/autogen-controllers";
const CONTROLLERS: [&str; 7] = ["DaemonSet", "Deployment", "Job", "StatefulSet", "ReplicaSet", "ReplicationController", "CronJob"];
const LONGEST_NAME: usize = 63;

/// The rules of a policy as they apply to a kind, or to all kinds.
pub fn rules_for(policy: &Value, kind: Option<&str>) -> Vec<Value> {
    let rules: Vec<Value> = policy.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap_or_default();
    if !is_supported(&rules) {
        return rules;
    }
    let annotation = policy.pointer("/metadata/annotations").and_then(|map| map.get(ANNOTATION)).and_then(Value::as_str);
    let wanted: Vec<&str> = annotation.map_or_else(|| CONTROLLERS.to_vec(), |list| list.split(',').collect());
    let controllers = match kind {
        Some(kind) if !wanted.contains(&kind) => return rules,
        Some(kind) => vec![kind],
        None if wanted == ["none"] => return rules,
        None => wanted,
    };
    let generated: Vec<Value> = rules.iter().flat_map(|rule| generate(rule, &controllers)).collect();
    if generated.is_empty() {
        return rules;
    }
    rules.into_iter().filter(|rule| !name_of(rule).starts_with("autogen-")).chain(generated).collect()
}

fn name_of(rule: &Value) -> &str {
    rule.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether rules can be generated for the policy at all: for all of its rules or for none.
fn is_supported(rules: &[Value]) -> bool {
    let mut needed = false;
    for rule in rules {
        let given = |pointer: &str| rule.pointer(pointer).is_some_and(|v| v.as_str().is_none_or(|text| !text.is_empty()) && !v.is_null());
        let in_loop = |each: &Value| each.get("patchesJson6902").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let loops = rule.pointer("/mutate/foreach").and_then(Value::as_array);
        if given("/generate") || given("/mutate/patchesJson6902") || loops.is_some_and(|list| list.iter().any(in_loop)) {
            return false;
        }
        let blocks = [rule.get("match"), rule.get("exclude")].into_iter().flatten();
        for filter in blocks.flat_map(|block| {
            let listed = ["any", "all"].into_iter().filter_map(|name| block.get(name)).filter_map(Value::as_array).flatten();
            std::iter::once(block).chain(listed)
        }) {
            let Some(resources) = filter.get("resources").and_then(Value::as_object) else { continue };
            let kinds = texts(resources.get("kinds"));
            let set = |name: &str| {
                resources.get(name).is_some_and(|v| !v.is_null() && v.as_str() != Some("") && v.as_array().is_none_or(|l| !l.is_empty()))
            };
            let mixed = kinds.len() > 1 && kinds.iter().any(|kind| kind_name(kind) == "Pod");
            if ["name", "names", "selector", "annotations"].into_iter().any(set) || mixed {
                return false;
            }
            needed = needed || kinds.iter().any(|kind| *kind == "Pod" || CONTROLLERS.contains(kind));
        }
    }
    needed
}

fn generate(rule: &Value, controllers: &[&str]) -> Vec<Value> {
    let mut generated = Vec::new();
    let mut others: Vec<&str> = controllers.iter().copied().filter(|c| *c != "CronJob").collect();
    others.sort_unstable();
    if let Some(found) = for_controllers(rule, &others) {
        generated.extend(shifted(&found, "spec.template"));
    }
    let cron = controllers.iter().any(|c| c.contains("CronJob") || c.contains("all"));
    let mut all: Vec<&str> = controllers.to_vec();
    all.sort_unstable();
    if cron
        && let Some(found) = for_controllers(rule, &all)
        && let Some(found) = rewritten(&found, &prefixed("autogen-cronjob", name_of(rule)), "jobTemplate", &["CronJob"], false)
    {
        generated.extend(shifted(&found, "spec.jobTemplate.spec.template"));
    }
    generated
}

/// The name of a generated rule, which is cut where it is too long.
pub fn prefixed(prefix: &str, name: &str) -> String {
    format!("{prefix}-{name}").chars().take(LONGEST_NAME).collect()
}

fn for_controllers(rule: &Value, controllers: &[&str]) -> Option<Value> {
    let has_pod = |kinds: &[&str]| kinds.iter().any(|kind| kind_name(kind) == "Pod");
    if name_of(rule).starts_with("autogen-") || controllers.is_empty() || controllers == [""] {
        return None;
    }
    let matched = rule.get("match").map(kinds_of).unwrap_or_default();
    let excluded = rule.get("exclude").map(kinds_of).unwrap_or_default();
    if !has_pod(&matched) || !excluded.is_empty() && !has_pod(&excluded) {
        return None;
    }
    let known: Vec<&str> = controllers.iter().copied().filter(|c| *c != "CronJob" && CONTROLLERS.contains(c)).collect();
    let kinds: Vec<&str> = match controllers {
        ["all"] => CONTROLLERS.into_iter().filter(|c| *c != "CronJob").collect(),
        _ if known.is_empty() => controllers.to_vec(),
        _ => known,
    };
    rewritten(rule, &prefixed("autogen", name_of(rule)), "template", &kinds, true)
}

/// The rule with another name and other kinds, and with what it says of a pod below `spec.<key>`.
fn rewritten(rule: &Value, name: &str, key: &str, kinds: &[&str], pods_only: bool) -> Option<Value> {
    let mut rule = rule.as_object()?.clone();
    rule.insert("name".to_owned(), json!(name));
    let matches = rule.entry("match").or_insert_with(|| json!({}));
    set_kinds(matches, kinds, pods_only, true);
    if let Some(exclude) = rule.get_mut("exclude").filter(|exclude| exclude.is_object()) {
        set_kinds(exclude, kinds, pods_only, false);
    }
    let below = |value: &Value| json!({ "spec": { key: value } });
    if let Some(mutate) = rule.get_mut("mutate").filter(|mutate| mutate.is_object()) {
        if let Some(patch) = mutate.get("patchStrategicMerge").filter(|patch| !patch.is_null()) {
            *mutate = json!({ "patchStrategicMerge": below(patch) });
            return Some(Value::Object(rule));
        }
        if let Some(loops) = mutate.get("foreach").and_then(Value::as_array).filter(|loops| !loops.is_empty()) {
            let each = loops.iter().map(|each| {
                let mut fields: Map<String, Value> = Map::new();
                for name in ["list", "context", "preconditions"] {
                    fields.extend(each.get(name).map(|value| (name.to_owned(), value.clone())));
                }
                fields.insert("patchStrategicMerge".to_owned(), below(each.get("patchStrategicMerge").unwrap_or(&Value::Null)));
                Value::Object(fields)
            });
            *mutate = json!({ "foreach": each.collect::<Vec<_>>() });
            return Some(Value::Object(rule));
        }
    }
    if let Some(validate) = rule.get_mut("validate").and_then(Value::as_object_mut).filter(|validate| !validate.is_empty()) {
        let only = ["pattern", "deny", "podSecurity", "anyPattern", "foreach", "cel", "assert"];
        let form = only.into_iter().find(|name| validate.get(*name).is_some_and(|value| !value.is_null()))?;
        if form != "cel" && form != "assert" {
            validate.retain(|name, _| name == form || !only.contains(&name.as_str()));
        }
        let value = validate.get_mut(form)?;
        match form {
            "pattern" => *value = below(value),
            "anyPattern" => {
                let patterns = value.as_array()?.iter().map(below).collect();
                *value = Value::Array(patterns);
            }
            "assert" => {
                for node in ["object", "oldObject"] {
                    if let Some(object) = value.get_mut(node).filter(|object| object.is_object()) {
                        *object = below(object);
                    }
                }
            }
            _ => {}
        }
        return Some(Value::Object(rule));
    }
    rule.get("verifyImages").is_some_and(|list| !list.is_null()).then(|| Value::Object(rule.clone()))
}

fn set_kinds(block: &mut Value, kinds: &[&str], pods_only: bool, always: bool) {
    for name in ["any", "all"] {
        let Some(list) = block.get_mut(name).and_then(Value::as_array_mut).filter(|list| !list.is_empty()) else { continue };
        for filter in list {
            let is_pod = texts(filter.pointer("/resources/kinds")).into_iter().any(|kind| kind_name(kind) == "Pod");
            if is_pod || !pods_only {
                filter["resources"]["kinds"] = json!(kinds);
            }
        }
        return;
    }
    if always || !texts(block.pointer("/resources/kinds")).is_empty() {
        block["resources"]["kinds"] = json!(kinds);
    }
}

/// What the rule says of the request's object now says it of the pod's template.
fn shifted(rule: &Value, template: &str) -> Option<Value> {
    let keep = [
        "name",
        "match",
        "exclude",
        "context",
        "celPreconditions",
        "preconditions",
        "mutate",
        "validate",
        "verifyImages",
        "skipBackgroundRequests",
    ];
    let fields: Map<String, Value> =
        rule.as_object()?.iter().filter(|(name, _)| keep.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect();
    let in_cel = fields.get("validate").and_then(|validate| validate.get("cel")).is_some_and(|cel| !cel.is_null());
    let mut text = Value::Object(fields).to_string();
    let objects: &[&str] = if in_cel { &["object", "oldObject"] } else { &["request.object", "request.oldObject"] };
    for part in ["spec", "metadata"] {
        for object in objects {
            text = text.replace(&format!("{object}.{part}"), &format!("{object}.{template}.{part}"));
        }
    }
    serde_json::from_str(&text).ok()
}
