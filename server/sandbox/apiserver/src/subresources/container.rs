//! Which container of a pod a log, exec or attach means.

use machinery::{ApiError, object};
use serde_json::Value;

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    pod["spec"][list].as_array().into_iter().flatten().filter_map(|container| container["name"].as_str()).collect()
}

/// The container's name, or 400 with the server's words.
pub(crate) fn choose(pod: &Value, asked: &str) -> Result<String, ApiError> {
    let (containers, init, ephemeral) = (names(pod, "containers"), names(pod, "initContainers"), names(pod, "ephemeralContainers"));
    let name = object::name(pod);
    if !asked.is_empty() {
        if containers.iter().chain(&init).chain(&ephemeral).any(|held| *held == asked) {
            return Ok(asked.to_owned());
        }
        return Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(ApiError::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => {
            let all: Vec<_> = init.iter().chain(&containers).chain(&ephemeral).copied().collect();
            let all = all.join(" ");
            Err(ApiError::bad_request(format!("a container name must be specified for pod {name}, choose one of: [{all}]")))
        }
    }
}

/// The node that the pod runs on must be known before anything is streamed from it.
pub(crate) fn check_host(pod: &Value) -> Result<(), ApiError> {
    if pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
        return Err(ApiError::bad_request(format!("pod {} does not have a host assigned", object::name(pod))));
    }
    Ok(())
}
