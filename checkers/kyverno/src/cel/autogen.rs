//! Policies on pods, rewritten for the controllers of pods.

use super::matching::rules;
use serde_json::{Value, json};

/// Groups of controllers with the same place for the pod's template.
const DEFAULTS: [(&str, &str); 5] =
    [("daemonsets", "apps"), ("deployments", "apps"), ("jobs", "batch"), ("replicasets", "apps"), ("statefulsets", "apps")];

/// Where the template of a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Template,
    CronJob,
}

impl Place {
    fn path(self) -> &'static str {
        match self {
            Self::Template => "spec.template",
            Self::CronJob => "spec.jobTemplate.spec.template",
        }
    }

    fn controllers(self, wanted: Option<&[Value]>) -> Vec<(&'static str, &'static str)> {
        let all: &[(&str, &str)] = match self {
            Self::Template => &DEFAULTS,
            Self::CronJob => &[("cronjobs", "batch")],
        };
        all.iter().copied().filter(|(name, _)| wanted.is_none_or(|wanted| wanted.iter().any(|given| given == name))).collect()
    }
}

/// The specs of a ValidatingPolicy or ImageValidatingPolicy for controllers; none where the policy is not about pods alone.
pub(super) fn validating(spec: &Value) -> Vec<Value> {
    generated(spec, rewrite)
}

/// The same for a MutatingPolicy, where what is applied is wrapped too.
pub(super) fn mutating(spec: &Value) -> Vec<Value> {
    generated(spec, |spec, place| {
        for condition in spec["matchConditions"].as_array_mut().into_iter().flatten() {
            convert(&mut condition["expression"], place);
        }
        for mutation in spec["mutations"].as_array_mut().into_iter().flatten() {
            if mutation["applyConfiguration"].is_object() {
                convert(&mut mutation["applyConfiguration"]["expression"], place);
            }
        }
    })
}

fn generated(spec: &Value, change: impl Fn(&mut Value, Place)) -> Vec<Value> {
    if !applies(&spec["matchConstraints"]) {
        return Vec::new();
    }
    let wanted = spec.pointer("/autogen/podControllers/controllers").and_then(Value::as_array).map(Vec::as_slice);
    let operations = &spec["matchConstraints"]["resourceRules"][0]["operations"];
    let mut specs = Vec::new();
    for place in [Place::CronJob, Place::Template] {
        let controllers = place.controllers(wanted);
        if controllers.is_empty() || rules(operations).is_empty() {
            continue;
        }
        let mut spec = spec.clone();
        let mut resource_rules = Vec::new();
        for group in ["apps", "batch"] {
            let resources: Vec<_> = controllers.iter().filter(|(_, of)| *of == group).map(|(name, _)| *name).collect();
            if !resources.is_empty() {
                let rule = json!({ "apiGroups": [group], "apiVersions": ["v1"], "resources": resources, "operations": operations });
                resource_rules.push(rule);
            }
        }
        let selector = spec["matchConstraints"]["namespaceSelector"].clone();
        spec["matchConstraints"] = json!({ "resourceRules": resource_rules, "namespaceSelector": selector });
        change(&mut spec, place);
        specs.push(spec);
    }
    specs
}

/// Only policies on `pods` of v1, without object selector, names and exclusions, are rewritten.
fn applies(constraints: &Value) -> bool {
    let selector = &constraints["objectSelector"];
    let selects =
        selector["matchLabels"].as_object().is_some_and(|labels| !labels.is_empty()) || !rules(&selector["matchExpressions"]).is_empty();
    let [rule] = rules(&constraints["resourceRules"]) else { return false };
    !selects
        && rules(&constraints["excludeResourceRules"]).is_empty()
        && rules(&rule["resourceNames"]).is_empty()
        && rule["apiGroups"] == json!([""])
        && rule["apiVersions"] == json!(["v1"])
        && rule["resources"] == json!(["pods"])
}

/// Replaces `object.spec` and `object.metadata` in every text of the spec.
fn rewrite(value: &mut Value, place: Place) {
    match value {
        Value::String(text) => *text = rewritten(text, place),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, place)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rewrite(field, place)),
        _ => {}
    }
}

fn rewritten(text: &str, place: Place) -> String {
    let mut text = text.to_owned();
    for field in ["spec", "metadata"] {
        for object in ["object", "oldObject"] {
            text = replaced(&text, &format!("{object}.{field}"), &format!("{object}.{}.{field}", place.path()));
        }
    }
    text
}

/// The namespace is the controller's own: `object.metadata.namespace` stays.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let behind = &rest[at + from.len()..];
        let protected =
            behind.strip_prefix(".namespace").is_some_and(|next| !next.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric()));
        out += &rest[..at];
        out += if protected { from } else { to };
        rest = behind;
    }
    out + rest
}

/// An expression of a mutation.
fn convert(expression: &mut Value, place: Place) {
    let Value::String(text) = expression else { return };
    let mut converted = text.clone();
    for (field, below) in [("spec", "spec"), ("metadata.labels", "metadata.labels"), ("metadata.annotations", "metadata.annotations")] {
        for object in ["object", "oldObject", "Object"] {
            converted = replaced_word(&converted, object, field, &format!("{}.{below}", place.path()));
        }
    }
    *text = wrapped(&converted, place);
}

/// `object.spec` where `object` is a whole word.
fn replaced_word(text: &str, object: &str, from: &str, to: &str) -> String {
    let whole = format!("{object}.{from}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&whole) {
        let before = rest[..at].chars().next_back().or_else(|| out.chars().next_back());
        let is_word = !before.is_some_and(|c| c == '_' || c.is_ascii_alphanumeric());
        out += &rest[..at];
        if is_word {
            out += &format!("{object}.{to}");
        } else {
            out += &whole;
        }
        rest = &rest[at + whole.len()..];
    }
    out + rest
}

/// `Object{…}` becomes what lies in the template.
fn wrapped(text: &str, place: Place) -> String {
    let trimmed = text.trim();
    let Some(content) = trimmed.strip_prefix("Object").and_then(|rest| rest.trim_start().strip_prefix('{')) else {
        return text.to_owned();
    };
    let mut open = 1_usize;
    let end = content.char_indices().find_map(|(at, letter)| {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        (open == 0).then_some(at)
    });
    let Some(end) = end.filter(|end| *end > 0) else { return text.to_owned() };
    let (inner, behind) = (&content[..end], &content[end + 1..]);
    let mut out = "Object{".to_owned();
    let mut name = "Object".to_owned();
    let steps: Vec<_> = place.path().split('.').collect();
    for step in &steps {
        name += &format!(".{step}");
        out += &format!("{step}: {name}{{");
    }
    out += inner;
    out += &"}".repeat(steps.len() + 1);
    out + behind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(validation: &str) -> Value {
        json!({
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]},
            "validations": [{"expression": validation}],
        })
    }

    #[test]
    fn for_controllers() {
        let expression = "object.spec.x && object.metadata.labels.y && object.metadata.namespace == 'z' && object.metadata.namespaces";
        let specs = validating(&spec(expression));
        let expressions: Vec<_> = specs.iter().map(|spec| spec["validations"][0]["expression"].as_str().unwrap_or_default()).collect();
        assert_eq!(
            expressions,
            [
                "object.spec.jobTemplate.spec.template.spec.x && object.spec.jobTemplate.spec.template.metadata.labels.y \
                 && object.metadata.namespace == 'z' && object.spec.jobTemplate.spec.template.metadata.namespaces",
                "object.spec.template.spec.x && object.spec.template.metadata.labels.y \
                 && object.metadata.namespace == 'z' && object.spec.template.metadata.namespaces",
            ]
        );
        assert_eq!(specs[0]["matchConstraints"]["resourceRules"][0]["resources"], json!(["cronjobs"]));
        assert_eq!(specs[1]["matchConstraints"]["resourceRules"][1]["resources"], json!(["jobs"]));
    }

    #[test]
    fn only_the_controllers_that_are_named() {
        let mut spec = spec("true");
        spec["autogen"] = json!({"podControllers": {"controllers": ["deployments"]}});
        let specs = validating(&spec);
        assert_eq!(specs.len(), 1);
        assert_eq!(specs[0]["matchConstraints"]["resourceRules"].as_array().map(Vec::len), Some(1));
        spec["matchConstraints"]["objectSelector"] = json!({"matchLabels": {"a": "b"}});
        assert_eq!(validating(&spec), Vec::<Value>::new());
    }

    #[test]
    fn mutations_are_wrapped() {
        let mut expression = json!("Object{spec: Object.spec{x: object.spec.x}}");
        convert(&mut expression, Place::Template);
        let wanted = "Object{spec: Object.spec{template: Object.spec.template{\
                      spec: Object.spec.template.spec{x: object.spec.template.spec.x}}}}";
        assert_eq!(expression, json!(wanted));
    }
}
