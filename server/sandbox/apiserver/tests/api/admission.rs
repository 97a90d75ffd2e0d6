//! Admission plug-ins, one after the other.

use crate::kit::Kit;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/x/pods";

fn pod(name: &str, spec: Value) -> Value {
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (key, value) in spec.as_object().unwrap() {
        pod["spec"][key] = value.clone();
    }
    pod
}

fn kit() -> Kit {
    let kit = Kit::new();
    kit.namespace("x");
    kit
}

#[tokio::test]
async fn a_pod_gets_its_service_account_and_the_small_defaults() {
    let kit = kit();
    let made = kit.post(PODS, pod("p", json!({}))).await.expect(201).json();
    let spec = &made["spec"];
    assert_eq!(
        (&spec["serviceAccountName"], &spec["priority"], &spec["preemptionPolicy"]),
        (&json!("default"), &json!(0), &json!("PreemptLowerPriority"))
    );
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    let volume = &spec["volumes"][0];
    assert!(volume["name"].as_str().unwrap().starts_with("kube-api-access-"));
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume["name"]);
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    let bare = kit.post(PODS, pod("bare", json!({"automountServiceAccountToken": false}))).await.expect(201).json();
    assert_eq!(bare["spec"]["volumes"].as_array().map_or(0, Vec::len), 0);
    // managedFields tell what the client said, not what admission filled in.
    let managed = made["metadata"]["managedFields"].to_string();
    assert!(managed.contains("f:containers") && !managed.contains("kube-api-access"), "{managed}");
}

#[tokio::test]
async fn refusals_in_the_servers_words() {
    let kit = kit();
    let cases = [
        (
            json!({"serviceAccountName": "nope"}),
            "pods \"p\" is forbidden: error looking up service account x/nope: serviceaccount \"nope\" not found",
        ),
        (json!({"priorityClassName": "nope"}), "pods \"p\" is forbidden: no PriorityClass with name nope was found"),
        (json!({"runtimeClassName": "nope"}), "pods \"p\" is forbidden: pod rejected: RuntimeClass \"nope\" not found"),
    ];
    for (spec, message) in cases {
        assert_eq!(kit.post(PODS, pod("p", spec)).await.expect(403).message(), message);
    }
    kit.delete("/api/v1/namespaces/x").await.expect(200);
    let refused = kit.post(PODS, pod("p", json!({}))).await.expect(403);
    assert_eq!(refused.message(), "pods \"p\" is forbidden: unable to create new content in namespace x because it is being terminated");
}

#[tokio::test]
async fn pod_security_by_the_labels_of_the_namespace() {
    let kit = kit();
    let path = "/api/v1/namespaces/x";
    kit.post(PODS, pod("old", json!({"hostNetwork": true}))).await.expect(201);
    let label = |mode: &str, level: &str| json!({"metadata": {"labels": {format!("pod-security.kubernetes.io/{mode}"): level}}});
    let refused = kit.patch(path, "merge", label("enforce", "strict")).await.expect(422);
    assert_eq!(
        refused.message(),
        "Namespace \"x\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted"
    );
    let changed = kit.patch(path, "merge", label("enforce", "baseline")).await.expect(200);
    let warnings: Vec<_> = changed.headers.get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    assert_eq!(
        warnings,
        [
            "299 - \"existing pods in namespace \\\"x\\\" violate the new PodSecurity enforce level \\\"baseline:latest\\\"\"",
            "299 - \"old: host namespaces\"",
        ]
    );
    kit.patch(path, "merge", label("warn", "restricted")).await.expect(200);
    let refused = kit.post(PODS, pod("p", json!({"hostNetwork": true}))).await.expect(403);
    assert_eq!(refused.message(), "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)");
    let warned = kit.post(PODS, pod("p", json!({}))).await.expect(201);
    assert!(warned.headers["warning"].to_str().unwrap().starts_with("299 - \"would violate PodSecurity \\\"restricted:latest\\\": "));
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let warned = kit.post("/apis/apps/v1/namespaces/x/deployments", deployment).await.expect(201);
    assert!(warned.headers.contains_key("warning"));
}

#[tokio::test]
async fn limits_and_quotas() {
    let kit = kit();
    let client = kit.client();
    let range = json!({"metadata": {"name": "r", "namespace": "x"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]}});
    client.create(machinery::gvr::LIMIT_RANGES, range).unwrap();
    let quota =
        json!({"metadata": {"name": "q", "namespace": "x"}, "spec": {"hard": {"pods": "2", "requests.cpu": "250m", "services": "1"}}});
    client.create(machinery::gvr::RESOURCE_QUOTAS, quota).unwrap();
    let first = kit.post(PODS, pod("a", json!({}))).await.expect(201).json();
    assert_eq!(first["spec"]["containers"][0]["resources"], json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}}));
    assert_eq!(
        first["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let big =
        |cpu: &str| json!({"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": cpu}, "requests": {"cpu": cpu}}}]});
    assert_eq!(
        kit.post(PODS, pod("b", big("2"))).await.expect(403).message(),
        "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
    assert_eq!(
        kit.post(PODS, pod("b", big("200m"))).await.expect(403).message(),
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=200m, used: requests.cpu=100m, limited: requests.cpu=250m"
    );
    kit.post(PODS, pod("b", json!({}))).await.expect(201);
    assert_eq!(
        kit.post(PODS, pod("c", json!({}))).await.expect(403).message(),
        "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=100m, used: pods=2,requests.cpu=200m, limited: pods=2,requests.cpu=250m"
    );
    let used = |kit: &Kit| kit.client().get(machinery::gvr::RESOURCE_QUOTAS, "x", "q").unwrap()["status"]["used"].clone();
    assert_eq!(used(&kit), json!({"pods": "2", "requests.cpu": "200m", "services": "0"}));
    kit.delete(&format!("{PODS}/b")).await.expect(200);
    assert_eq!(used(&kit), json!({"pods": "1", "requests.cpu": "100m", "services": "0"}));
}

#[tokio::test]
async fn services_get_addresses_and_ports() {
    let kit = kit();
    let path = "/api/v1/namespaces/x/services";
    let service = |name: &str, spec: Value| {
        let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}});
        for (key, value) in spec.as_object().unwrap() {
            service["spec"][key] = value.clone();
        }
        service
    };
    let made = kit.post(path, service("a", json!({"type": "NodePort"}))).await.expect(201).json();
    let address = made["spec"]["clusterIP"].as_str().unwrap();
    assert!(address.starts_with("10.96."), "{address}");
    assert_eq!(made["spec"]["clusterIPs"], json!([address]));
    assert!((30000..=32767).contains(&made["spec"]["ports"][0]["nodePort"].as_u64().unwrap()));
    let fixed = kit.post(path, service("dns", json!({"clusterIP": "10.96.0.10"}))).await.expect(201).json();
    assert_eq!(fixed["spec"]["clusterIP"], "10.96.0.10");
    assert_eq!(
        kit.post(path, service("b", json!({"clusterIP": "10.96.0.10"}))).await.expect(422).message(),
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.10\"]: failed to allocate IP 10.96.0.10: provided IP is already allocated"
    );
    assert_eq!(
        kit.post(path, service("b", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}))).await.expect(422).message(),
        "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
    );
    let headless = kit.post(path, service("h", json!({"clusterIP": "None"}))).await.expect(201).json();
    assert_eq!(headless["spec"]["clusterIP"], "None");
    // An update that does not name the address keeps it; back to ClusterIP the node port goes.
    kit.put(&format!("{path}/a"), service("a", json!({"type": "ClusterIP"}))).await.expect(200);
    let kept = kit.get(&format!("{path}/a")).await.json();
    assert_eq!(kept["spec"]["clusterIP"], address);
    assert!(kept["spec"]["ports"][0]["nodePort"].is_null());
    kit.get(&format!("/apis/networking.k8s.io/v1/ipaddresses/{address}")).await.expect(200);
    kit.delete(&format!("{path}/a")).await.expect(200);
    kit.get(&format!("/apis/networking.k8s.io/v1/ipaddresses/{address}")).await.expect(404);
}

#[tokio::test]
async fn a_kubelet_writes_its_own_pods_only() {
    let kit = kit();
    kit.post(PODS, pod("p", json!({}))).await.expect(201);
    kit.client().bind("x", "p", "node-a").unwrap();
    let everything = json!({"metadata": {"name": "nodes"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    kit.client().create(machinery::gvr::CLUSTER_ROLES, everything).unwrap();
    let binding = json!({"metadata": {"name": "nodes"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nodes"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]});
    kit.client().create(machinery::gvr::CLUSTER_ROLE_BINDINGS, binding).unwrap();
    let status = json!({"status": {"phase": "Running"}});
    let path = format!("{PODS}/p/status");
    kit.as_user("system:node:node-a", &["system:nodes"]).patch(&path, "merge", status.clone()).await.expect(200);
    let refused = kit.as_user("system:node:node-b", &["system:nodes"]).patch(&path, "merge", status).await.expect(403);
    assert_eq!(
        refused.message(),
        "pods \"p\" is forbidden: node \"node-b\" can only update pod status for pods with spec.nodeName set to itself"
    );
}
