//! Fields of pods behind features that Kubernetes 1.34 has switched off by default: the API server takes them and drops them
//! (k8s.io/kubernetes/pkg/api/pod DropDisabledPodFields).

use serde_json::Value;

/// `spec` of a pod or of a template.
pub(super) fn drop_fields(spec: &mut Value) {
    let Some(map) = spec.as_object_mut() else { return };
    map.remove("hostnameOverride");
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for container in map.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
            container.remove("restartPolicyRules");
            let sidecar = field == "initContainers" && container.get("restartPolicy").is_some_and(|policy| policy == "Always");
            if !sidecar {
                container.remove("restartPolicy");
            }
            if let Some(lifecycle) = container.get_mut("lifecycle").and_then(Value::as_object_mut) {
                lifecycle.remove("stopSignal");
            }
            for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(source) = variable.get_mut("valueFrom").and_then(Value::as_object_mut) {
                    source.remove("fileKeyRef");
                }
            }
        }
    }
    drop_image_volumes(spec);
    for volume in list(spec, "volumes") {
        let sources = volume.get_mut("projected").and_then(|p| p.get_mut("sources")).and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten().filter_map(Value::as_object_mut) {
            source.remove("clusterTrustBundle");
            source.remove("podCertificate");
        }
    }
}

fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Volumes from images go with their mounts.
fn drop_image_volumes(spec: &mut Value) {
    let mut dropped = Vec::new();
    if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.retain(|volume| {
            let image = volume.get("image").is_some_and(Value::is_object);
            if image {
                dropped.push(volume["name"].clone());
            }
            !image
        });
    }
    if dropped.is_empty() {
        return;
    }
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list(spec, field) {
            if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| !dropped.contains(&mount["name"]));
            }
        }
    }
}
