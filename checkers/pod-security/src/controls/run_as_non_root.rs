//! No container may run as root, said where the kubelet enforces it.

use super::{forbid, in_container, in_pod, names, pod_itself};
use crate::{control::Forbidden, pod::Pod, words};

const FIELD: &str = "securityContext.runAsNonRoot";

pub(crate) fn v1_0(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut said_no = Vec::new();
    let mut unsaid = Vec::new();
    let pod_level = pod.security_context()["runAsNonRoot"].as_bool();
    if pod_level == Some(false) {
        said_no.push(in_pod(format!("spec.{FIELD}"), "false", "true"));
    }
    for container in &pod.containers {
        match container.security_context()["runAsNonRoot"].as_bool() {
            Some(true) => {}
            Some(false) => said_no.push(in_container(container, FIELD, "false", "true")),
            None if pod_level == Some(true) => {}
            None => unsaid.push(in_container(container, FIELD, "unset here and in the pod", "true")),
        }
    }
    let reason = "runAsNonRoot != true";
    if said_no.is_empty() {
        let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", words::containers(&names(&unsaid)));
        return forbid("runAsNonRoot", reason, || detail, unsaid);
    }
    // Kubernetes names only those who say no, where there are any; the rest stays among the violations.
    let detail = format!("{} must not set securityContext.runAsNonRoot=false", words::setters(pod_itself(&said_no), &names(&said_no)));
    said_no.extend(unsaid);
    forbid("runAsNonRoot", reason, || detail, said_no)
}

/// Root in a user namespace of its own is nobody on the node.
pub(crate) fn v1_35(pod: &Pod<'_>) -> Option<Forbidden> {
    if pod.in_user_namespace() { None } else { v1_0(pod) }
}
