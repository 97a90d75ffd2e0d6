//! AppArmor profiles that a pod names the old way, in annotations: the API server puts them into the fields
//! (k8s.io/kubernetes/pkg/registry/core/pod, `applyAppArmorVersionSkew`).

use serde_json::{Value, json};

const KEY: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The field that says the same as the annotation; nothing where the annotation makes no sense.
pub(crate) fn field_for(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        _ => {
            let profile = annotation.strip_prefix("localhost/")?;
            let valid = !profile.is_empty() && profile.trim() == profile && profile.len() < 4096;
            valid.then(|| json!({"type": "Localhost", "localhostProfile": profile}))
        }
    }
}

/// Fills the fields of a new pod; the warnings that its maker gets.
pub(super) fn move_to_fields(pod: &mut Value) -> Vec<String> {
    let annotations = pod["metadata"]["annotations"].clone();
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec["os"]["name"] != "windows") else { return Vec::new() };
    let of_pod = spec["securityContext"]["appArmorProfile"].clone();
    let mut warnings = Vec::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter(|c| c.is_object()) {
            let key = format!("{KEY}{}", container["name"].as_str().unwrap_or_default());
            let Some(annotation) = annotations[&key].as_str().filter(|_| container["securityContext"]["appArmorProfile"].is_null()) else {
                continue;
            };
            let field = field_for(annotation);
            if field.as_ref() == Some(&of_pod) {
                continue;
            }
            if let Some(field) = field {
                container["securityContext"]["appArmorProfile"] = field;
            }
            warnings.push(format!(r#"metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead"#));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_become_fields_unless_the_pod_says_the_same() {
        let table = [
            ("unconfined", Value::Null, json!({"type": "Unconfined"}), 1),
            ("runtime/default", json!({"type": "RuntimeDefault"}), Value::Null, 0),
            ("localhost/x", json!({"type": "RuntimeDefault"}), json!({"type": "Localhost", "localhostProfile": "x"}), 1),
            ("localhost/ x", Value::Null, Value::Null, 1),
            ("strict", Value::Null, Value::Null, 1),
        ];
        for (annotation, of_pod, expected, warnings) in table {
            let mut pod = json!({
                "metadata": {"annotations": {format!("{KEY}a"): annotation}},
                "spec": {"securityContext": {"appArmorProfile": of_pod}, "containers": [{"name": "a"}]},
            });
            assert_eq!(move_to_fields(&mut pod).len(), warnings, "{annotation}");
            assert_eq!(pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"], expected, "{annotation}");
        }
    }
}
