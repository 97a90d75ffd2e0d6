//! The control plane's own pods, which a kubelet starts from files and mirrors into the API; and what it means that a pod
//! runs from the first moment.

use super::node::VERSION;
use jiff::Timestamp;
use machinery::{clock, object};
use serde_json::{Value, json};

/// Mirror pods of the control plane on `node`.
pub fn control_plane(node: &Value, address: &str) -> Vec<Value> {
    let component = |name: &str, image: String, cpu: &str, command: Vec<String>, port: u16| {
        let manifest = hex_of(&format!("{name}/{}", object::name(node)));
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("{name}-{}", object::name(node)), "namespace": "kube-system",
                "labels": {"component": name, "tier": "control-plane"},
                "annotations": {
                    "kubernetes.io/config.hash": manifest, "kubernetes.io/config.mirror": manifest,
                    "kubernetes.io/config.source": "file", "kubernetes.io/config.seen": "2026-01-01T00:00:00.000000000Z",
                },
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": object::name(node), "uid": object::uid(node), "controller": true}],
            },
            "spec": {
                "nodeName": object::name(node), "hostNetwork": true, "priorityClassName": "system-node-critical",
                "enableServiceLinks": true, "automountServiceAccountToken": false,
                "tolerations": [{"operator": "Exists", "effect": "NoExecute"}],
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command,
                    "resources": {"requests": {"cpu": cpu}},
                    "livenessProbe": {
                        "httpGet": {"host": "127.0.0.1", "path": "/livez", "port": port, "scheme": if name == "etcd" { "HTTP" } else { "HTTPS" }},
                        "initialDelaySeconds": 10, "timeoutSeconds": 15, "periodSeconds": 10, "failureThreshold": 8,
                    },
                }],
            },
        })
    };
    let words = |program: &str, arguments: &[String]| [&[program.to_owned()], arguments].concat();
    let flags = |program: &str, arguments: &[&str]| words(program, &arguments.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>());
    vec![
        component(
            "etcd",
            "registry.k8s.io/etcd:3.6.4-0".to_owned(),
            "100m",
            words("etcd", &[format!("--advertise-client-urls=https://{address}:2379"), "--data-dir=/var/lib/etcd".to_owned()]),
            2381,
        ),
        component(
            "kube-apiserver",
            format!("registry.k8s.io/kube-apiserver:{VERSION}"),
            "250m",
            words(
                "kube-apiserver",
                &[
                    format!("--advertise-address={address}"),
                    "--allow-privileged=true".to_owned(),
                    "--authorization-mode=Node,RBAC".to_owned(),
                    "--enable-admission-plugins=NodeRestriction".to_owned(),
                    "--secure-port=6443".to_owned(),
                    "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                ],
            ),
            6443,
        ),
        component(
            "kube-controller-manager",
            format!("registry.k8s.io/kube-controller-manager:{VERSION}"),
            "200m",
            flags(
                "kube-controller-manager",
                &[
                    "--allocate-node-cidrs=true",
                    "--bind-address=127.0.0.1",
                    "--cluster-cidr=10.244.0.0/16",
                    "--controllers=*,bootstrapsigner,tokencleaner",
                ],
            ),
            10257,
        ),
        component(
            "kube-scheduler",
            format!("registry.k8s.io/kube-scheduler:{VERSION}"),
            "100m",
            flags("kube-scheduler", &["--bind-address=127.0.0.1", "--kubeconfig=/etc/kubernetes/scheduler.conf"]),
            10259,
        ),
    ]
}

/// The status of a pod all of whose containers have been running since `now`.
pub fn running(pod: &Value, host: &str, address: &str, now: Timestamp) -> Value {
    let at = clock::rfc3339(now);
    let generation = pod["metadata"]["generation"].as_i64().unwrap_or(1);
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": at, "observedGeneration": generation});
    let containers: Vec<_> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| {
            let image = container["image"].as_str().unwrap_or_default();
            let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
            json!({
                "name": container["name"], "image": image, "imageID": format!("{repository}@sha256:{}", hex_of(image)),
                "containerID": format!("containerd://{}", hex_of(&format!("{}/{}", object::uid(pod), container["name"]))),
                "ready": true, "started": true, "restartCount": 0, "lastState": {}, "state": {"running": {"startedAt": at}},
            })
        })
        .collect();
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    json!({
        "phase": "Running", "observedGeneration": generation, "qosClass": pod["status"]["qosClass"], "startTime": at,
        "hostIP": host, "hostIPs": [{"ip": host}], "podIP": address, "podIPs": [{"ip": address}],
        "conditions": conditions,
        "containerStatuses": containers,
    })
}

fn hex_of(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text))
}
