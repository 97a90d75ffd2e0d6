//! What stands in a cluster from its first moment, as `kubeadm` and `kind` leave it: namespaces, default RBAC, the control
//! plane's pods, DNS, nodes.

pub mod node;
mod spec;
mod static_pods;
#[cfg(test)]
mod tests;

use crate::{
    catalogue::ImageCatalogue,
    controllers::{self, common},
    scheduler::Scheduler,
    step::Sim,
};
use apiserver::{Client, Server, UserInfo};
use machinery::{ApiError, Gvr, clock, gvr, object};
use serde_json::{Value, json};
pub use spec::{ClusterSpec, NodeSpec};
use std::{collections::BTreeMap, sync::Arc};

/// ServiceAccounts of kube-controller-manager's controllers.
const CONTROLLER_ACCOUNTS: [&str; 36] = [
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "service-account-controller",
    "service-cidrs-controller",
    "statefulset-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// Fills an empty server, until its nodes are Ready and its own pods run.
pub fn bootstrap(server: &Server, spec: &ClusterSpec) -> Result<(), ApiError> {
    let client = server.client(UserInfo { name: "system:apiserver".to_owned(), ..UserInfo::admin() }, "kube-apiserver");
    let now = server.clock().now();
    for name in ["kube-system", "default", "kube-public", "kube-node-lease"] {
        client.create(gvr::NAMESPACES, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    }
    for object in apiserver::bootstrap::objects() {
        create_with_conditions(&client, object, now)?;
    }
    let client = server.client(UserInfo::admin(), "kubeadm");
    for name in CONTROLLER_ACCOUNTS {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "kube-system"}});
        client.create(gvr::SERVICE_ACCOUNTS, account)?;
    }
    create_nodes(&client, spec, now)?;
    create_kubernetes_service(&client, spec)?;
    let authority = &server.options().certificate_authority;
    let authentication = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": authority},
    });
    client.create(gvr::CONFIG_MAPS, authentication)?;
    let information = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info", "namespace": "kube-public"},
        "data": {"kubeconfig": "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n    server: https://kubernetes.default.svc\n"},
    });
    client.create(gvr::CONFIG_MAPS, information)?;
    for object in system_objects() {
        create(&client, object)?;
    }
    start(server, &client, spec);
    Ok(())
}

fn system_objects() -> Vec<Value> {
    let text = include_str!("system.yaml");
    text.split("\n---\n").filter_map(|document| serde_saphyr::from_str(document).ok()).collect()
}

/// The same for an object whose conditions are known from the start (`FlowSchema`, `APIService`): a create leaves them out.
fn create_with_conditions(client: &Client, object: Value, now: jiff::Timestamp) -> Result<(), ApiError> {
    let mut conditions = object["status"]["conditions"].clone();
    let gvr = resource_of(&object)?;
    let mut made = (*client.create(gvr, object)?).clone();
    let Some(list) = conditions.as_array_mut() else { return Ok(()) };
    for condition in list {
        condition["lastTransitionTime"] = clock::rfc3339(now).into();
    }
    made["status"]["conditions"] = conditions;
    client.update_status(gvr, made).map(drop)
}

/// Creates an object of one of the kinds that a start needs.
fn create(client: &Client, object: Value) -> Result<Arc<Value>, ApiError> {
    client.create(resource_of(&object)?, object)
}

fn resource_of(object: &Value) -> Result<Gvr, ApiError> {
    Ok(match object::kind(object) {
        "APIService" => Gvr::new("apiregistration.k8s.io", "v1", "apiservices"),
        "ClusterRole" => gvr::CLUSTER_ROLES,
        "ClusterRoleBinding" => gvr::CLUSTER_ROLE_BINDINGS,
        "ConfigMap" => gvr::CONFIG_MAPS,
        "DaemonSet" => gvr::DAEMON_SETS,
        "Deployment" => gvr::DEPLOYMENTS,
        "FlowSchema" => Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas"),
        "Namespace" => gvr::NAMESPACES,
        "PriorityClass" => gvr::PRIORITY_CLASSES,
        "PriorityLevelConfiguration" => Gvr::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations"),
        "Role" => gvr::ROLES,
        "RoleBinding" => gvr::ROLE_BINDINGS,
        "Service" => gvr::SERVICES,
        "ServiceAccount" => gvr::SERVICE_ACCOUNTS,
        "StorageClass" => gvr::STORAGE_CLASSES,
        other => return Err(ApiError::internal(format!("a start makes no {other}"))),
    })
}

fn create_nodes(client: &Client, spec: &ClusterSpec, now: jiff::Timestamp) -> Result<(), ApiError> {
    for (index, node_spec) in spec.nodes.iter().enumerate() {
        let wanted = node::node(node_spec, index, now);
        let created = client.create(gvr::NODES, wanted.clone())?;
        let mut with_status = (*created).clone();
        with_status["status"] = wanted["status"].clone();
        if let Some(spec) = with_status["spec"].as_object_mut() {
            // A node begins with the taint not-ready, which goes when it is ready.
            spec.remove("taints");
        }
        let created = client.update(gvr::NODES, with_status.clone())?;
        with_status["metadata"] = created["metadata"].clone();
        client.update_status(gvr::NODES, with_status)?;
        client.create(gvr::LEASES, node::lease(node_spec, object::uid(&created), now))?;
    }
    Ok(())
}

fn create_kubernetes_service(client: &Client, spec: &ClusterSpec) -> Result<(), ApiError> {
    let range = Gvr::new("networking.k8s.io", "v1", "servicecidrs");
    let cidr = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}});
    if let Some(created) = common::tolerate("creating the range of Service addresses", client.create(range, cidr)) {
        let mut ready = (*created).clone();
        ready["status"] = json!({"conditions": [{
            "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
            "lastTransitionTime": created["metadata"]["creationTimestamp"],
        }]});
        common::tolerate("creating the range of Service addresses", client.update_status(range, ready));
    }
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]},
    });
    client.create(gvr::SERVICES, service)?;
    let address = node::address(control_plane_index(spec));
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}],
    });
    client.create(gvr::ENDPOINTS, endpoints)?;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    });
    client.create(gvr::ENDPOINT_SLICES, slice)?;
    Ok(())
}

/// Number of the node that the control plane runs on.
pub(crate) fn control_plane_index(spec: &ClusterSpec) -> usize {
    spec.nodes.iter().position(|node| node.control_plane).unwrap_or(0)
}

/// Lets controllers and scheduler make the system's pods, and says of each that it runs.
fn start(server: &Server, client: &Client, spec: &ClusterSpec) {
    let now = server.clock().now();
    let mut members = controllers::all(&server.options().certificate_authority);
    members.push(Box::new(Scheduler::default()));
    let mut sim = Sim::new(server, Arc::new(ImageCatalogue::default()), 0, members);
    sim.step(now);
    let index = control_plane_index(spec);
    if let Some(node) = spec.nodes.get(index).and_then(|node| client.get(gvr::NODES, "", &node.name)) {
        for pod in static_pods::control_plane(&node, &node::address(index)) {
            common::tolerate("creating a pod of the control plane", client.create(gvr::PODS, pod));
        }
    }
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for pod in client.list(gvr::PODS, None) {
        let Some(index) = spec.nodes.iter().position(|node| pod["spec"]["nodeName"] == node.name.as_str()) else { continue };
        let host = node::address(index);
        let address = if pod["spec"]["hostNetwork"] == true {
            host.clone()
        } else {
            let number = next.entry(index).or_insert(2);
            *number += 1;
            format!("10.244.{index}.{}", *number - 1)
        };
        let mut running = (*pod).clone();
        running["status"] = static_pods::running(&pod, &host, &address, now);
        common::tolerate("starting a pod of the system", client.update_status(gvr::PODS, running));
    }
    sim.step(now);
    // A cluster that has just begun has said nothing yet.
    for event in client.list(gvr::EVENTS, None) {
        common::tolerate("removing an event of the start", common::delete(client, gvr::EVENTS, &event));
    }
}
