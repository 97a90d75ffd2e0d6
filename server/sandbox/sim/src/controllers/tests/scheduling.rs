//! Where pods go, and what is said when they go nowhere.

use crate::{
    bootstrap::NodeSpec,
    controllers::common::{condition, text},
    testing::Lab,
};
use machinery::gvr;
use serde_json::json;

fn nodes() -> Vec<NodeSpec> {
    let gpu = |name: &str, gpus| NodeSpec { gpus_in_capacity: true, ..NodeSpec::with_gpus(name, gpus) };
    vec![gpu("gpu-1", 8), gpu("gpu-2", 4), NodeSpec::with_gpus("cpu", 0)]
}

fn pod(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: x}}}}, spec: {{containers: [{{name: c, image: i, resources: {{limits: {{}}}}}}], {spec}}}}}"
    )
}

fn with_limits(name: &str, limits: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: i, resources: {{limits: {{{limits}}}}}}}]}}}}"
    )
}

#[test]
fn a_pod_that_fits_nowhere_says_why() {
    let help = "no new claims to deallocate, preemption: 0/3 nodes are available";
    for (name, text, message) in [
        (
            "greedy",
            with_limits("greedy", "nvidia.com/gpu: 99"),
            format!("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. {help}: 3 Preemption is not helpful for scheduling."),
        ),
        (
            "picky",
            pod("picky", "nodeSelector: {pool: none}"),
            format!("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. {help}: 3 Preemption is not helpful for scheduling."),
        ),
        (
            "mixed",
            "{apiVersion: v1, kind: Pod, metadata: {name: mixed}, spec: {nodeSelector: {feature.node.kubernetes.io/pci-10de.present: 'true'}, \
             containers: [{name: c, image: i, resources: {limits: {nvidia.com/gpu: 6, cpu: 999}}}]}}"
                .to_owned(),
            format!(
                "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 Insufficient cpu, 2 Insufficient nvidia.com/gpu. {help}: \
                 3 Preemption is not helpful for scheduling."
            ),
        ),
        (
            "claimed",
            pod("claimed", "volumes: [{name: v, persistentVolumeClaim: {claimName: nope}}]"),
            "0/3 nodes are available: persistentvolumeclaim \"nope\" not found. not found".to_owned(),
        ),
        (
            "lonely",
            pod("lonely", "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: absent}}}]}}"),
            format!("0/3 nodes are available: 3 node(s) didn't match pod affinity rules. {help}: 3 Preemption is not helpful for scheduling."),
        ),
    ] {
        let mut lab = Lab::bare(&nodes());
        if name == "mixed" {
            // 6 of 8 GPUs are taken on one node, so that neither has 6 left.
            lab.apply(gvr::PODS, &with_limits("first", "nvidia.com/gpu: 6"));
        }
        lab.apply(gvr::PODS, &text);
        let pod = lab.get(gvr::PODS, name);
        let scheduled = condition(&pod, "PodScheduled").unwrap();
        assert_eq!((&scheduled["status"], &scheduled["reason"]), (&json!("False"), &json!("Unschedulable")), "{name}");
        if name != "mixed" {
            assert_eq!(scheduled["message"], message, "{name}");
        } else {
            assert!(crate::controllers::common::text(&scheduled["message"]).contains("2 Insufficient cpu, 2 Insufficient nvidia.com/gpu."), "{scheduled}");
        }
        let events = lab.events("Pod");
        assert_eq!(events.iter().filter(|event| event.starts_with("FailedScheduling")).count(), 1, "{events:?}");
    }
}

#[test]
fn taints_gates_cordons_and_ports() {
    let mut lab = Lab::bare(&nodes());
    for (name, key) in [("gpu-1", "nvidia.com/gpu"), ("gpu-2", "other")] {
        let mut node = (*lab.client.get(gvr::NODES, "", name).unwrap()).clone();
        node["spec"]["taints"] = json!([{"key": key, "value": "true", "effect": "NoSchedule"}]);
        lab.client.update(gvr::NODES, node).unwrap();
    }
    let mut cpu = (*lab.client.get(gvr::NODES, "", "cpu").unwrap()).clone();
    cpu["spec"]["unschedulable"] = true.into();
    lab.client.update(gvr::NODES, cpu).unwrap();
    lab.apply(gvr::PODS, &pod("plain", "restartPolicy: Always"));
    let message = lab.get(gvr::PODS, "plain");
    let message = text(&condition(&message, "PodScheduled").unwrap()["message"]);
    // The cordon is also a taint, which the node-lifecycle controller has set; the filter for cordons comes first.
    assert!(
        message.starts_with("0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s). "),
        "{message}"
    );
    lab.apply(gvr::PODS, &pod("bears", "tolerations: [{key: nvidia.com/gpu, operator: Exists}]"));
    assert_eq!(lab.get(gvr::PODS, "bears")["spec"]["nodeName"], "gpu-1");
    lab.apply(gvr::PODS, &pod("gated", "schedulingGates: [{name: a/b}], tolerations: [{operator: Exists}]"));
    assert!(lab.get(gvr::PODS, "gated")["spec"]["nodeName"].is_null());
    lab.edit(gvr::PODS, "gated", |pod| {
        pod["spec"].as_object_mut().unwrap().remove("schedulingGates");
    });
    assert!(lab.get(gvr::PODS, "gated")["spec"]["nodeName"].is_string());
    let events = lab.events("Pod");
    assert!(events.contains(&"Scheduled Successfully assigned default/bears to gpu-1".to_owned()), "{events:?}");
}

#[test]
fn what_is_freed_is_used_and_what_matters_more_goes_first() {
    let mut lab = Lab::bare(&nodes()[1..]);
    lab.apply(gvr::PODS, &with_limits("first", "nvidia.com/gpu: 4"));
    lab.apply(gvr::PODS, &with_limits("second", "nvidia.com/gpu: 1"));
    let message = lab.get(gvr::PODS, "second");
    assert_eq!(
        condition(&message, "PodScheduled").unwrap()["message"],
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/2 nodes are available: \
         1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    );
    lab.apply(gvr::PRIORITY_CLASSES, "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}");
    lab.apply(
        gvr::PODS,
        "{apiVersion: v1, kind: Pod, metadata: {name: urgent}, spec: {priorityClassName: high, priority: 1000, \
         containers: [{name: c, image: i, resources: {limits: {nvidia.com/gpu: 2}}}]}}",
    );
    assert_eq!(lab.get(gvr::PODS, "urgent")["spec"]["nodeName"], "gpu-2");
    assert!(lab.client.get(gvr::PODS, "default", "first").is_none(), "the victim is gone");
    assert_eq!(lab.get(gvr::PODS, "second")["spec"]["nodeName"], "gpu-2", "and the one that waited fits beside");
    assert!(lab.events("Pod").iter().any(|event| event.starts_with("Preempted Preempted by pod ")));
}

#[test]
fn replicas_spread_and_repel() {
    let mut lab = Lab::bare(&nodes());
    let deployment = |name: &str, replicas: usize, spec: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}, spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: {name}}}}}, \
             template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: c, image: i}}], {spec}}}}}}}}}"
        )
    };
    let hosts = |lab: &Lab, name: &str| {
        let mut nodes: Vec<_> = lab
            .list(gvr::PODS)
            .iter()
            .filter(|pod| pod["metadata"]["labels"]["app"] == name)
            .map(|pod| text(&pod["spec"]["nodeName"]).to_owned())
            .collect();
        nodes.sort();
        nodes
    };
    lab.apply(
        gvr::DEPLOYMENTS,
        &deployment(
            "apart",
            4,
            "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: apart}}}]}}",
        ),
    );
    assert_eq!(hosts(&lab, "apart"), ["", "cpu", "gpu-1", "gpu-2"]);
    lab.apply(
        gvr::DEPLOYMENTS,
        &deployment(
            "even",
            6,
            "topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: even}}}]",
        ),
    );
    assert_eq!(hosts(&lab, "even"), ["cpu", "cpu", "gpu-1", "gpu-1", "gpu-2", "gpu-2"]);
}

#[test]
fn a_claim_waits_for_its_first_consumer() {
    let mut lab = Lab::bare(&nodes());
    lab.apply(
        gvr::STORAGE_CLASSES,
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, \
         provisioner: rancher.io/local-path, reclaimPolicy: Delete, volumeBindingMode: WaitForFirstConsumer}",
    );
    lab.apply(
        gvr::PERSISTENT_VOLUME_CLAIMS,
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
    );
    assert_eq!(lab.get(gvr::PERSISTENT_VOLUME_CLAIMS, "data")["status"]["phase"], "Pending");
    assert_eq!(lab.events("PersistentVolumeClaim"), ["WaitForFirstConsumer waiting for first consumer to be created before binding"]);
    lab.apply(gvr::PODS, &pod("user", "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]"));
    let claim = lab.get(gvr::PERSISTENT_VOLUME_CLAIMS, "data");
    assert_eq!(claim["status"], json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}));
    assert!(lab.get(gvr::PODS, "user")["spec"]["nodeName"].is_string());
    assert_eq!(lab.client.list(gvr::PERSISTENT_VOLUMES, None).len(), 1);
    lab.delete(gvr::PODS, "user", &Default::default());
    lab.delete(gvr::PERSISTENT_VOLUME_CLAIMS, "data", &Default::default());
    assert_eq!(lab.client.list(gvr::PERSISTENT_VOLUMES, None).len(), 0, "the reclaim policy is Delete");
}
