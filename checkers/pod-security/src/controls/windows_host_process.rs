//! Windows' way to run on the node itself.

use super::{forbid, in_container, in_pod, names, pod_itself};
use crate::{control::Forbidden, pod::Pod, words};

const FIELD: &str = "securityContext.windowsOptions.hostProcess";

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let mut violations = Vec::new();
    if pod.security_context()["windowsOptions"]["hostProcess"] == true {
        violations.push(in_pod(format!("spec.{FIELD}"), "true", "false or unset"));
    }
    for container in &pod.containers {
        if container.security_context()["windowsOptions"]["hostProcess"] == true {
            violations.push(in_container(container, FIELD, "true", "false or unset"));
        }
    }
    let who = words::setters(pod_itself(&violations), &names(&violations));
    forbid(
        "windowsHostProcess",
        "hostProcess",
        || format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
        violations,
    )
}
