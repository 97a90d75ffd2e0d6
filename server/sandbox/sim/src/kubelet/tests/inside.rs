//! An attacker's first step in a container: what the mounted token opens.

use super::{Bench, SLEEP};
use crate::bootstrap::{ClusterSpec, NodeSpec};
use machinery::gvr;
use serde_json::json;

const CURL: &str = "image: 'curlimages/curl:8.17.0', command: [sleep, '3600']";
const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn curl(options: &str, path: &str) -> String {
    format!("cd {FOLDER}; curl -s {options} https://kubernetes.default.svc{path}")
}

#[test]
fn the_token_opens_what_rbac_allows() {
    let mut bench = Bench::new();
    bench.pod("c", CURL);
    let trusted = "--cacert ca.crt -H \"Authorization: Bearer $(cat token)\"";
    let pods = "/api/v1/namespaces/default/pods";
    let said = bench.sh("c", &format!("{} | grep -E 'message|code'", curl(trusted, pods)));
    assert_eq!(
        said,
        "  \"message\": \"pods is forbidden: User \\\"system:serviceaccount:default:default\\\" cannot list resource \\\"pods\\\" in API group \\\"\\\" in the namespace \\\"default\\\"\",\n  \"code\": 403\n"
    );
    let code = "-o /dev/null -w '%{http_code}\\n'";
    for (options, path, expected) in [
        (format!("{trusted} {code}"), "/api", "200"),
        (format!("--cacert ca.crt {code}"), "/api", "403"),
        (format!("--cacert ca.crt {code}"), "/version", "200"),
        (format!("--cacert ca.crt {code} -H 'Authorization: Bearer nonsense'"), "/version", "401"),
        (format!("{trusted} {code} -X POST -H 'Content-Type: application/json' -d '{{}}'"), "/api/v1/namespaces/default/pods", "403"),
    ] {
        assert_eq!(bench.sh("c", &curl(&options, path)), format!("{expected}\n"), "{options} {path}");
    }
    let binding = json!({"metadata": {"name": "view", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]});
    bench.client.create(gvr::ROLE_BINDINGS, binding).unwrap();
    assert_eq!(bench.sh("c", &format!("{} | grep -E '^      \"kind|^  \"kind'", curl(trusted, pods))), "  \"kind\": \"PodList\",\n");
}

#[test]
fn a_certificate_is_looked_at() {
    let mut bench = Bench::new();
    bench.pod("c", CURL);
    let head = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let unknown = bench.sh("c", "curl -sS https://kubernetes.default.svc/version; echo $?");
    assert_eq!(head(unknown.clone()), "60", "standard output first");
    assert!(
        unknown.contains("curl: (60) SSL certificate problem: unable to get local issuer certificate\nMore details here:"),
        "{unknown}"
    );
    assert_eq!(bench.sh("c", "curl -s https://kubernetes.default.svc/version; echo $?"), "60\n");
    assert!(bench.sh("c", "curl -sk https://kubernetes.default.svc/version").contains("\"gitVersion\": \"v1.34"));
    assert!(
        bench
            .sh("c", &format!("curl -sS --cacert {FOLDER}/ca.crt https://kubernetes.default.svc.cluster.local./version"))
            .contains("v1.34")
    );
    assert!(bench.sh("c", &format!("curl -sS --cacert {FOLDER}/ca.crt https://10.96.0.1/version")).contains("v1.34"));
    // The pod's own address is another name, and nothing listens there anyway; the node's port is the server itself.
    assert!(bench.sh("c", &format!("curl -sS --cacert {FOLDER}/ca.crt https://172.18.0.2:6443/version")).contains("v1.34"));
    let missing = bench.sh("c", "curl -sS --cacert /nope https://kubernetes.default.svc/version");
    assert_eq!(missing, "curl: (77) error setting certificate file: /nope\n[77]");
    let plain = bench.sh("c", "curl -s http://kubernetes.default.svc:443/version");
    assert_eq!(plain, "Client sent an HTTP request to an HTTPS server.\n");
    bench.pod("web", "image: 'nginxinc/nginx-unprivileged:1.29'");
    let ip = bench.get("web")["status"]["podIP"].as_str().unwrap().to_owned();
    let not_tls = bench.sh("c", &format!("curl -sSk https://{ip}:8080/"));
    assert_eq!(not_tls, "curl: (35) TLS connect error: error:0A00010B:SSL routines::wrong version number\n[35]");
}

#[test]
fn busybox_looks_at_no_certificate() {
    let mut bench = Bench::new();
    bench.pod("b", SLEEP);
    let script = format!("wget -qO- --header \"Authorization: Bearer $(cat {FOLDER}/token)\" https://kubernetes.default.svc/api");
    let answer = bench.sh("b", &script);
    assert!(answer.contains("\"kind\": \"APIVersions\""), "{answer}");
    assert!(answer.ends_with("wget: note: TLS certificate validation not implemented\n"), "{answer}");
    assert_eq!(
        bench.sh("b", "wget -O- --no-check-certificate https://kubernetes.default.svc/api"),
        "Connecting to kubernetes.default.svc (10.96.0.1:443)\nwget: server returned error: HTTP/1.1 403 Forbidden\n[1]"
    );
    assert_eq!(bench.sh("b", "nc -zv -w 1 kubernetes.default 443"), "kubernetes.default (10.96.0.1:443) open\n");
}

/// A policy and a missing token close the way as they do for any other connection.
#[test]
fn what_closes_the_way() {
    let control_plane = NodeSpec { control_plane: true, ..NodeSpec::with_gpus("gpu-node", 0) };
    let mut bench = Bench::with(ClusterSpec { nodes: vec![control_plane, NodeSpec::with_gpus("worker", 0)], ..ClusterSpec::default() });
    bench.pod_with("c", CURL, "nodeName: worker");
    bench.pod_with("near", CURL, "nodeName: gpu-node");
    bench.pod_with("bare", CURL, "automountServiceAccountToken: false");
    assert_eq!(bench.sh("bare", &format!("ls {FOLDER}")), format!("ls: {FOLDER}: No such file or directory\n[1]"));
    assert!(bench.sh("bare", "curl -sk https://kubernetes.default.svc/api").contains("system:anonymous"));
    bench.create("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: dns-only}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}}");
    let version = "curl -sSk -m 3 https://kubernetes.default.svc/version";
    let blocked = bench.sh("c", version);
    assert!(blocked.starts_with("curl: (28) "), "{blocked}");
    // A pod always reaches its own node, and so the API server that runs there.
    assert!(bench.sh("near", version).contains("v1.34"));
    // The packet is judged where it is going: at the address behind the Service.
    bench.create("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: api}, spec: {podSelector: {matchLabels: {app: c}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 172.18.0.2/32}}], ports: [{port: 6443}]}]}}");
    assert!(bench.sh("c", version).contains("v1.34"));
}

/// A bound token is worth nothing once its pod is gone, wherever it was carried to; before its end the kubelet mounts a new one.
#[test]
fn mounted_tokens_die_with_their_pod_and_are_renewed() {
    let mut bench = Bench::new();
    bench.pod("c", CURL);
    let volume =
        "volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token, audience: vault, expirationSeconds: 600}}]}}]";
    bench.pod_with("p", &format!("{SLEEP}, volumeMounts: [{{name: t, mountPath: /t}}]"), volume);
    let first = bench.sh("p", "cat /t/token");
    assert!(bench.server.authenticate(&first).is_none(), "it is meant for vault");
    bench.pass(470);
    assert_eq!(bench.sh("p", "cat /t/token"), first);
    bench.pass(20);
    let second = bench.sh("p", "cat /t/token");
    assert!(second != first && second.split('.').count() == 3, "renewed after four fifths of its life");
    let mounted = bench.sh("p", &format!("cat {FOLDER}/token"));
    assert_eq!(bench.server.authenticate(&mounted).unwrap().extra["authentication.kubernetes.io/pod-name"], ["p"]);
    bench.delete("p");
    bench.pass(60);
    assert!(bench.server.authenticate(&mounted).is_none());
    let stolen =
        format!("curl -sk -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {mounted}' https://kubernetes.default.svc/api");
    assert_eq!(bench.sh("c", &stolen), "401");
}
