//! EndpointSlices of Services with a selector (k8s.io/endpointslice).

use super::{
    common::{self, concerns, items, text},
    service_endpoints::{self, PodEndpoint},
};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{clock, gvr, object};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Endpoints in one slice at most.
const SLICE_SIZE: usize = 100;

#[derive(Debug, Default)]
pub struct EndpointSliceController {}

impl Controller for EndpointSliceController {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::SERVICES, gvr::PODS])
            || (concerns(change, &[gvr::ENDPOINT_SLICES]) && change.object["metadata"]["labels"][MANAGED_BY] == MANAGER)
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let pods = common::pods_by_namespace(context.client);
        let mut slices: BTreeMap<(String, String), Vec<Arc<Value>>> = BTreeMap::new();
        for slice in context.client.list(gvr::ENDPOINT_SLICES, None) {
            let labels = &slice["metadata"]["labels"];
            if labels[MANAGED_BY] == MANAGER && !object::is_terminating(&slice) {
                let key = (object::namespace(&slice).to_owned(), text(&labels[SERVICE_NAME]).to_owned());
                slices.entry(key).or_default().push(slice);
            }
        }
        let none = Vec::new();
        for service in context.client.list(gvr::SERVICES, None) {
            let namespace = object::namespace(&service);
            let present = slices.remove(&(namespace.to_owned(), object::name(&service).to_owned())).unwrap_or_default();
            if service_endpoints::selects_pods(&service) && !object::is_terminating(&service) {
                sync(context, &service, pods.get(namespace).unwrap_or(&none), present);
            } else {
                remove(context, present);
            }
        }
        // What is left belongs to no Service; those whose Service is gone fall to the garbage collector as well.
        slices.into_values().for_each(|slices| remove(context, slices));
    }
}

fn remove(context: &Context<'_>, slices: Vec<Arc<Value>>) {
    for slice in slices {
        common::tolerate("removing an EndpointSlice", common::delete(context.client, gvr::ENDPOINT_SLICES, &slice));
    }
}

fn sync(context: &Context<'_>, service: &Value, pods: &[Arc<Value>], present: Vec<Arc<Value>>) {
    let mut by_ports: Vec<(Value, Vec<Value>)> = Vec::new();
    for endpoint in service_endpoints::of(service, pods) {
        let described = describe(&endpoint, service, context);
        match by_ports.iter_mut().find(|(ports, _)| *ports == endpoint.ports) {
            Some((_, endpoints)) => endpoints.push(described),
            None => by_ports.push((endpoint.ports, vec![described])),
        }
    }
    let mut wanted: Vec<(Value, Value)> = by_ports
        .into_iter()
        .flat_map(|(ports, endpoints)| {
            endpoints.chunks(SLICE_SIZE).map(|chunk| (ports.clone(), Value::from(chunk.to_vec()))).collect::<Vec<_>>()
        })
        .collect();
    if wanted.is_empty() {
        wanted.push((Value::Null, Value::Null));
    }
    let mut free = present;
    let mut missing = Vec::new();
    for (ports, endpoints) in wanted {
        // A slice with the same ports goes on; so does the placeholder of a Service that had no pods.
        let index = free
            .iter()
            .position(|slice| slice["ports"] == ports)
            .or_else(|| free.iter().position(|slice| items(&slice["endpoints"]).is_empty()));
        match index {
            Some(index) => update(context, service, &free.remove(index), &ports, &endpoints),
            None => missing.push((ports, endpoints)),
        }
    }
    for (ports, endpoints) in missing {
        match free.pop() {
            Some(slice) => update(context, service, &slice, &ports, &endpoints),
            None => create(context, service, &ports, &endpoints),
        }
    }
    remove(context, free);
}

fn labels(service: &Value) -> Value {
    let mut labels = json!({});
    if let Some(own) = object::labels(service) {
        for (key, value) in own.iter().filter(|(key, _)| !matches!(key.as_str(), MANAGED_BY | SERVICE_NAME | service_endpoints::HEADLESS)) {
            labels[key] = value.clone();
        }
    }
    labels[MANAGED_BY] = MANAGER.into();
    labels[SERVICE_NAME] = object::name(service).into();
    if service_endpoints::is_headless(service) {
        labels[service_endpoints::HEADLESS] = "".into();
    }
    labels
}

fn create(context: &Context<'_>, service: &Value, ports: &Value, endpoints: &Value) {
    let mut prefix = format!("{}-", object::name(service));
    prefix.truncate(58);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "generateName": prefix, "namespace": object::namespace(service), "labels": labels(service),
            "annotations": {service_endpoints::TRIGGER_TIME: clock::rfc3339(context.now)},
            "ownerReferences": [common::owner_reference(service)],
        },
        "endpoints": endpoints, "ports": ports,
    });
    common::tolerate("creating an EndpointSlice", context.client.create(gvr::ENDPOINT_SLICES, slice));
}

fn update(context: &Context<'_>, service: &Value, slice: &Value, ports: &Value, endpoints: &Value) {
    let labels = labels(service);
    let same_list = |a: &Value, b: &Value| a == b || (items(a).is_empty() && items(b).is_empty());
    if same_list(&slice["ports"], ports) && same_list(&slice["endpoints"], endpoints) && slice["metadata"]["labels"] == labels {
        return;
    }
    common::modify(context.client, gvr::ENDPOINT_SLICES, slice, |changed| {
        changed["ports"] = ports.clone();
        changed["endpoints"] = endpoints.clone();
        changed["metadata"]["labels"] = labels;
        changed["metadata"]["annotations"][service_endpoints::TRIGGER_TIME] = clock::rfc3339(context.now).into();
    });
}

fn describe(endpoint: &PodEndpoint<'_>, service: &Value, context: &Context<'_>) -> Value {
    let mut described = json!({
        "addresses": [endpoint.address],
        "conditions": {"ready": endpoint.ready, "serving": endpoint.serving, "terminating": endpoint.terminating},
        "targetRef": service_endpoints::target(endpoint.pod),
    });
    if let Some(hostname) = service_endpoints::hostname(endpoint.pod, service) {
        described["hostname"] = hostname.into();
    }
    if let Some(node) = endpoint.pod["spec"]["nodeName"].as_str() {
        described["nodeName"] = node.into();
        let node = context.client.get(gvr::NODES, "", node);
        if let Some(zone) = node.as_ref().and_then(|node| node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str()) {
            described["zone"] = zone.into();
        }
    }
    described
}
