//! Tier: real containers. One cluster behind the contract: its API in a learner's name, the guard, probes, snapshots, sleep.

#[expect(dead_code, reason = "other suites use more of it")]
mod common;
mod desk;

use common::{not_run, one_node, turn};
use desk::{Desk, is_ready, learner, pod};
use http::{Method, Request};
use provision::{Body, NodeSpec, ProbeOutcome, Provisioner, UserInfo};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_learners_cluster() {
    let _turn = turn().await;
    let desk = match Desk::new().await {
        Ok(desk) => desk,
        Err(why) => return not_run("a kind cluster behind the contract", &why),
    };
    identities(&desk).await;
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

    nothing_leaves(desk).await;

    // What a policy closes is closed.
    let policy =
        json!({"metadata": {"name": "closed"}, "spec": {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"]}});
    desk.make("/apis/networking.k8s.io/v1/namespaces/net/networkpolicies", policy).await;
    let closed = async { while desk.probe("client", &address, 8080, None).await != ProbeOutcome::TimedOut {} };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("the policy is enforced");
}

/// Neither to this host nor beyond, and not by way of those who have the node's network either.
async fn nothing_leaves(desk: &Desk) {
    let node = desk.world.node("a");
    let (_, gateway) = desk.world.sh(&node, "ip -4 route show default | awk '{print $3}'").await;
    let gateway = gateway.trim();
    let host = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = host.local_addr().unwrap().port();
    assert!(TcpStream::connect((gateway, port)).is_ok(), "this host has the gateway's address");
    assert_eq!(desk.probe("client", gateway, port, None).await, ProbeOutcome::TimedOut);

    // By a Service that leads out of the cluster.
    let service = json!({"metadata": {"name": "out"}, "spec": {"ports": [{"name": "h", "port": 80, "targetPort": port}]}});
    desk.make("/api/v1/namespaces/net/services", service).await;
    let slice = json!({"metadata": {"name": "out", "labels": {"kubernetes.io/service-name": "out"}}, "addressType": "IPv4",
        "ports": [{"name": "h", "port": port}], "endpoints": [{"addresses": [gateway]}]});
    desk.make("/apis/discovery.k8s.io/v1/namespaces/net/endpointslices", slice).await;
    assert_eq!(desk.probe("client", "out", 80, None).await, ProbeOutcome::TimedOut);
    // By the API server, to which a pod says that it has this host's address.
    desk.make(
        "/api/v1/namespaces/net/pods",
        json!({"metadata": {"name": "out"}, "spec": {"nodeName": "none", "containers": [
        {"name": "c", "image": "busybox:1.37"}]}}),
    )
    .await;
    let status = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "out"},
        "status": {"phase": "Running", "podIP": gateway, "podIPs": [{"ip": gateway}]}});
    let path = "/api/v1/namespaces/net/pods/out/status?fieldManager=x&force=true";
    assert_eq!(desk.ask(learner(), Method::PATCH, path, &status).await.0, 200);
    let path = format!("/api/v1/namespaces/net/pods/http:out:{port}/proxy/");
    let proxied = desk.get(&path);
    let answer = tokio::time::timeout(Duration::from_secs(3), proxied).await;
    assert!(answer.as_ref().is_err() || answer.as_ref().is_ok_and(|answer| answer["code"] == 503), "{answer:?}");
    host.set_nonblocking(true).unwrap();
    let first = host.accept().expect("the connection of this test");
    assert!(host.accept().is_err(), "somebody came, beside {first:?}");

    // Nor by the kubelet; containerd alone gets out, to fetch images, and gets answers about names.
    let docker = desk.world.docker.inspect_network("bridge", None).await.ok();
    let address = docker.and_then(|network| network.ipam?.config?.into_iter().next()?.gateway);
    let Some(address) = address else { return not_run("what a node may fetch", "Docker has no default bridge") };
    for (groups, reached, seconds) in [("root", false, 2), ("proxy", true, 20)] {
        let line =
            format!("setpriv --groups $(getent group {groups} | cut -d: -f3) timeout {seconds} bash -c '>/dev/tcp/{address}/{port}'");
        let (code, said) = desk.world.sh(&node, &line).await;
        // An answer, though it were a refusal, and not silence.
        assert_eq!(code != 124, reached, "group {groups}: {code} {said}");
    }
    let (_, groups) = desk.world.sh(&node, "grep Groups: /proc/$(pidof containerd)/status").await;
    assert!(groups.split_whitespace().any(|group| group == "13"), "{groups}");
    let (code, said) = desk.world.sh(&node, "timeout 3 getent hosts example.com").await;
    assert_ne!(code, 0, "{said}");
    let (_, six) = desk.world.sh(&node, "ip -6 -o addr show dev eth0").await;
    assert_eq!(six, "", "a node has no IPv6");
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
    let (_, rules) = desk.world.sh(&desk.world.node("a"), "iptables -t mangle -S CORDON-POSTROUTING").await;
    assert!(rules.contains("-j DROP"), "{rules}");
}
