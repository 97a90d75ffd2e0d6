//! DaemonSets and StatefulSets.

use crate::{bootstrap::NodeSpec, controllers::common::text, testing::Lab};
use machinery::{gvr, object};
use serde_json::json;

fn nodes() -> [NodeSpec; 3] {
    ["a", "b", "c"].map(|name| NodeSpec::with_gpus(name, 0))
}

#[test]
fn a_daemon_on_each_node_that_wants_it() {
    let mut lab = Lab::bare(&nodes());
    lab.apply(
        gvr::DAEMON_SETS,
        "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}, spec: {selector: {matchLabels: {a: d}}, \
         template: {metadata: {labels: {a: d}}, spec: {containers: [{name: c, image: one}]}}}}",
    );
    let set = lab.get(gvr::DAEMON_SETS, "d");
    assert_eq!(
        set["status"],
        json!({"currentNumberScheduled": 3, "desiredNumberScheduled": 3, "numberAvailable": 3, "numberMisscheduled": 0, "numberReady": 3,
               "observedGeneration": 1, "updatedNumberScheduled": 3})
    );
    let pods = lab.list(gvr::PODS);
    let mut hosts: Vec<_> = pods.iter().map(|pod| text(&pod["spec"]["nodeName"])).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["a", "b", "c"]);
    assert_eq!(pods[0]["metadata"]["labels"]["pod-template-generation"], "1");
    lab.edit(gvr::DAEMON_SETS, "d", |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = "two".into());
    lab.pass(5);
    assert!(lab.list(gvr::PODS).iter().all(|pod| pod["spec"]["containers"][0]["image"] == "two"));
    let revisions: Vec<_> = lab.list(gvr::CONTROLLER_REVISIONS).iter().map(|revision| revision["revision"].as_i64().unwrap()).collect();
    assert_eq!(revisions.len(), 2);
    lab.edit(gvr::DAEMON_SETS, "d", |set| set["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": "b"}));
    lab.pass(5);
    let pods = lab.list(gvr::PODS);
    assert_eq!((pods.len(), &pods[0]["spec"]["nodeName"]), (1, &json!("b")));
}

#[test]
fn a_stateful_set_in_order_with_volumes_of_its_own() {
    let mut lab = Lab::bare(&nodes());
    lab.apply(
        gvr::STORAGE_CLASSES,
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, \
         provisioner: rancher.io/local-path, reclaimPolicy: Delete, volumeBindingMode: WaitForFirstConsumer}",
    );
    lab.apply(
        gvr::STATEFUL_SETS,
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {replicas: 3, serviceName: s, selector: {matchLabels: {a: s}}, \
         template: {metadata: {labels: {a: s}}, spec: {containers: [{name: c, image: one}]}}, \
         volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}",
    );
    let names: Vec<_> = lab.list(gvr::PODS).iter().map(|pod| object::name(pod).to_owned()).collect();
    assert_eq!(names, ["s-0", "s-1", "s-2"]);
    let claims: Vec<_> = lab.list(gvr::PERSISTENT_VOLUME_CLAIMS).iter().map(|claim| object::name(claim).to_owned()).collect();
    assert_eq!(claims, ["data-s-0", "data-s-1", "data-s-2"]);
    let pod = lab.get(gvr::PODS, "s-0");
    assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("s-0"), &json!("s")));
    assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "0");
    let made: Vec<_> = lab.events("StatefulSet").into_iter().filter(|event| event.contains("create Pod")).collect();
    assert_eq!(made[0], "SuccessfulCreate create Pod s-0 in StatefulSet s successful");
    let status = &lab.get(gvr::STATEFUL_SETS, "s")["status"];
    assert_eq!((&status["replicas"], &status["readyReplicas"], &status["currentReplicas"]), (&json!(3), &json!(3), &json!(3)));
    // One that does not become ready holds back those after it.
    lab.edit(gvr::STATEFUL_SETS, "s", |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = "unready".into());
    lab.pass(30);
    let images: Vec<_> = lab.list(gvr::PODS).iter().map(|pod| text(&pod["spec"]["containers"][0]["image"]).to_owned()).collect();
    assert_eq!(images, ["one", "one", "unready"]);
    lab.edit(gvr::STATEFUL_SETS, "s", |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = "two".into();
        set["spec"]["podManagementPolicy"] = "OrderedReady".into();
    });
    lab.delete(gvr::PODS, "s-2", &Default::default());
    lab.pass(30);
    let images: Vec<_> = lab.list(gvr::PODS).iter().map(|pod| text(&pod["spec"]["containers"][0]["image"]).to_owned()).collect();
    assert_eq!(images, ["two", "two", "two"]);
    lab.edit(gvr::STATEFUL_SETS, "s", |set| set["spec"]["replicas"] = 1.into());
    lab.pass(5);
    assert_eq!(lab.list(gvr::PODS).len(), 1);
    assert_eq!(lab.list(gvr::PERSISTENT_VOLUME_CLAIMS).len(), 3, "volumes are retained");
}
