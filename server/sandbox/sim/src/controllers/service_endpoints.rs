//! Which pods stand behind a Service, for Endpoints and EndpointSlices alike.

use super::common::{self, items, text};
use machinery::{object, selector::LabelSelector};
use serde_json::{Value, json};
use std::sync::Arc;

pub const HEADLESS: &str = "service.kubernetes.io/headless";
pub const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// A pod behind a Service.
#[derive(Debug)]
pub struct PodEndpoint<'a> {
    pub pod: &'a Value,
    pub address: &'a str,
    /// `[{name, port, protocol}]` as an EndpointSlice lists them.
    pub ports: Value,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
}

pub fn selects_pods(service: &Value) -> bool {
    service["spec"]["type"] != "ExternalName" && service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty())
}

pub fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None"
}

/// The pods in the Service's namespace that it selects and that have an address.
pub fn of<'a>(service: &Value, pods: &'a [Arc<Value>]) -> Vec<PodEndpoint<'a>> {
    let Some(selector) = service["spec"]["selector"].as_object() else { return Vec::new() };
    let selector = LabelSelector::from_map(selector);
    let tolerates_unready = service["spec"]["publishNotReadyAddresses"] == true;
    pods.iter()
        .filter(|pod| selector.matches(object::labels(pod)) && !common::is_pod_finished(pod))
        .filter_map(|pod| {
            let address = pod["status"]["podIP"].as_str().filter(|address| !address.is_empty())?;
            let (serving, terminating) = (common::is_pod_ready(pod), object::is_terminating(pod));
            let ready = tolerates_unready || (serving && !terminating);
            Some(PodEndpoint { pod, address, ports: ports(service, pod), ready, serving, terminating })
        })
        .collect()
}

fn ports(service: &Value, pod: &Value) -> Value {
    let resolved = items(&service["spec"]["ports"]).iter().filter_map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let number = target_port(port, protocol, pod)?;
        let mut resolved = json!({"name": text(&port["name"]), "port": number, "protocol": protocol});
        if let Some(application) = port["appProtocol"].as_str() {
            resolved["appProtocol"] = application.into();
        }
        Some(resolved)
    });
    let resolved: Vec<_> = resolved.collect();
    if resolved.is_empty() { Value::Null } else { resolved.into() }
}

/// The container port that a Service port leads to; a name is looked up in the pod.
fn target_port(port: &Value, protocol: &str, pod: &Value) -> Option<i64> {
    match &port["targetPort"] {
        Value::Number(number) => number.as_i64().filter(|number| *number > 0).or_else(|| port["port"].as_i64()),
        Value::String(name) => {
            let sidecars = items(&pod["spec"]["initContainers"]).iter().filter(|container| container["restartPolicy"] == "Always");
            items(&pod["spec"]["containers"])
                .iter()
                .chain(sidecars)
                .flat_map(|container| items(&container["ports"]))
                .find(|other| text(&other["name"]) == name && other["protocol"].as_str().unwrap_or("TCP") == protocol)
                .and_then(|other| other["containerPort"].as_i64())
        }
        _ => port["port"].as_i64(),
    }
}

/// A reference to the pod.
pub fn target(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": object::namespace(pod), "name": object::name(pod), "uid": object::uid(pod)})
}

/// A pod that names this Service as its subdomain answers to its own hostname.
pub fn hostname<'a>(pod: &'a Value, service: &Value) -> Option<&'a str> {
    let hostname = pod["spec"]["hostname"].as_str().filter(|hostname| !hostname.is_empty())?;
    (text(&pod["spec"]["subdomain"]) == object::name(service)).then_some(hostname)
}
