//! The cluster that a learner finds.

use super::*;
use crate::testing::Lab;

#[test]
fn a_whole_cluster_stands_at_rest() {
    let mut lab = Lab::whole(&ClusterSpec::default());
    let pods: Vec<_> = lab
        .client
        .list(gvr::PODS, None)
        .iter()
        .map(|pod| {
            let name = object::name(pod);
            let name = if object::controller_of(pod).is_some_and(|owner| owner["kind"] == "Node") {
                name
            } else {
                name.rsplit_once('-').unwrap().0
            };
            let name = if name.starts_with("coredns") || name.starts_with("local") { name.rsplit_once('-').unwrap().0 } else { name };
            format!("{}/{name} {} {}", object::namespace(pod), common::text(&pod["status"]["phase"]), common::is_pod_ready(pod))
        })
        .collect();
    expect_test::expect![[r#"
        kube-system/coredns Running true
        kube-system/coredns Running true
        kube-system/etcd-gpu-node Running true
        kube-system/kindnet Running true
        kube-system/kube-apiserver-gpu-node Running true
        kube-system/kube-controller-manager-gpu-node Running true
        kube-system/kube-proxy Running true
        kube-system/kube-scheduler-gpu-node Running true
        local-path-storage/local-path-provisioner Running true"#]]
    .assert_eq(&pods.join("\n"));
    let dns = lab.client.get(gvr::SERVICES, "kube-system", "kube-dns").unwrap();
    assert_eq!(dns["spec"]["clusterIP"], "10.96.0.10");
    let slices = lab.client.list(gvr::ENDPOINT_SLICES, Some("kube-system"));
    assert_eq!(common::items(&slices[0]["endpoints"]).len(), 2);
    assert_eq!(lab.client.get(gvr::SERVICES, "default", "kubernetes").unwrap()["spec"]["clusterIP"], "10.96.0.1");
    let node = lab.client.get(gvr::NODES, "", "gpu-node").unwrap();
    assert!(node["status"]["capacity"]["nvidia.com/gpu"].is_null(), "a GPU exists for Kubernetes once a device plugin says so");
    assert_eq!(node["metadata"]["labels"]["feature.node.kubernetes.io/pci-10de.present"], "true");
    assert!(node["spec"]["taints"].is_null());
    let coredns = lab.client.get(gvr::DEPLOYMENTS, "kube-system", "coredns").unwrap();
    assert_eq!(coredns["status"]["readyReplicas"], 2);
    for namespace in ["default", "kube-system", "kube-public", "kube-node-lease", "local-path-storage"] {
        assert!(lab.client.get(gvr::SERVICE_ACCOUNTS, namespace, "default").is_some(), "{namespace}");
    }
    assert!(lab.client.list(gvr::EVENTS, None).is_empty());
    let before = lab.client.resource_version();
    assert_eq!(lab.step(), None);
    assert_eq!(lab.client.resource_version(), before, "an idle cluster writes nothing");
}

#[test]
fn three_nodes_of_which_two_have_gpus() {
    let gpu = |name: &str, gpus| NodeSpec { gpus_in_capacity: true, ..NodeSpec::with_gpus(name, gpus) };
    let spec = ClusterSpec {
        nodes: vec![gpu("gpu-node-1", 8), gpu("gpu-node-2", 4), NodeSpec::with_gpus("cpu-node-1", 0)],
        run_unknown_images: true,
    };
    let lab = Lab::whole(&spec);
    let gpus: Vec<_> =
        lab.client.list(gvr::NODES, None).iter().map(|node| node["status"]["allocatable"]["nvidia.com/gpu"].clone()).collect();
    assert_eq!(gpus, [Value::Null, json!("8"), json!("4")]);
    let daemons = lab.client.list(gvr::DAEMON_SETS, Some("kube-system"));
    assert!(daemons.iter().all(|set| set["status"]["numberReady"] == 3));
}

#[test]
fn every_document_of_the_table_is_an_object() {
    let objects = system_objects();
    assert_eq!(objects.len(), include_str!("system.yaml").split("\n---\n").count());
    assert!(objects.iter().all(|object| !object::kind(object).is_empty() && !object::name(object).is_empty()));
}
