//! `scale` of deployments, replica sets, stateful sets, replication controllers and custom resources: `autoscaling/v1` Scale.

use crate::{
    call::Call,
    crd,
    verbs::{
        get,
        patch::PatchKind,
        update::{self, Tracking},
    },
};
use machinery::{ApiError, FieldError, Resource, object, patch};
use serde_json::{Value, json};

const LARGEST: i64 = i32::MAX as i64;

/// Where the resource keeps what a Scale shows, as JSON pointers.
#[derive(Debug)]
struct Paths {
    spec: String,
    status: String,
    selector: Option<String>,
}

fn paths(call: &Call) -> Paths {
    let pointer = |path: &str| path.replace('.', "/");
    if call.resource.custom.is_some() {
        let scale = crd::scale_paths(&call.server.state(), &call.resource).unwrap_or_default();
        return Paths {
            spec: pointer(scale["specReplicasPath"].as_str().unwrap_or(".spec.replicas")),
            status: pointer(scale["statusReplicasPath"].as_str().unwrap_or(".status.replicas")),
            selector: scale["labelSelectorPath"].as_str().map(pointer),
        };
    }
    Paths { spec: "/spec/replicas".to_owned(), status: "/status/replicas".to_owned(), selector: None }
}

/// The Scale of an object.
pub(crate) fn scale_of(call: &Call, owner: &Value) -> Value {
    let paths = paths(call);
    let count = |path: &str| owner.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !owner["metadata"][field].is_null() {
            metadata[field] = owner["metadata"][field].clone();
        }
    }
    let mut status = json!({"replicas": count(&paths.status)});
    let selector = match &paths.selector {
        Some(path) => owner.pointer(path).and_then(Value::as_str).map(str::to_owned),
        None => Some(selector_text(&owner["spec"]["selector"])),
    };
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        status["selector"] = selector.into();
    }
    let mut spec = json!({});
    if count(&paths.spec) != 0 {
        spec["replicas"] = count(&paths.spec).into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A label selector in one line, as `LabelSelectorAsSelector(…).String()` prints it.
fn selector_text(selector: &Value) -> String {
    let plain = selector.as_object().filter(|map| map.values().all(Value::is_string));
    let pairs = plain.or_else(|| selector["matchLabels"].as_object());
    let mut parts: Vec<(String, String)> =
        pairs.into_iter().flatten().map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or_default()))).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<_> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), text));
    }
    parts.sort();
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

pub(crate) fn read(call: &Call) -> Result<Value, ApiError> {
    Ok(scale_of(call, &*get::get(call)?))
}

/// PUT of a Scale.
pub(crate) fn replace(call: &mut Call, scale: Value) -> Result<Value, ApiError> {
    write(call, move |_| Ok(scale))
}

/// PATCH of a Scale.
pub(crate) fn patch(call: &mut Call, kind: PatchKind, body: &Value) -> Result<Value, ApiError> {
    let resource = own_kind(call);
    let validation = call.validation;
    write(call, |live| {
        let patched = match kind {
            PatchKind::Json => patch::json(live, body)?,
            PatchKind::Merge | PatchKind::Strategic | PatchKind::Apply { .. } => patch::merge(live, body),
        };
        let kind = kind.plain().unwrap_or(patch::PatchKind::Merge);
        Ok(patch::settle(&resource, kind, body, patched, Vec::new(), validation)?.object)
    })
}

/// `autoscaling/v1` Scale, whatever it scales.
pub(crate) fn own_kind(call: &Call) -> Resource {
    Resource { group: "autoscaling".into(), version: "v1".into(), kind: "Scale".into(), custom: None, ..Resource::clone(&call.resource) }
}

fn write(call: &mut Call, make: impl FnOnce(&Value) -> Result<Value, ApiError>) -> Result<Value, ApiError> {
    let (server, dry_run) = (call.server.clone(), call.dry_run);
    let stored = server.write(dry_run, |transaction| {
        update::change(call, transaction, |call, old| {
            let mut live = scale_of(call, old);
            let managers = managers_of_replicas(call, old);
            if !managers.is_empty() {
                live["metadata"]["managedFields"] = managers.into();
            }
            let scale = make(&live)?;
            let name = object::name(&scale).to_owned();
            if !name.is_empty() && name != call.name {
                return Err(ApiError::bad_request(format!(
                    "the name of the object ({name}) does not match the name on the URL ({})",
                    call.name
                )));
            }
            let replicas = match &scale["spec"]["replicas"] {
                Value::Null => 0,
                value => value
                    .as_i64()
                    .filter(|count| *count <= LARGEST)
                    .ok_or_else(|| ApiError::bad_request("spec.replicas must be an integer"))?,
            };
            if replicas < 0 {
                let error = FieldError::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0");
                return Err(ApiError::invalid("autoscaling", "Scale", &call.name, &[error]));
            }
            let mut new = Value::clone(old);
            set(&mut new, &paths(call).spec, replicas.into());
            let given = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            object::set_meta(&mut new, "resourceVersion", given);
            Ok((new, Tracking::Update))
        })
    })?;
    Ok(scale_of(call, &stored))
}

/// Those who hold the number of replicas of an object, as holders of that of its Scale (`ScaleHandler.ToSubresource`).
fn managers_of_replicas(call: &Call, owner: &Value) -> Vec<Value> {
    let held = paths(call).spec.replace('/', "/f:");
    let entries = owner["metadata"]["managedFields"].as_array().into_iter().flatten();
    let holds = |entry: &&Value| entry["fieldsV1"].pointer(&held).is_some();
    let shown = |entry: &Value| {
        let mut shown = json!({
            "manager": entry["manager"], "operation": entry["operation"], "apiVersion": "autoscaling/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
        });
        if !entry["subresource"].is_null() {
            shown["subresource"] = entry["subresource"].clone();
        }
        shown
    };
    entries.filter(holds).map(shown).collect()
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[part];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_print_as_the_server_prints_them() {
        let table = [
            (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
            (json!({"app": "x"}), "app=x"),
            (
                json!({"matchExpressions": [{"key": "t", "operator": "In", "values": ["b", "a"]}, {"key": "s", "operator": "Exists"}]}),
                "s,t in (a,b)",
            ),
            (Value::Null, ""),
        ];
        for (selector, expected) in table {
            assert_eq!(selector_text(&selector), expected);
        }
    }
}
