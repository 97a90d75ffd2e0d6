//! No privileged container: it sees every device of the node, GPUs included, and most of its kernel.

use super::{forbid, in_container, names};
use crate::{control::Forbidden, pod::Pod, words};

pub(crate) fn check(pod: &Pod<'_>) -> Option<Forbidden> {
    let violations: Vec<_> = pod
        .containers
        .iter()
        .filter(|container| container.security_context()["privileged"] == true)
        .map(|container| in_container(container, "securityContext.privileged", "true", "false or unset"))
        .collect();
    let detail = format!("{} must not set securityContext.privileged=true", words::containers(&names(&violations)));
    forbid("privileged", "privileged", || detail, violations)
}
