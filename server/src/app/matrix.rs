//! Who can reach whom, for the cluster view: computed by the same engine that the simulated network and the checkers use.

use crate::app::kube::{CallError, Caller};
use crate::app::{App, AppError, apply};
use network_policy::{Cluster, EndpointKind, Protocol};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use store::User;

/// Pods in one matrix; more are left out, and `left_out` says how many.
const PODS: usize = 24;

/// What decides on connections, and its kind. What is served in two versions counts once: the engine knows a policy by its name.
const READ: &[(&str, &str)] = &[
    ("/api/v1/namespaces", "Namespace"),
    ("/api/v1/nodes?limit=500", "Node"),
    ("/api/v1/pods?limit=500", "Pod"),
    ("/apis/networking.k8s.io/v1/networkpolicies?limit=500", "NetworkPolicy"),
    ("/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies?limit=500", "AdminNetworkPolicy"),
    ("/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies?limit=500", "BaselineAdminNetworkPolicy"),
    ("/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies?limit=500", "ClusterNetworkPolicy"),
    ("/apis/policy.networking.k8s.io/v1beta1/clusternetworkpolicies?limit=500", "ClusterNetworkPolicy"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixCell {
    /// Ports of the destination that can be reached, of those that it declares. A pod that declares none is asked on port 80.
    pub open: Vec<u16>,
    pub closed: Vec<u16>,
    /// The rule that decided, for the first port that decides the cell.
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    /// `namespace/name`, rows and columns.
    pub pods: Vec<String>,
    /// `cells[from][to]`; `None` on the diagonal.
    pub cells: Vec<Vec<Option<MatrixCell>>>,
    pub left_out: usize,
}

impl App {
    /// Pods of the learner's namespaces (`kube-*` are left out). Does not keep the cluster awake.
    pub async fn matrix(&self, user: &User, attempt: &str) -> Result<Matrix, AppError> {
        let attempt = self.attempt(user, attempt).await?;
        if attempt.state != store::AttemptState::Running {
            return Ok(Matrix::default());
        }
        let cluster = self.engine.open(&attempt.id).await?;
        let caller = Caller { cluster: &*cluster, user: apply::learner() };
        let mut objects = Vec::new();
        for (path, kind) in READ {
            let mut list = match caller.get(path).await {
                // Nobody has defined this kind in this version.
                Err(CallError::Refused { code: 404, .. }) => continue,
                list => list.map_err(|error| AppError::Unavailable(error.to_string()))?,
            };
            let Value::Array(items) = list["items"].take() else { continue };
            for mut object in items {
                object["kind"] = (*kind).into();
                object["apiVersion"] = list["apiVersion"].clone();
                objects.push(object);
            }
        }
        compute(&objects)
    }
}

fn compute(objects: &[Value]) -> Result<Matrix, AppError> {
    // What the engine cannot read decides nothing in the cluster either: a definition without a schema lets it be written.
    let readable = objects.iter().filter(|object| network_policy::from_resource(object).is_ok());
    let cluster = Cluster::from_objects(readable).map_err(|error| AppError::internal("read the network policies", error))?;
    let shown = |(_, endpoint): &(usize, &network_policy::Endpoint)| {
        endpoint.kind == EndpointKind::Pod && !endpoint.ips.is_empty() && !endpoint.namespace.starts_with("kube-")
    };
    let mut pods: Vec<(usize, &network_policy::Endpoint)> = cluster.endpoints().iter().enumerate().filter(shown).collect();
    pods.sort_by_key(|(_, pod)| pod.id());
    let left_out = pods.len().saturating_sub(PODS);
    pods.truncate(PODS);
    let ports: BTreeMap<String, BTreeSet<u16>> = objects.iter().filter(|object| object["kind"] == "Pod").map(declared).collect();
    let cells = pods
        .iter()
        .map(|(from, _)| {
            let cell = |(to, pod): &(usize, &network_policy::Endpoint)| {
                (from != to).then(|| {
                    let ports = ports.get(&pod.id()).filter(|ports| !ports.is_empty()).cloned().unwrap_or_else(|| BTreeSet::from([80]));
                    decide(&cluster, *from, *to, &ports)
                })
            };
            pods.iter().map(cell).collect()
        })
        .collect();
    Ok(Matrix { pods: pods.iter().map(|(_, pod)| pod.id()).collect(), cells, left_out })
}

fn decide(cluster: &Cluster, from: usize, to: usize, ports: &BTreeSet<u16>) -> MatrixCell {
    let mut cell = MatrixCell { open: Vec::new(), closed: Vec::new(), why: String::new() };
    for &port in ports {
        let decision = cluster.decide(from, to, Protocol::Tcp, port);
        let list = if decision.allowed() { &mut cell.open } else { &mut cell.closed };
        list.push(port);
        // A closed port says more than an open one.
        if cell.why.is_empty() || (!decision.allowed() && cell.closed.len() == 1) {
            cell.why = format!("TCP {port}: {decision}");
        }
    }
    cell
}

/// The TCP ports that a pod's containers declare.
fn declared(pod: &Value) -> (String, BTreeSet<u16>) {
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ports = containers.iter().flat_map(|container| container["ports"].as_array().map(Vec::as_slice).unwrap_or_default());
    let tcp = ports.filter(|port| matches!(port["protocol"].as_str(), None | Some("TCP")));
    let numbers = tcp.filter_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok()).take(16).collect();
    (format!("{}/{}", machinery::object::namespace(pod), machinery::object::name(pod)), numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(namespace: &str, name: &str, ip: &str, ports: &[u16]) -> Value {
        let ports: Vec<_> = ports.iter().map(|port| json!({"containerPort": port})).collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]}, "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
    }

    #[test]
    fn a_cell_says_which_ports_and_why() {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "ml", "name": "only-8501"},
            "spec": {"podSelector": {"matchLabels": {"app": "model"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "monitor"}}}], "ports": [{"port": 8501}]}]}});
        let objects = [
            pod("ml", "model", "10.0.0.1", &[8500, 8501]),
            pod("ml", "monitor", "10.0.0.2", &[]),
            pod("ml", "other", "10.0.0.3", &[]),
            pod("kube-system", "dns", "10.0.0.4", &[53]),
            policy,
        ];
        let matrix = compute(&objects).unwrap();
        assert_eq!(matrix.pods, ["ml/model", "ml/monitor", "ml/other"]);
        let cell = |from: usize, to: usize| matrix.cells[from][to].clone().unwrap();
        assert_eq!((cell(1, 0).open, cell(1, 0).closed), (vec![8501], vec![8500]));
        assert_eq!((cell(2, 0).open, cell(2, 0).closed), (vec![], vec![8500, 8501]));
        assert!(cell(2, 0).why.contains("ml/only-8501"), "{}", cell(2, 0).why);
        assert_eq!(cell(0, 1).open, [80]);
        assert_eq!(matrix.cells[0][0], None);
    }

    #[test]
    fn administrators_come_before_and_after() {
        let admin = |kind: &str, version: &str, spec: Value| json!({"apiVersion": format!("policy.networking.k8s.io/{version}"), "kind": kind, "metadata": {"name": "default"}, "spec": spec});
        let everybody = json!([{"namespaces": {}}]);
        let deny = admin(
            "AdminNetworkPolicy",
            "v1alpha1",
            json!({"priority": 1, "subject": {"namespaces": {}}, "ingress": [{"action": "Deny", "from": everybody}]}),
        );
        let baseline = admin(
            "BaselineAdminNetworkPolicy",
            "v1alpha1",
            json!({"subject": {"namespaces": {}}, "ingress": [{"action": "Deny", "from": everybody}]}),
        );
        let cluster = admin(
            "ClusterNetworkPolicy",
            "v1alpha2",
            json!({"tier": "Admin", "priority": 0, "subject": {"namespaces": {}}, "ingress": [{"action": "Accept", "from": everybody}]}),
        );
        let unreadable = admin("AdminNetworkPolicy", "v1alpha1", json!({"priority": "high"}));
        let allow = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "ml", "name": "all"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}});
        for (policies, open, why) in [
            (vec![], true, "no policy"),
            (vec![unreadable], true, "no policy"),
            (vec![deny.clone(), allow.clone()], false, "AdminNetworkPolicy"),
            (vec![baseline.clone()], false, "BaselineAdminNetworkPolicy"),
            (vec![baseline, allow], true, "ml/all"),
            (vec![deny, cluster], true, "ClusterNetworkPolicy"),
        ] {
            let mut objects = vec![pod("ml", "a", "10.0.0.1", &[]), pod("ml", "b", "10.0.0.2", &[])];
            objects.extend(policies);
            let matrix = compute(&objects).unwrap();
            let cell = matrix.cells[0][1].clone().unwrap();
            assert_eq!(cell.open, if open { vec![80] } else { vec![] }, "{}", cell.why);
            assert!(cell.why.contains(why), "{:?} has no {why:?}", cell.why);
        }
    }
}
