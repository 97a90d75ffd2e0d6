//! Tier: real containers. One cluster behind the contract: its API in a learner's name, the guard, probes, snapshots, sleep.

mod common;

use common::{World, not_run, one_node, turn};
use http::{Method, Request};
use http_body_util::BodyExt;
use provision::{Body, Cluster, ClusterSpec, NodeSpec, Probe, ProbeOutcome, Provisioner, UserInfo, kind::KindProvisioner};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// A cluster, and the learner who works on it.
struct Desk {
    world: World,
    provisioner: KindProvisioner,
    cluster: Arc<dyn Cluster>,
}

fn learner() -> UserInfo {
    UserInfo { name: "learner".to_owned(), ..UserInfo::admin() }
}

impl Desk {
    async fn new() -> Result<Self, String> {
        Self::of(&one_node()).await
    }

    async fn of(spec: &ClusterSpec) -> Result<Self, String> {
        let world = World::new().await?;
        let provisioner = world.provisioner().await;
        let (sender, _) = tokio::sync::mpsc::unbounded_channel();
        let cluster = provisioner.create("a", spec, sender).await.map_err(|error| format!("{error:?}")).unwrap();
        Ok(Self { world, provisioner, cluster })
    }

    /// Status code and body of a request in somebody's name.
    async fn ask(&self, user: UserInfo, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let content_type = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type).body(body).unwrap();
        let response = self.cluster.serve(user, request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(learner(), Method::GET, path, &Value::Null).await.1
    }

    async fn make(&self, path: &str, body: Value) -> Value {
        let (code, answer) = self.ask(learner(), Method::POST, path, &body).await;
        assert_eq!(code, 201, "{path} {body}: {answer}");
        answer
    }

    /// Waits, by looking, for something that is bound to come; the test ends where it does not.
    async fn until(&self, what: &str, path: &str, look: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let looking = async {
            loop {
                last = self.get(path).await;
                if look(&last) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(90), looking).await;
        assert!(came.is_ok(), "{what} does not come: {last}");
        last
    }

    async fn probe(&self, from: &str, to: &str, port: u16, path: Option<&str>) -> ProbeOutcome {
        let probe = Probe {
            from_namespace: "net".to_owned(),
            from_pod: from.to_owned(),
            to_host: to.to_owned(),
            to_port: port,
            http_path: path.map(str::to_owned),
        };
        self.cluster.probe(&probe).await
    }
}

fn pod(name: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "busybox:1.37", "command": command}]},
    })
}

fn is_ready(pod: &Value) -> bool {
    let all = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learners_cluster() {
    let _turn = turn().await;
    let desk = match Desk::new().await {
        Ok(desk) => desk,
        Err(why) => return not_run("a kind cluster behind the contract", &why),
    };
    identities(&desk).await;
    guard(&desk).await;
    changed_on_the_way(&desk).await;
    reachability(&desk).await;
    upgrades(&desk).await;
    rest_and_snapshots(&desk).await;
    sleep(&desk).await;
    desk.provisioner.delete("a").await.unwrap();
    assert!(desk.world.left().await.is_empty());
}

/// A lab that asks for more nodes gets workers; pods reach each other across nodes, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_two_nodes() {
    let _turn = turn().await;
    let mut spec = one_node();
    let labels = BTreeMap::from([("example.com/pool".to_owned(), "cpu".to_owned())]);
    spec.nodes.push(NodeSpec { labels, ..NodeSpec::with_gpus("cpu-node", 0) });
    let desk = match Desk::of(&spec).await {
        Ok(desk) => desk,
        Err(why) => return not_run("a kind cluster of two nodes", &why),
    };
    let nodes = desk.get("/api/v1/nodes").await["items"].as_array().cloned().unwrap();
    let seen: Vec<(&Value, bool, bool)> = nodes
        .iter()
        .map(|node| (&node["metadata"]["name"], is_ready(node), node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)))
        .collect();
    assert_eq!(seen, [(&json!("cpu-node"), true, true), (&json!("gpu-node"), true, true)]);
    assert_eq!(nodes[0]["metadata"]["labels"]["example.com/pool"], "cpu");
    assert!(nodes[1]["metadata"]["labels"]["node-role.kubernetes.io/control-plane"].is_string());

    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "net"}})).await;
    let pods = "/api/v1/namespaces/net/pods";
    for (name, node, command) in [("server", "gpu-node", "exec httpd -f -p 8080"), ("client", "cpu-node", "exec sleep 3600")] {
        let mut pod = pod(name, &["sh", "-c", command]);
        pod["spec"]["nodeName"] = json!(node);
        desk.make(pods, pod).await;
        desk.until(name, &format!("{pods}/{name}"), is_ready).await;
    }
    let address = desk.get(&format!("{pods}/server")).await["status"]["podIP"].as_str().unwrap().to_owned();
    let reached = async { while !matches!(desk.probe("client", &address, 8080, None).await, ProbeOutcome::Connected { .. }) {} };
    tokio::time::timeout(Duration::from_secs(60), reached).await.expect("pods of two nodes reach each other");

    // Both sleep, and both wake.
    desk.cluster.sleep().await.unwrap();
    assert_eq!(desk.get("/api/v1/namespaces/net").await["metadata"]["name"], "net");
    assert!(matches!(desk.probe("client", &address, 8080, None).await, ProbeOutcome::Connected { .. }));
    desk.provisioner.delete("a").await.unwrap();
    assert!(desk.world.left().await.is_empty());
}

/// Who is who, behind the gateway and inside.
async fn identities(desk: &Desk) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (code, answer) = desk.ask(learner(), Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await;
    assert_eq!((code, &answer["status"]["userInfo"]["username"]), (201, &json!("learner")));
    assert_eq!(answer["status"]["userInfo"]["groups"], json!(["cordon:learners", "system:authenticated"]));

    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "ids"}})).await;
    desk.make("/api/v1/namespaces/ids/serviceaccounts", json!({"metadata": {"name": "trainer"}})).await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
    let token = desk.make("/api/v1/namespaces/ids/serviceaccounts/trainer/token", request).await;
    let user = desk.cluster.authenticate(token["status"]["token"].as_str().unwrap()).await.unwrap();
    assert_eq!(user.name, "system:serviceaccount:ids:trainer");
    assert!(user.groups.contains(&"system:serviceaccounts:ids".to_owned()));
    assert_eq!(desk.cluster.authenticate("eyJhbGciOiJub25lIn0.e30.").await, None);

    // RBAC holds for whom the gateway names.
    assert_eq!(desk.ask(user, Method::GET, "/api/v1/secrets", &Value::Null).await.0, 403);
    // `kubectl --as`: what RBAC and the guard allow, and nothing else.
    let act_as = async |user: UserInfo, name: &str| {
        let request = Request::get("/api/v1/secrets").header("impersonate-user", name).body(Body::empty()).unwrap();
        desk.cluster.serve(user, request).await.status().as_u16()
    };
    assert_eq!(act_as(learner(), "system:serviceaccount:ids:trainer").await, 403, "as the account, which may not list secrets");
    assert_eq!(act_as(UserInfo::service_account("ids", "trainer"), "learner").await, 403);
    for name in ["kubernetes-admin", "system:kube-controller-manager", "system:serviceaccount:kube-system:daemon-set-controller"] {
        assert_eq!(act_as(learner(), name).await, 403, "{name}");
    }
}

/// Cluster-admin, and still not root on the node.
async fn guard(desk: &Desk) {
    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "guard"}})).await;
    let pods = "/api/v1/namespaces/guard/pods";
    let with = |pointer: &str, value: Value| {
        let mut pod = pod("p", &["true"]);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        pod
    };
    let container = "/spec/containers/0/securityContext";
    let refused = [
        (with(container, json!({"privileged": true})), "privileged containers are refused"),
        (with(container, json!({"capabilities": {"add": ["SYS_ADMIN"]}})), "capabilities beyond"),
        (with("/spec/volumes", json!([{"name": "h", "hostPath": {"path": "/"}}])), "hostPath volumes are refused"),
        (with("/spec/hostPID", json!(true)), "hostNetwork, hostPID and hostIPC are refused"),
        (with("/spec/hostNetwork", json!(true)), "hostNetwork, hostPID and hostIPC are refused"),
        (
            with("/spec/initContainers", json!([{"name": "i", "image": "busybox:1.37", "securityContext": {"privileged": true}}])),
            "privileged containers are refused",
        ),
    ];
    for (pod, words) in refused {
        let (code, answer) = desk.ask(learner(), Method::POST, pods, &pod).await;
        assert!(code == 422 && answer["message"].as_str().unwrap_or_default().contains(words), "{code} {answer}\nexpected {words}");
        assert!(answer["message"].as_str().unwrap_or_default().contains("root on the host"), "{answer}");
    }
    let harmless = with(container, json!({"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}));
    assert_eq!(desk.ask(learner(), Method::POST, pods, &harmless).await.0, 201);
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/"}}});
    let (code, answer) = desk.ask(learner(), Method::POST, "/api/v1/persistentvolumes", &volume).await;
    assert!(code == 422 && answer["message"].as_str().unwrap_or_default().contains("volumes on the node's disk"), "{answer}");

    // An account that a learner makes cluster-admin is asked from inside a pod, where no gateway is: the cluster itself refuses it.
    let binding = json!({
        "metadata": {"name": "all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "trainer", "namespace": "ids"}],
    });
    desk.make("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await;
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let doors = [
        (Method::DELETE, format!("{policies}/cordon-pods"), Value::Null),
        (Method::DELETE, policies.to_owned(), Value::Null),
        (Method::DELETE, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/cordon-pods".to_owned(), Value::Null),
        (Method::GET, "/api/v1/nodes/gpu-node/proxy/pods".to_owned(), Value::Null),
        (Method::POST, "/api/v1/namespaces/kube-system/pods".to_owned(), pod("p", &["true"])),
        (
            Method::POST,
            "/api/v1/namespaces/kube-system/serviceaccounts/daemon-set-controller/token".to_owned(),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}),
        ),
        (Method::POST, "/api/v1/namespaces/kube-system/secrets".to_owned(), json!({"metadata": {"name": "s"}})),
        (Method::PUT, "/api/v1/namespaces/kube-system/configmaps/kube-proxy".to_owned(), json!({"metadata": {"name": "kube-proxy"}})),
        (Method::DELETE, "/apis/apiregistration.k8s.io/v1/apiservices/v1.admissionregistration.k8s.io".to_owned(), Value::Null),
    ];
    for user in [learner(), UserInfo::service_account("ids", "trainer")] {
        for (method, path, body) in &doors {
            let (code, answer) = desk.ask(user.clone(), method.clone(), path, body).await;
            assert_eq!(code, 403, "{} {method} {path}: {answer}", user.name);
            assert!(answer["message"].as_str().unwrap_or_default().contains("around the guard"), "{answer}");
        }
    }
    assert!(desk.get(&format!("{policies}/cordon-pods")).await["metadata"]["uid"].is_string());
    let (code, answer) =
        desk.ask(learner(), Method::DELETE, "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", &Value::Null).await;
    assert!(code == 422 && answer["message"].as_str().unwrap_or_default().contains("stay as they are"), "{code} {answer}");

    let request = json!({"metadata": {"name": "me"}, "spec": {"request": "LS0t", "usages": ["client auth"],
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet"}});
    let (code, answer) = desk.ask(learner(), Method::POST, "/apis/certificates.k8s.io/v1/certificatesigningrequests", &request).await;
    assert!(code == 422, "{code} {answer}");

    // The cluster's own pods come again, exactly as they were.
    for label in ["k8s-app%3Dkube-proxy", "k8s-app%3Dkube-dns"] {
        let pods = format!("/api/v1/namespaces/kube-system/pods?labelSelector={label}");
        let old = desk.get(&pods).await["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
        assert_eq!(desk.ask(learner(), Method::DELETE, &format!("/api/v1/namespaces/kube-system/pods/{old}"), &Value::Null).await.0, 200);
        desk.until("the pod's successor", &pods, |pods| {
            let items = pods["items"].as_array().cloned().unwrap_or_default();
            items.iter().any(|pod| pod["metadata"]["name"] != old.as_str() && is_ready(pod))
        })
        .await;
    }

    // The lab's device plugin gets its pod; the same with a command of the learner's own does not.
    let plugin = |name: &str, command: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"selector": {"matchLabels": {"name": name}}, "template": {
                "metadata": {"labels": {"name": name}},
                "spec": {
                    "containers": [{"name": "c", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.4", "imagePullPolicy": "Never",
                        "command": command, "securityContext": {"privileged": true},
                        "volumeMounts": [{"name": "d", "mountPath": "/var/lib/kubelet/device-plugins"}]}],
                    "volumes": [{"name": "d", "hostPath": {"path": "/var/lib/kubelet/device-plugins"}}],
                },
            }},
        })
    };
    let sets = "/apis/apps/v1/namespaces/kube-system/daemonsets";
    let name = "nvidia-device-plugin-daemonset";
    for (name, command, gets_a_pod) in [(name, Value::Null, true), (name, json!(["sh"]), false), ("other", Value::Null, false)] {
        desk.make(sets, plugin(name, command.clone())).await;
        if gets_a_pod {
            let of_it = format!("/api/v1/namespaces/kube-system/pods?labelSelector=name%3D{name}");
            desk.until("the plugin's pod", &of_it, |pods| pods["items"].as_array().is_some_and(|all| all.len() == 1)).await;
        } else {
            let events = format!("/api/v1/namespaces/kube-system/events?fieldSelector=reason%3DFailedCreate,involvedObject.name%3D{name}");
            let refused = desk.until("the refusal", &events, |events| events["items"].as_array().is_some_and(|all| !all.is_empty())).await;
            assert!(refused.to_string().contains("root on the host"), "{refused}");
        }
        assert_eq!(desk.ask(learner(), Method::DELETE, &format!("{sets}/{name}"), &Value::Null).await.0, 200);
        desk.until("its end", &format!("{sets}/{name}"), |set| set["code"] == 404).await;
    }
}

/// A learner's webhook may change pods that the cluster's own controllers make: what is not exactly as it should be does not pass.
async fn changed_on_the_way(desk: &Desk) {
    let controller = || UserInfo::service_account("kube-system", "daemon-set-controller");
    let set = desk.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy").await;
    let mut genuine = set["spec"]["template"].clone();
    genuine["metadata"]["name"] = json!("as-it-is");
    // No node takes it: a second kube-proxy is not what is tested.
    genuine["spec"]["nodeSelector"] = json!({"none": "such"});
    let pods = "/api/v1/namespaces/kube-system/pods";
    let (code, answer) = desk.ask(controller(), Method::POST, pods, &genuine).await;
    assert_eq!(code, 201, "{answer}");
    let changes = [
        ("/spec/containers/0/image", json!("busybox:1.37")),
        ("/spec/containers/0/command", json!(["sh"])),
        ("/spec/containers/0/args", json!(["more"])),
        ("/spec/containers/0/env", json!([{"name": "LD_PRELOAD", "value": "/tmp/x.so"}])),
        ("/spec/containers/0/lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}})),
        ("/spec/containers/0/livenessProbe", json!({"exec": {"command": ["sh"]}})),
        ("/spec/containers/0/volumeMounts", json!([{"name": "xtables-lock", "mountPath": "/usr/local/bin"}])),
        ("/spec/initContainers", json!([{"name": "i", "image": "busybox:1.37"}])),
        ("/spec/serviceAccountName", json!("default")),
    ];
    for (pointer, value) in changes {
        let mut pod = genuine.clone();
        pod["metadata"]["name"] = json!("changed");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        if pointer.ends_with("serviceAccountName") {
            pod["spec"].as_object_mut().unwrap().remove("serviceAccount");
        }
        let (code, answer) = desk.ask(controller(), Method::POST, pods, &pod).await;
        assert!(code == 422 && answer.to_string().contains("root on the host"), "{pointer}: {code} {answer}");
    }
    // And the same pod from anybody else's hand, or elsewhere.
    for (user, pods) in
        [(UserInfo::service_account("kube-system", "job-controller"), pods), (controller(), "/api/v1/namespaces/guard/pods")]
    {
        let mut pod = genuine.clone();
        pod["metadata"]["name"] = json!("elsewhere");
        let code = desk.ask(user, Method::POST, pods, &pod).await.0;
        assert!(code == 422 || code == 403, "{pods}: {code}");
    }
    assert_eq!(desk.ask(learner(), Method::DELETE, &format!("{pods}/as-it-is"), &Value::Null).await.0, 200);
}

/// Real connections from pods.
async fn reachability(desk: &Desk) {
    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "net"}})).await;
    let pods = "/api/v1/namespaces/net/pods";
    let serve = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www";
    desk.make(pods, pod("server", &["sh", "-c", serve])).await;
    desk.make(pods, pod("client", &["sleep", "3600"])).await;
    let service =
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    desk.make("/api/v1/namespaces/net/services", service).await;
    for name in ["server", "client"] {
        desk.until(name, &format!("{pods}/{name}"), is_ready).await;
    }
    desk.until("DNS", "/apis/apps/v1/namespaces/kube-system/deployments/coredns", |set| set["status"]["readyReplicas"] == 1).await;
    let address = desk.get(&format!("{pods}/server")).await["status"]["podIP"].as_str().unwrap().to_owned();
    desk.until("the Service's endpoint", "/apis/discovery.k8s.io/v1/namespaces/net/endpointslices", |slices| {
        slices["items"][0]["endpoints"][0]["conditions"]["ready"] == true
    })
    .await;
    // kube-proxy writes its rules a moment after the endpoint is there.
    let settled = async { while !matches!(desk.probe("client", "web", 80, None).await, ProbeOutcome::Connected { .. }) {} };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("the Service is reached");

    let hello = ProbeOutcome::Connected { status: Some(200), body: "hello\n".to_owned() };
    assert_eq!(desk.probe("client", "web", 80, Some("/")).await, hello);
    assert_eq!(desk.probe("client", "web.net", 80, Some("/index.html")).await, hello);
    assert_eq!(desk.probe("client", &address, 8080, None).await, ProbeOutcome::Connected { status: None, body: String::new() });
    assert!(matches!(desk.probe("client", &address, 8080, Some("/none")).await, ProbeOutcome::Connected { status: Some(404), .. }));
    assert_eq!(desk.probe("client", &address, 8081, None).await, ProbeOutcome::Refused);
    assert_eq!(desk.probe("client", "nowhere.net", 80, None).await, ProbeOutcome::NoSuchHost);
    assert!(matches!(desk.probe("nobody", &address, 8080, None).await, ProbeOutcome::Unknown { reason } if reason.contains("not found")));
    assert!(matches!(desk.probe("client", "a;b", 80, None).await, ProbeOutcome::Unknown { .. }));

    // Nothing leaves the cluster: not to this host, which the node itself does reach.
    let (_, gateway) = desk.world.sh(&desk.world.node("a"), "ip -4 route show default | awk '{print $3}'").await;
    let gateway = gateway.trim();
    let host = TcpListener::bind((gateway, 0)).expect("this host has the gateway's address");
    let port = host.local_addr().unwrap().port();
    let (code, _) = desk.world.sh(&desk.world.node("a"), &format!("timeout 3 bash -c '>/dev/tcp/{gateway}/{port}'")).await;
    assert_eq!(code, 0, "the node reaches this host");
    assert_eq!(desk.probe("client", gateway, port, None).await, ProbeOutcome::TimedOut);

    // What a policy closes is closed.
    let policy =
        json!({"metadata": {"name": "closed"}, "spec": {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"]}});
    desk.make("/apis/networking.k8s.io/v1/namespaces/net/networkpolicies", policy).await;
    let closed = async { while desk.probe("client", &address, 8080, None).await != ProbeOutcome::TimedOut {} };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("the policy is enforced");
}

/// `kubectl exec` by WebSocket and by SPDY, and `port-forward`, through the contract.
async fn upgrades(desk: &Desk) {
    let Some(kubectl) = kubectl() else { return not_run("exec and port-forward through a kind cluster", "there is no kubectl") };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let cluster = desk.cluster.clone();
    let door = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let cluster = cluster.clone();
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let cluster = cluster.clone();
                async move { Ok::<_, std::convert::Infallible>(cluster.serve(learner(), request.map(Body::new)).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    let command = |arguments: &[&str], websockets: &str| {
        let mut command = Command::new(&kubectl);
        command.args(["--kubeconfig", "/dev/null", "--server", &server, "-n", "net"]).args(arguments);
        command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets).env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
        command
    };
    for websockets in ["true", "false"] {
        let mut exec = command(&["exec", "-i", "client", "--", "sh", "-c", "read line; echo got $line; exit 7"], websockets);
        let answer = tokio::task::spawn_blocking(move || {
            let mut child = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(b"words\n").unwrap();
            child.wait_with_output().unwrap()
        });
        let answer = answer.await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.stdout), "got words\n", "{}", String::from_utf8_lossy(&answer.stderr));
        assert_eq!(answer.status.code(), Some(7));

        let mut forward =
            command(&["port-forward", "pod/server", ":8080"], websockets).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Kept open: kubectl ends where nobody reads what it says.
        let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
        let page = tokio::task::spawn_blocking(move || {
            let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains("127.0.0.1:")).unwrap();
            let port: u16 = line.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut page = Vec::new();
            // The other side may close before it has read everything, which is a reset here.
            let _ = stream.read_to_end(&mut page);
            drop(lines);
            String::from_utf8_lossy(&page).into_owned()
        });
        let page = page.await;
        let _ = forward.kill();
        let said = forward.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(page.as_ref().is_ok_and(|page| page.ends_with("hello\n")), "websockets {websockets}: {page:?} {said}");
    }
    door.abort();
}

fn kubectl() -> Option<PathBuf> {
    let kind = common::kind_command().map(|kind| kind.with_file_name("kubectl")).filter(|path| path.is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    kind.or_else(|| std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|path| path.is_file()))
}

/// Settling waits for what moves; a snapshot brings objects back.
async fn rest_and_snapshots(desk: &Desk) {
    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "work"}})).await;
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "busybox:1.37", "command": ["sleep", "3600"]}]},
        }},
    });
    let deployments = "/apis/apps/v1/namespaces/work/deployments";
    desk.make(deployments, deployment).await;
    let maps = "/api/v1/namespaces/work/configmaps";
    desk.make(maps, json!({"metadata": {"name": "kept"}, "data": {"a": "1"}})).await;
    desk.make(maps, json!({"metadata": {"name": "fixed"}, "immutable": true, "data": {"a": "1"}})).await;
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    desk.make(definitions, definition).await;
    let widgets = "/apis/example.com/v1/namespaces/work/widgets";
    desk.until("the kind", widgets, |list| list["kind"] == "WidgetList").await;
    desk.make(widgets, json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "size": 3})).await;

    desk.cluster.settle(Duration::from_secs(90)).await;
    assert_eq!(desk.get(&format!("{deployments}/web")).await["status"]["readyReplicas"], 2, "a settled cluster has its pods");
    desk.cluster.snapshot("start").await.unwrap();
    assert!(matches!(desk.cluster.restore("never").await, Err(provision::ProvisionError::NotFound)));
    assert!(desk.cluster.snapshot("../x").await.is_err());

    // Everything that may happen to an object happens.
    let scale = json!({"spec": {"replicas": 0}});
    let request = Request::patch(format!("{deployments}/web/scale"))
        .header("content-type", "application/merge-patch+json")
        .body(Body::from(scale.to_string()))
        .unwrap();
    assert_eq!(desk.cluster.serve(learner(), request).await.status(), 200);
    for path in [format!("{maps}/kept"), format!("{maps}/fixed"), format!("{definitions}/widgets.example.com")] {
        assert_eq!(desk.ask(learner(), Method::DELETE, &path, &Value::Null).await.0, 200, "{path}");
    }
    desk.make(maps, json!({"metadata": {"name": "fixed"}, "immutable": true, "data": {"a": "2"}})).await;
    desk.make(maps, json!({"metadata": {"name": "new"}})).await;
    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "later"}})).await;
    desk.make("/api/v1/namespaces/later/configmaps", json!({"metadata": {"name": "x"}})).await;
    assert_eq!(desk.ask(learner(), Method::DELETE, "/api/v1/namespaces/net/pods/client", &Value::Null).await.0, 200);

    desk.cluster.restore("start").await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(desk.get(&format!("{deployments}/web")).await["spec"]["replicas"], 2);
    for name in ["kept", "fixed"] {
        assert_eq!(desk.get(&format!("{maps}/{name}")).await["data"]["a"], "1", "{name}");
    }
    for path in [format!("{maps}/new"), "/api/v1/namespaces/later".to_owned()] {
        assert_eq!(desk.get(&path).await["code"], 404, "{path}");
    }
    assert_eq!(desk.get(&format!("{widgets}/w")).await["size"], 3);
    desk.cluster.settle(Duration::from_secs(90)).await;
    assert!(is_ready(&desk.get("/api/v1/namespaces/net/pods/client").await), "a bare pod runs again");
    // The same again changes nothing.
    let before = desk.get(&format!("{deployments}/web")).await["metadata"]["generation"].clone();
    desk.cluster.restore("start").await.unwrap();
    assert_eq!(desk.get(&format!("{deployments}/web")).await["metadata"]["generation"], before);
}

/// Paused, woken by a request, and as good as before.
async fn sleep(desk: &Desk) {
    let state = async || {
        let found = desk.world.docker.inspect_container(&desk.world.node("a"), None).await.unwrap();
        found.state.unwrap().paused.unwrap()
    };
    for _ in 0..2 {
        desk.cluster.sleep().await.unwrap();
        assert!(state().await);
    }
    assert_eq!(desk.cluster.authenticate("x").await, None);
    assert!(state().await, "a token wakes nothing");
    assert_eq!(desk.get("/api/v1/namespaces/work").await["metadata"]["name"], "work");
    assert!(!state().await);
    desk.make("/api/v1/namespaces/work/pods", pod("after", &["sleep", "3600"])).await;
    desk.until("a new pod", "/api/v1/namespaces/work/pods/after", is_ready).await;
    // Another process opens it while it sleeps.
    desk.cluster.sleep().await.unwrap();
    let other = desk.world.provisioner().await;
    let opened = other.open("a").await.unwrap();
    let request = Request::get("/version").body(Body::empty()).unwrap();
    assert_eq!(opened.serve(learner(), request).await.status(), 200);

    // The node is killed, as when the machine goes down: it starts again with what it had, and with its egress closed.
    desk.world.docker.kill_container(&desk.world.node("a"), None).await.unwrap();
    let stopped = async {
        let running = async || desk.world.docker.inspect_container(&desk.world.node("a"), None).await.unwrap().state.unwrap().running;
        while running().await == Some(true) {}
    };
    tokio::time::timeout(Duration::from_secs(30), stopped).await.expect("the node ends");
    let third = desk.world.provisioner().await;
    let opened = third.open("a").await.unwrap_or_else(|error| panic!("{error:?}"));
    let request = Request::get("/api/v1/namespaces/work/configmaps/kept").body(Body::empty()).unwrap();
    assert_eq!(opened.serve(learner(), request).await.status(), 200);
    let (_, rules) = desk.world.sh(&desk.world.node("a"), "iptables -t mangle -S FORWARD").await;
    assert!(rules.contains("-j DROP"), "{rules}");
}
