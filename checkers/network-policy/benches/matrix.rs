//! How long everybody to everybody takes on a large cluster: `cargo bench -p network-policy --bench matrix`.
//!
//! Ten thousand pods and a thousand policies, in four shapes; time from the objects (already parsed JSON) to the matrix, and of the matrix
//! alone. Nothing here passes or fails.

use network_policy::{Cluster, Protocol};
use serde_json::{Value, json};
use std::{hint::black_box, time::Instant};

const PODS: usize = 10_000;
const POLICIES: usize = 1_000;
const NAMESPACES: usize = 100;
const ROUNDS: usize = 9;

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn app(n: usize) -> Value {
    json!({"matchLabels": {"app": format!("a{}", n % 500)}})
}

fn cluster() -> Vec<Value> {
    let team = |n: usize| format!("t{}", n % 10);
    let namespaces = (0..NAMESPACES)
        .map(|n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("n{n}"), "labels": {"team": team(n)}}}));
    let pods = (0..PODS).map(|n| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{n}"), "namespace": format!("n{}", n % NAMESPACES),
                "labels": {"app": format!("a{}", n % 500), "pod-template-hash": format!("h{n}"), "instance": format!("i{n}")}},
            "spec": {"nodeName": format!("node{}", n % 50), "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 80 + n % 3}]}]},
            "status": {"podIP": format!("10.{}.{}.{}", n / 65536, n / 256 % 256, n % 256)}})
    });
    let nodes = (0..50).map(|n| {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node{n}"), "labels": {"pool": format!("p{}", n % 3)}},
            "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.0.{n}")}]}})
    });
    namespaces.chain(pods).chain(nodes).collect()
}

fn policy(n: usize, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": format!("p{n}"), "namespace": format!("n{}", n % NAMESPACES)}, "spec": spec})
}

/// Selectors by application, as most clusters have them.
fn by_application(n: usize) -> Value {
    let from = json!([{"namespaceSelector": {}, "podSelector": app(n + 7)}, {"namespaceSelector": {"matchLabels": {"team": format!("t{}", n % 10)}}}]);
    policy(
        n,
        &json!({"podSelector": app(n), "ingress": [{"from": from, "ports": [{"port": 80}]}], "egress": [{"to": [{"podSelector": {}}]}]}),
    )
}

/// Each policy names a pod by a label that no other pod has.
fn by_instance(n: usize) -> Value {
    let one = |n: usize| json!({"matchLabels": {"instance": format!("i{}", n * 9 % PODS)}});
    let to = json!([{"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "instance", "operator": "NotIn", "values": [format!("i{n}")]}]}}]);
    policy(
        n,
        &json!({"podSelector": one(n), "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": one(n + 3)}], "ports": [{"port": "http"}]}], "egress": [{"to": to}]}),
    )
}

/// Each policy has an address block of its own.
fn by_address(n: usize) -> Value {
    let block =
        |n: usize| json!({"ipBlock": {"cidr": format!("10.0.{}.0/24", n % 40), "except": [format!("10.0.{}.{}/32", n % 40, n % 256)]}});
    policy(n, &json!({"podSelector": app(n), "ingress": [{"from": [block(n)]}], "egress": [{"to": [block(n + 1)]}]}))
}

/// Administrators' policies over the whole cluster, half before and half after a hundred NetworkPolicies.
fn by_administrators(n: usize) -> Value {
    if n.is_multiple_of(10) {
        return by_application(n / 10);
    }
    let team = |n: usize| json!({"matchLabels": {"team": format!("t{}", n % 10)}});
    let action = ["Accept", "Deny", "Pass"][n % 3];
    let protocols = json!([{"tcp": {"destinationPort": {"number": 80 + n % 2}}}]);
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": format!("c{n}")},
        "spec": {"tier": if n.is_multiple_of(2) { "Admin" } else { "Baseline" }, "priority": n,
            "subject": {"pods": {"namespaceSelector": team(n), "podSelector": {}}},
            "ingress": [{"action": action, "from": [{"pods": {"namespaceSelector": team(n + 1), "podSelector": app(n)}}], "protocols": protocols},
                        {"action": "Deny", "from": [{"pods": {"namespaceSelector": {}, "podSelector": app(n + 1)}}]}],
            "egress": [{"action": action, "to": [{"networks": [format!("10.0.{}.0/24", n % 40)]}, {"nodes": {"matchLabels": {"pool": "p1"}}}]},
                       {"action": "Pass", "to": [{"namespaces": team(n + 2)}]}]}})
}

fn main() {
    println!("{PODS} pods, {POLICIES} policies, one port; seconds, median and slowest of {ROUNDS}");
    type Shape = (&'static str, fn(usize) -> Value);
    let shapes: [Shape; 4] = [
        ("by application", by_application),
        ("by instance", by_instance),
        ("by address", by_address),
        ("by administrators", by_administrators),
    ];
    for (name, shape) in shapes {
        let objects: Vec<Value> = cluster().into_iter().chain((0..POLICIES).map(shape)).collect();
        let mut whole = Vec::new();
        let mut alone = Vec::new();
        let mut classes = 0;
        for _ in 0..ROUNDS {
            let began = now();
            let cluster = Cluster::from_objects(black_box(&objects)).expect("readable");
            let read = began.elapsed();
            classes = black_box(cluster.matrix(Protocol::Tcp, 80)).classes();
            whole.push(began.elapsed().as_secs_f64());
            alone.push((began.elapsed() - read).as_secs_f64());
        }
        whole.sort_by(f64::total_cmp);
        alone.sort_by(f64::total_cmp);
        let (middle, last) = (ROUNDS / 2, ROUNDS - 1);
        println!(
            "{name:18} objects to matrix {:.3} ({:.3}), matrix alone {:.3} ({:.3}), {classes} classes",
            whole[middle], whole[last], alone[middle], alone[last]
        );
    }
}
