//! How little a workload may do: the Pod Security Standards, and what they leave out that matters where GPUs are.
//!
//! Controls: `baseline/<id>`, `restricted/<id>` (ids of Kubernetes' own admission), `rootfs/readOnly`, `token/automount`,
//! `gpu/limits`, `gpu/devicePaths`, `gpu/visibleDevices`, `gpu/cdiAnnotations`, `workload/exists`.

use crate::{
    evidence::Evidence,
    scope::{Scope, object_name},
    spec::Number,
    verdict::{Finding, Verdict},
    workloads::selected,
};
use pod_security::{Container, Level, Pod, PodTemplate, Version, controls, evaluate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Judges every pod and every template that the scope selects, and wants at least one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurity {
    /// Which pods and templates.
    pub of: Scope,
    /// `privileged`, `baseline` or `restricted`.
    #[serde(default = "restricted")]
    pub level: String,
    #[serde(default = "latest")]
    pub version: String,
    /// Every container must have a read-only root file system.
    #[serde(default)]
    pub read_only_root_filesystem: bool,
    /// No ServiceAccount token may come into a container.
    #[serde(default)]
    pub no_service_account_token: bool,
    #[serde(default)]
    pub gpu: Option<GpuUse>,
}

/// How a workload may use GPUs: through the device plugin and in no other way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GpuUse {
    /// `nvidia.com/gpu` limits of all containers of a pod together.
    pub count: Number,
}

fn restricted() -> String {
    "restricted".to_owned()
}

fn latest() -> String {
    "latest".to_owned()
}

impl PodSecurity {
    pub(crate) fn check(&self, evidence: &Evidence) -> Verdict {
        let (Ok(level), Ok(version)) = (self.level.parse::<Level>(), self.version.parse::<Version>()) else {
            return Verdict::inconclusive("lab/level", format!("the lab asks for {}:{}", self.level, self.version));
        };
        let objects = selected(evidence, &self.of);
        if objects.is_empty() {
            return Verdict::of(vec![Finding::new("workload/exists", "", "", "nothing found", self.of.words())]);
        }
        let mut findings = Vec::new();
        for (object, template) in objects {
            let mut add = |control: String, field: &str, actual: String, expected: String| {
                findings.push(Finding::new(control, object_name(object), template.field(field), actual, expected));
            };
            for forbidden in evaluate(level, version, template.metadata, template.spec).forbidden {
                let level = controls().iter().find(|c| c.id == forbidden.control).map_or(Level::Baseline, |c| c.level);
                for violation in forbidden.violations {
                    add(format!("{level}/{}", forbidden.control), &violation.field, violation.actual, violation.expected);
                }
            }
            let pod = Pod::new(template.metadata, template.spec);
            if self.read_only_root_filesystem {
                root_filesystem(&pod, &mut add);
            }
            if self.no_service_account_token {
                token(evidence, object, &template, &pod, &mut add);
            }
            if let Some(gpu) = &self.gpu {
                gpu_limits(gpu, &pod, &mut add);
                device_paths(&pod, &mut add);
                visible_devices(evidence, object, &pod, &mut add);
            }
        }
        Verdict::of(findings)
    }
}

type Add<'a> = dyn FnMut(String, &str, String, String) + 'a;

fn root_filesystem(pod: &Pod<'_>, add: &mut Add<'_>) {
    for container in &pod.containers {
        let value = &container.security_context()["readOnlyRootFilesystem"];
        if *value != true {
            let actual = if value.is_null() { "unset, which means writable" } else { "false" };
            add(
                "rootfs/readOnly".to_owned(),
                &container.field("securityContext.readOnlyRootFilesystem"),
                actual.to_owned(),
                "true".to_owned(),
            );
        }
    }
}

/// A token comes by the pod's word, by its ServiceAccount's where the pod says nothing, or by a volume of the pod's own making.
fn token(evidence: &Evidence, object: &Value, template: &PodTemplate<'_>, pod: &Pod<'_>, add: &mut Add<'_>) {
    let control = || "token/automount".to_owned();
    let is_pod = template.path.is_empty();
    let said = pod.spec["automountServiceAccountToken"].as_bool();
    let account = pod.spec["serviceAccountName"].as_str().or(pod.spec["serviceAccount"].as_str()).unwrap_or("default");
    let by_account = || {
        let namespace = &object["metadata"]["namespace"];
        let found = evidence
            .objects
            .iter()
            .find(|o| o["kind"] == "ServiceAccount" && o["metadata"]["namespace"] == *namespace && o["metadata"]["name"] == account);
        found.and_then(|account| account["automountServiceAccountToken"].as_bool())
    };
    // What a pod got was decided when it was made; its volumes show it.
    let mounts = match said {
        Some(said) => said,
        None if is_pod => false,
        None => by_account().unwrap_or(true),
    };
    if mounts {
        let actual =
            if said.is_some() { "true".to_owned() } else { format!("unset, and so is it on ServiceAccount {account}: means true") };
        add(control(), "spec.automountServiceAccountToken", actual, "false".to_owned());
    }
    for (index, volume) in pod.volumes() {
        let sources = volume["projected"]["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (s, source) in sources.iter().enumerate() {
            // A token for another audience is no key to this cluster's API.
            if source["serviceAccountToken"].is_object()
                && source["serviceAccountToken"]["audience"].as_str().unwrap_or_default().is_empty()
            {
                let field = format!("spec.volumes[{index}].projected.sources[{s}].serviceAccountToken");
                add(
                    control(),
                    &field,
                    format!("volume {} brings a token", volume["name"].as_str().unwrap_or_default()),
                    "no token".to_owned(),
                );
            }
        }
    }
}

fn quantity(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn gpu_limits(gpu: &GpuUse, pod: &Pod<'_>, add: &mut Add<'_>) {
    const GPU: &str = "nvidia.com/gpu";
    let mut total = 0;
    for container in pod.containers.iter().filter(|container| !container.path.starts_with("spec.ephemeral")) {
        let resources = &container.value["resources"];
        let (limit, request) = (&resources["limits"][GPU], &resources["requests"][GPU]);
        let field = container.field(&format!("resources.limits[{GPU}]"));
        let mut wrong = |actual: String, expected: &str| add("gpu/limits".to_owned(), &field, actual, expected.to_owned());
        match (quantity(limit), request) {
            (None, Value::Null) if limit.is_null() => {}
            (None, _) if limit.is_null() => {
                wrong(format!("a request of {request} without a limit"), "a limit, and a request that equals it or is left out")
            }
            (None, _) => wrong(limit.to_string(), "a whole number"),
            (Some(_), request) if !request.is_null() && quantity(request) != quantity(limit) => {
                wrong(format!("limit {limit}, request {request}"), "request and limit equal");
            }
            (Some(count), _) => total += count,
        }
    }
    let wanted = u64::from(gpu.count.0);
    if total != wanted {
        let index = pod.containers.iter().position(|c| c.path.starts_with("spec.containers")).unwrap_or(0);
        let field = pod.containers.get(index).map_or_else(|| "spec".to_owned(), |c| c.field(&format!("resources.limits[{GPU}]")));
        add("gpu/limits".to_owned(), &field, format!("{total} in all"), format!("{wanted} in all"));
    }
}

/// A path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn shows_devices(path: &str) -> bool {
    let path = clean(path);
    let below = |folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
    // The folders above the devices show them as well.
    matches!(path.as_str(), "/" | "/dev" | "/proc" | "/proc/driver" | "/run" | "/var/run" | "/var" | "/var/lib" | "/var/lib/kubelet")
        || path.starts_with("/dev/nvidia")
        || path.starts_with("/dev/dri")
        || below("/proc/driver/nvidia")
        || below("/run/nvidia")
        || below("/var/run/nvidia")
        || below("/var/lib/kubelet/device-plugins")
}

fn device_paths(pod: &Pod<'_>, add: &mut Add<'_>) {
    let control = || "gpu/devicePaths".to_owned();
    for (index, volume) in pod.volumes() {
        if let Some(path) = volume["hostPath"]["path"].as_str().filter(|path| shows_devices(path)) {
            add(control(), &format!("spec.volumes[{index}].hostPath.path"), path.to_owned(), "GPUs only through nvidia.com/gpu".to_owned());
        }
    }
    for container in &pod.containers {
        let mounts = container.value["volumeMounts"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, mount) in mounts.iter().enumerate() {
            let path = mount["mountPath"].as_str().unwrap_or_default();
            // The runtime reads a mount in this folder as the wish for a device.
            if clean(path).starts_with("/var/run/nvidia-container-devices") {
                add(
                    control(),
                    &container.field(&format!("volumeMounts[{index}].mountPath")),
                    path.to_owned(),
                    "GPUs only through nvidia.com/gpu".to_owned(),
                );
            }
        }
    }
}

const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";
const CAPABILITIES: &str = "NVIDIA_DRIVER_CAPABILITIES";

/// What asks the runtime for devices or driver parts past the device plugin. `void` and `none` ask for nothing.
fn asks(name: &str, value: Option<&str>) -> Option<&'static str> {
    match (name, value) {
        (VISIBLE, Some("void" | "none")) => None,
        (VISIBLE, _) => Some("unset: the device plugin says which GPUs the container sees"),
        (CAPABILITIES, Some(list)) if list.split(',').all(|word| matches!(word.trim(), "compute" | "utility")) => None,
        (CAPABILITIES, _) => Some("unset, or of compute and utility"),
        _ => None,
    }
}

fn visible_devices(evidence: &Evidence, object: &Value, pod: &Pod<'_>, add: &mut Add<'_>) {
    for container in &pod.containers {
        let list = |key: &str| container.value[key].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, variable) in list("env").iter().enumerate() {
            let name = variable["name"].as_str().unwrap_or_default();
            let value = variable["value"].as_str();
            if let Some(expected) = asks(name, value) {
                let actual = format!("{name}={}", value.unwrap_or("(from elsewhere)"));
                add("gpu/visibleDevices".to_owned(), &container.field(&format!("env[{index}]")), actual, expected.to_owned());
            }
        }
        for (index, source) in list("envFrom").iter().enumerate() {
            env_from(evidence, object, container, index, source, add);
        }
    }
    for (key, value) in pod.annotations() {
        if key.starts_with("cdi.k8s.io/") || key.starts_with("nvidia.cdi.k8s.io/") {
            let expected = "GPUs only through nvidia.com/gpu".to_owned();
            add("gpu/cdiAnnotations".to_owned(), &format!("metadata.annotations[{key}]"), value.to_owned(), expected);
        }
    }
}

/// The same by way of a ConfigMap. A Secret's content is never collected: who hides variables of this name there, is seen by the
/// prefix only.
fn env_from(evidence: &Evidence, object: &Value, container: &Container<'_>, index: usize, source: &Value, add: &mut Add<'_>) {
    let prefix = source["prefix"].as_str().unwrap_or_default();
    let name = source["configMapRef"]["name"].as_str().unwrap_or_default();
    let empty = Map::new();
    let data = evidence
        .objects
        .iter()
        .find(|o| {
            o["kind"] == "ConfigMap" && o["metadata"]["namespace"] == object["metadata"]["namespace"] && o["metadata"]["name"] == name
        })
        .and_then(|map| map["data"].as_object())
        .unwrap_or(&empty);
    for (key, value) in data {
        let variable = format!("{prefix}{key}");
        if let Some(expected) = asks(&variable, value.as_str()) {
            let actual = format!("{variable} from ConfigMap {name}");
            add("gpu/visibleDevices".to_owned(), &container.field(&format!("envFrom[{index}]")), actual, expected.to_owned());
        }
    }
    if !source["secretRef"].is_null() && prefix.starts_with("NVIDIA_") {
        let actual = format!("variables {prefix}… from a Secret");
        add("gpu/visibleDevices".to_owned(), &container.field(&format!("envFrom[{index}]")), actual, "no such variables".to_owned());
    }
}
