//! GPUs are there because a device plugin that runs offers them.
//!
//! Controls: `gpu/allocatable`, `gpu/devicePlugin`.

use crate::{
    evidence::Evidence,
    scope::{is_running, object_name},
    spec::Number,
    verdict::{Finding, Verdict},
    workloads::root,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GpuAvailable {
    /// How many GPUs the cluster's nodes must offer together.
    pub count: Number,
    /// Repository of the device plugin's image, as `nvcr.io/nvidia/k8s-device-plugin`.
    #[serde(default = "plugin")]
    pub plugin_image: String,
}

fn plugin() -> String {
    "nvcr.io/nvidia/k8s-device-plugin".to_owned()
}

const GPU: &str = "nvidia.com/gpu";

fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).or(value.as_u64()).unwrap_or(0)
}

/// An image's repository: without tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

impl GpuAvailable {
    pub(crate) fn check(&self, evidence: &Evidence) -> Verdict {
        let mut findings = Vec::new();
        let nodes: Vec<&Value> = evidence.objects.iter().filter(|object| object["kind"] == "Node").collect();
        let total: u64 = nodes.iter().map(|node| number(&node["status"]["allocatable"][GPU])).sum();
        let wanted = u64::from(self.count.0);
        if total < wanted {
            let (object, field) = (nodes.first().map(|node| object_name(node)).unwrap_or_default(), format!("status.allocatable[{GPU}]"));
            findings.push(Finding::new("gpu/allocatable", object, field, total.to_string(), format!("{wanted} or more")));
        }
        let offering = nodes.iter().filter(|node| number(&node["status"]["allocatable"][GPU]) > 0);
        let offering: Vec<&str> = offering.filter_map(|node| node["metadata"]["name"].as_str()).collect();
        let plugins: Vec<&Value> = evidence.objects.iter().filter(|object| object["kind"] == "Pod" && self.is_plugin(object)).collect();
        if plugins.is_empty() {
            let expected = format!("a DaemonSet that runs {}", self.plugin_image);
            findings.push(Finding::new("gpu/devicePlugin", "", "", "no device plugin runs in this cluster", expected));
        }
        for node in offering.iter().filter(|_| !plugins.is_empty()) {
            let here: Vec<&&Value> = plugins.iter().filter(|pod| pod["spec"]["nodeName"] == **node).collect();
            let Some(pod) = here.iter().find(|pod| is_running(pod)).or(here.first()) else {
                let expected = "a device plugin on every node that offers GPUs";
                findings.push(Finding::new("gpu/devicePlugin", format!("Node/{node}"), "", "no device plugin runs here", expected));
                continue;
            };
            if !is_running(pod) {
                let phase = pod["status"]["phase"].as_str().unwrap_or("unknown");
                findings.push(Finding::new("gpu/devicePlugin", object_name(pod), "status.phase", phase, "Running"));
            }
            if root(evidence, pod).is_none_or(|owner| owner["kind"] != "DaemonSet") {
                let expected = "a DaemonSet, so that every GPU node has one and a lost one comes back";
                findings.push(Finding::new(
                    "gpu/devicePlugin",
                    object_name(pod),
                    "metadata.ownerReferences",
                    "not made by a DaemonSet",
                    expected,
                ));
            }
        }
        Verdict::of(findings)
    }

    fn is_plugin(&self, pod: &Value) -> bool {
        let containers = pod["spec"]["containers"].as_array();
        containers.into_iter().flatten().any(|c| c["image"].as_str().is_some_and(|image| repository(image) == self.plugin_image))
    }
}
