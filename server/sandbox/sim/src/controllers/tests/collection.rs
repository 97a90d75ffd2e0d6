//! Garbage collection, namespaces, nodes that go.

use crate::{
    bootstrap::NodeSpec,
    controllers::common::{condition, items},
    testing::Lab,
};
use apiserver::client::{DeleteOptions, Propagation};
use machinery::{gvr, object};
use serde_json::json;

const WEB: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, \
                   template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: one}]}}}}";

#[test]
fn deletion_propagates_as_asked() {
    for (propagation, sets, pods) in [(Propagation::Background, 0, 0), (Propagation::Foreground, 0, 0), (Propagation::Orphan, 1, 2)] {
        let mut lab = Lab::bare(&[NodeSpec::with_gpus("a", 0)]);
        lab.apply(gvr::DEPLOYMENTS, WEB);
        lab.delete(gvr::DEPLOYMENTS, "web", &DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() });
        assert_eq!(lab.list(gvr::DEPLOYMENTS).len(), 0, "{propagation:?}");
        assert_eq!((lab.list(gvr::REPLICA_SETS).len(), lab.list(gvr::PODS).len()), (sets, pods), "{propagation:?}");
        for set in lab.list(gvr::REPLICA_SETS) {
            assert!(set["metadata"]["ownerReferences"].is_null() && set["metadata"]["finalizers"].is_null());
        }
    }
}

#[test]
fn an_owner_that_is_gone_takes_its_dependents_with_it() {
    let mut lab = Lab::bare(&[]);
    let owner = lab.apply(gvr::CONFIG_MAPS, "{apiVersion: v1, kind: ConfigMap, metadata: {name: owner}}");
    let reference = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid});
    for (name, owners) in [
        ("child", json!([reference("owner", object::uid(&owner))])),
        ("both", json!([reference("owner", object::uid(&owner)), reference("gone", "00000000-0000-0000-0000-000000000000")])),
        ("dangling", json!([reference("gone", "00000000-0000-0000-0000-000000000000")])),
    ] {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "ownerReferences": owners}});
        lab.client.create(gvr::CONFIG_MAPS, object).unwrap();
    }
    lab.step();
    let names = |lab: &Lab| -> Vec<_> {
        lab.list(gvr::CONFIG_MAPS).iter().map(|map| object::name(map).to_owned()).filter(|name| name != "kube-root-ca.crt").collect()
    };
    assert_eq!(names(&lab), ["both", "child", "owner"]);
    assert_eq!(items(&lab.get(gvr::CONFIG_MAPS, "both")["metadata"]["ownerReferences"]).len(), 1);
    lab.delete(gvr::CONFIG_MAPS, "owner", &DeleteOptions::default());
    assert!(names(&lab).is_empty());
}

#[test]
fn a_namespace_empties_before_it_goes_and_says_what_holds_it() {
    let mut lab = Lab::bare(&[NodeSpec::with_gpus("a", 0)]);
    lab.apply(gvr::NAMESPACES, "{apiVersion: v1, kind: Namespace, metadata: {name: team}}");
    for object in [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": "team", "finalizers": ["lab.example.com/hold"]}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "free", "namespace": "team"}}),
    ] {
        lab.client.create(gvr::CONFIG_MAPS, object).unwrap();
    }
    lab.client.delete(gvr::NAMESPACES, "", "team", &DeleteOptions::default()).unwrap();
    lab.step();
    let namespace = lab.client.get(gvr::NAMESPACES, "", "team").unwrap();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    assert_eq!(
        condition(&namespace, "NamespaceContentRemaining").unwrap()["message"],
        "Some resources are remaining: configmaps. has 1 resource instances"
    );
    assert_eq!(
        condition(&namespace, "NamespaceFinalizersRemaining").unwrap()["message"],
        "Some content in the namespace has finalizers remaining: lab.example.com/hold in 1 resource instances"
    );
    lab.client.merge_patch(gvr::CONFIG_MAPS, "team", "held", json!({"metadata": {"finalizers": null}})).unwrap();
    lab.step();
    assert!(lab.client.get(gvr::NAMESPACES, "", "team").is_none());
}

#[test]
fn pods_leave_with_their_node() {
    let mut lab = Lab::bare(&[NodeSpec::with_gpus("a", 0)]);
    lab.apply(gvr::DEPLOYMENTS, WEB);
    lab.client.delete(gvr::NODES, "", "a", &DeleteOptions::default()).unwrap();
    lab.step();
    let pods = lab.list(gvr::PODS);
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|pod| pod["spec"]["nodeName"].is_null()), "new ones wait for a node");
}

#[test]
fn a_tainted_node_is_left_after_the_tolerated_time() {
    let mut lab = Lab::bare(&[NodeSpec::with_gpus("a", 0)]);
    let spec = "containers: [{name: c, image: i}], tolerations: [{key: drain, operator: Exists, effect: NoExecute, tolerationSeconds: 30}]";
    lab.apply(gvr::PODS, &format!("{{apiVersion: v1, kind: Pod, metadata: {{name: stays}}, spec: {{{spec}}}}}"));
    lab.apply(gvr::PODS, "{apiVersion: v1, kind: Pod, metadata: {name: goes}, spec: {containers: [{name: c, image: i}]}}");
    let mut node = (*lab.client.get(gvr::NODES, "", "a").unwrap()).clone();
    node["spec"]["taints"] = json!([{"key": "drain", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]);
    lab.client.update(gvr::NODES, node).unwrap();
    lab.step();
    assert!(lab.client.get(gvr::PODS, "default", "goes").is_none());
    lab.pass(29);
    assert!(lab.client.get(gvr::PODS, "default", "stays").is_some());
    lab.pass(2);
    assert!(lab.client.get(gvr::PODS, "default", "stays").is_none());
}
