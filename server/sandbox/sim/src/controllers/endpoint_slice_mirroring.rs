//! EndpointSlices of Endpoints that somebody wrote by hand for a Service without a selector.

use super::{
    common::{self, concerns, items, text},
    service_endpoints,
};
use crate::step::{Context, Controller};
use apiserver::Change;
use machinery::{gvr, object};
use serde_json::{Value, json};
use std::sync::Arc;

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

#[derive(Debug, Default)]
pub struct EndpointSliceMirroringController {}

impl Controller for EndpointSliceMirroringController {
    fn name(&self) -> &'static str {
        "endpointslice-mirroring-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::SERVICES, gvr::ENDPOINTS])
            || (concerns(change, &[gvr::ENDPOINT_SLICES]) && change.object["metadata"]["labels"][MANAGED_BY] == MANAGER)
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let mut present: Vec<_> = context
            .client
            .list(gvr::ENDPOINT_SLICES, None)
            .into_iter()
            .filter(|slice| slice["metadata"]["labels"][MANAGED_BY] == MANAGER)
            .collect();
        for endpoints in context.client.list(gvr::ENDPOINTS, None) {
            let service = context.client.get(gvr::SERVICES, object::namespace(&endpoints), object::name(&endpoints));
            let by_hand = service.is_some_and(|service| !service_endpoints::selects_pods(&service));
            if by_hand && object::labels(&endpoints).and_then(|labels| labels.get(SKIP)).is_none_or(|skip| skip != "true") {
                mirror(context, &endpoints, &mut present);
            }
        }
        for slice in present {
            common::tolerate("removing a mirrored EndpointSlice", common::delete(context.client, gvr::ENDPOINT_SLICES, &slice));
        }
    }
}

/// One slice for each subset; those that are right are taken out of `present`.
fn mirror(context: &Context<'_>, endpoints: &Arc<Value>, present: &mut Vec<Arc<Value>>) {
    for subset in items(&endpoints["subsets"]) {
        let slice = slice(endpoints, subset);
        let same = |other: &Arc<Value>| {
            common::is_controlled_by(other, endpoints)
                && ["endpoints", "ports", "addressType"].into_iter().all(|key| other[key] == slice[key])
        };
        match present.iter().position(same) {
            Some(index) => drop(present.remove(index)),
            None => {
                common::tolerate("mirroring Endpoints", context.client.create(gvr::ENDPOINT_SLICES, slice));
            }
        }
    }
}

fn slice(endpoints: &Value, subset: &Value) -> Value {
    let described = |address: &Value, ready: bool| {
        let mut described = json!({"addresses": [address["ip"]], "conditions": {"ready": ready}});
        for key in ["hostname", "nodeName", "targetRef"] {
            if !address[key].is_null() {
                described[key] = address[key].clone();
            }
        }
        described
    };
    let all: Vec<_> = items(&subset["addresses"])
        .iter()
        .map(|address| described(address, true))
        .chain(items(&subset["notReadyAddresses"]).iter().map(|address| described(address, false)))
        .collect();
    let ports: Vec<_> = items(&subset["ports"])
        .iter()
        .map(|port| {
            let mut port = port.clone();
            if port["name"].is_null() {
                port["name"] = "".into();
            }
            port
        })
        .collect();
    let kind = if text(&subset["addresses"][0]["ip"]).contains(':') { "IPv6" } else { "IPv4" };
    let name = object::name(endpoints);
    let mut labels = object::labels(endpoints).cloned().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    labels.insert(SERVICE_NAME.to_owned(), name.into());
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": kind,
        "metadata": {"generateName": format!("{}-", &name[..name.len().min(57)]), "namespace": object::namespace(endpoints),
                     "labels": labels, "ownerReferences": [common::owner_reference(endpoints)]},
        "endpoints": all, "ports": ports,
    })
}
