//! No volume shows the node's file system.

use super::{forbid, in_pod};
use crate::{control::Forbidden, pod::Pod, words};

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    let mut volumes = Vec::new();
    for (index, volume) in pod.volumes().filter(|(_, volume)| volume["hostPath"].is_object()) {
        volumes.push(volume["name"].as_str().unwrap_or_default());
        let path = volume["hostPath"]["path"].as_str().unwrap_or_default();
        violations.push(in_pod(format!("spec.volumes[{index}].hostPath"), path, "no hostPath"));
    }
    let detail = || format!("{} {}", words::number(volumes.len(), "volume", "volumes"), words::quoted(&volumes));
    forbid("hostPathVolumes", "hostPath volumes", detail, violations)
}
