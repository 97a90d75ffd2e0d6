//! Endpoints of Services with a selector: the older form, still read by many.

use super::{
    common::{self, concerns, items, text},
    service_endpoints,
};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{clock, gvr, object};
use serde_json::{Map, Value, json};
use std::{net::IpAddr, sync::Arc};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";

#[derive(Debug, Default)]
pub struct EndpointsController {}

impl Controller for EndpointsController {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::SERVICES, gvr::PODS])
            || (concerns(change, &[gvr::ENDPOINTS]) && change.object["metadata"]["labels"].get(MANAGED_BY).is_some())
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let pods = common::pods_by_namespace(context.client);
        let none = Vec::new();
        let services = context.client.list(gvr::SERVICES, None);
        for service in services.iter().filter(|service| service_endpoints::selects_pods(service) && !object::is_terminating(service)) {
            sync(context, service, pods.get(object::namespace(service)).unwrap_or(&none));
        }
        for endpoints in context.client.list(gvr::ENDPOINTS, None) {
            let ours = endpoints["metadata"]["labels"].get(MANAGED_BY).is_some();
            let service = services.iter().any(|service| common::key(service) == common::key(&endpoints));
            if ours && !service {
                common::tolerate("removing Endpoints", common::delete(context.client, gvr::ENDPOINTS, &endpoints));
            }
        }
    }
}

fn sync(context: &Context<'_>, service: &Value, pods: &[Arc<Value>]) {
    let mut subsets: Vec<(Value, Vec<Value>, Vec<Value>)> = Vec::new();
    for endpoint in service_endpoints::of(service, pods) {
        let tolerated = service["spec"]["publishNotReadyAddresses"] == true;
        if endpoint.terminating && !tolerated {
            continue;
        }
        let mut address = json!({"ip": endpoint.address, "targetRef": service_endpoints::target(endpoint.pod)});
        if let Some(node) = endpoint.pod["spec"]["nodeName"].as_str() {
            address["nodeName"] = node.into();
        }
        if let Some(hostname) = service_endpoints::hostname(endpoint.pod, service) {
            address["hostname"] = hostname.into();
        }
        let index = subsets.iter().position(|(ports, _, _)| *ports == endpoint.ports).unwrap_or_else(|| {
            subsets.push((endpoint.ports.clone(), Vec::new(), Vec::new()));
            subsets.len() - 1
        });
        if endpoint.ready { subsets[index].1.push(address) } else { subsets[index].2.push(address) }
    }
    let subsets: Vec<_> = subsets.into_iter().map(subset).collect();
    let labels = labels(service);
    match context.client.get(gvr::ENDPOINTS, object::namespace(service), object::name(service)) {
        Some(present) if items(&present["subsets"]) == subsets && present["metadata"]["labels"] == labels => {}
        Some(present) => {
            common::modify(context.client, gvr::ENDPOINTS, &present, |changed| {
                if let Some(changed) = changed.as_object_mut() {
                    if subsets.is_empty() {
                        changed.remove("subsets")
                    } else {
                        changed.insert("subsets".to_owned(), subsets.into())
                    };
                }
                changed["metadata"]["labels"] = labels;
                if !changed["metadata"]["annotations"].is_object() {
                    changed["metadata"]["annotations"] = json!({});
                }
                changed["metadata"]["annotations"][service_endpoints::TRIGGER_TIME] = clock::rfc3339(context.now).into();
            });
        }
        None => {
            let mut endpoints = json!({
                "apiVersion": "v1", "kind": "Endpoints",
                "metadata": {
                    "name": object::name(service), "namespace": object::namespace(service), "labels": labels,
                    "annotations": {service_endpoints::TRIGGER_TIME: clock::rfc3339(context.now)},
                },
            });
            if !subsets.is_empty() {
                endpoints["subsets"] = subsets.into();
            }
            common::tolerate("creating Endpoints", context.client.create(gvr::ENDPOINTS, endpoints));
        }
    }
}

fn labels(service: &Value) -> Value {
    let mut labels = object::labels(service).cloned().unwrap_or_else(Map::new);
    labels.insert(MANAGED_BY.to_owned(), "endpoint-controller".into());
    if service_endpoints::is_headless(service) {
        labels.insert(service_endpoints::HEADLESS.to_owned(), "".into());
    } else {
        labels.remove(service_endpoints::HEADLESS);
    }
    labels.into()
}

fn subset((ports, mut ready, mut not_ready): (Value, Vec<Value>, Vec<Value>)) -> Value {
    let by_address = |address: &Value| text(&address["ip"]).parse::<IpAddr>().ok();
    let mut subset = json!({});
    for (key, addresses) in [("addresses", &mut ready), ("notReadyAddresses", &mut not_ready)] {
        addresses.sort_by_key(by_address);
        if !addresses.is_empty() {
            subset[key] = addresses.clone().into();
        }
    }
    if let Some(ports) = ports.as_array() {
        // An Endpoints port without a name has none at all.
        let ports: Vec<_> = ports
            .iter()
            .map(|port| {
                let mut port = port.clone();
                if port["name"] == "" {
                    port.as_object_mut().map(|port| port.remove("name"));
                }
                port
            })
            .collect();
        subset["ports"] = ports.into();
    }
    subset
}
