//! Each layer of a connection, broken alone.

use super::{Bench, SLEEP};
use apiserver::{client::DeleteOptions, node::WebhookCall};
use machinery::{Gvr, gvr};

const SERVICE: &str =
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}";
const WEB: &str = "image: 'nginxinc/nginx-unprivileged:1.29', ports: [{name: http, containerPort: 8080}]";

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.pod("web", WEB);
    bench.pod("client", SLEEP);
    bench.create(SERVICE);
    bench.pass(2);
    bench
}

#[test]
fn a_whole_connection_works_by_every_name() {
    let mut bench = bench();
    let ip = bench.get("web")["status"]["podIP"].as_str().unwrap().to_owned();
    for host in ["web", "web.default", "web.default.svc", "web.default.svc.cluster.local", "web.default.svc.cluster.local."] {
        assert_eq!(bench.reach("client", host, 80), "connected 200", "{host}");
    }
    assert_eq!(bench.reach("client", &ip, 8080), "connected 200");
    assert_eq!(bench.reach("client", &format!("{}.default.pod.cluster.local", ip.replace('.', "-")), 8080), "connected 200");
    assert!(bench.sh("client", "wget -qO- http://web").contains("Welcome to nginx!"));
    let address = bench.client.get(gvr::SERVICES, "default", "web").unwrap()["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert_eq!(bench.sh("client", "nc -zv -w 2 web 80"), format!("web ({address}:80) open\n"));
    assert_eq!(bench.sh("client", "nslookup web | grep -A1 Name"), format!("Name:\tweb.default.svc.cluster.local\nAddress: {address}\n"));
}

#[test]
fn each_layer_fails_in_its_own_way() {
    // The name.
    let mut bench = bench();
    assert_eq!(bench.reach("client", "nobody", 80), "NoSuchHost");
    assert_eq!(bench.sh("client", "wget -qO- http://nobody"), "wget: bad address 'nobody'\n[1]");
    assert_eq!(bench.reach("client", "example.com", 80), "NoSuchHost");
    // The Service's port.
    assert_eq!(bench.reach("client", "web", 81), "TimedOut");
    // The listening port.
    let ip = bench.get("web")["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(bench.reach("client", &ip, 9999), "Refused");
    assert_eq!(
        bench.sh("client", &format!("wget -T 2 -qO- http://{ip}:9999")),
        format!("wget: can't connect to remote host ({ip}): Connection refused\n[1]")
    );
    // An address that no pod has, and one outside.
    assert_eq!(bench.sh("client", "nc -zv -w 1 203.0.113.9 80"), "nc: 203.0.113.9 (203.0.113.9:80): Connection timed out\n[1]");
    // Readiness: the Service refuses, the pod's own address answers.
    bench.pod("unready", &format!("{WEB}, readinessProbe: {{httpGet: {{path: /none, port: 8080}}}}"));
    bench.create("{apiVersion: v1, kind: Service, metadata: {name: unready}, spec: {selector: {app: unready}, ports: [{port: 80, targetPort: 8080}]}}");
    bench.pass(2);
    let ip = bench.get("unready")["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(bench.reach("client", "unready", 80), "Refused");
    assert_eq!(bench.reach("client", &ip, 8080), "connected 200");
}

#[test]
fn policies_make_packets_vanish() {
    let mut bench = bench();
    bench.create("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: in}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]}}");
    assert_eq!(bench.reach("client", "web", 80), "TimedOut");
    let before = bench.sh("client", "wget -T 3 -qO- http://web");
    assert_eq!(before, "wget: download timed out\n[1]");
    bench.pod("friend", SLEEP);
    assert_eq!(bench.reach("friend", "web", 80), "connected 200");
    // Probes come from the node: no policy stops them.
    assert_eq!(bench.shown("web"), "Running true running restarts=0");
    // Denying all egress breaks DNS first, as it really does.
    bench.create("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: out}, spec: {podSelector: {matchLabels: {app: friend}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}}");
    assert_eq!(bench.reach("friend", "web", 80), "NoSuchHost");
    let ip = bench.get("web")["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(bench.reach("friend", &ip, 8080), "connected 200");
    assert_eq!(bench.sh("friend", "nslookup web"), ";; connection timed out; no servers could be reached\n\n[1]");
}

fn definition(kind: &str, plural: &str, version: &str) -> String {
    format!(
        "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: {plural}.policy.networking.k8s.io, annotations: {{api-approved.kubernetes.io: 'https://github.com/kubernetes-sigs/network-policy-api'}}}}, \
         spec: {{group: policy.networking.k8s.io, scope: Cluster, names: {{kind: {kind}, plural: {plural}}}, versions: [{{name: {version}, served: true, storage: true, \
         schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}]}}}}"
    )
}

#[test]
fn administrators_come_before_and_after_network_policies() {
    const GROUP: &str = "policy.networking.k8s.io";
    let mut bench = bench();
    for (kind, plural, version) in [
        ("AdminNetworkPolicy", "adminnetworkpolicies", "v1alpha1"),
        ("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", "v1alpha1"),
        ("ClusterNetworkPolicy", "clusternetworkpolicies", "v1alpha2"),
    ] {
        bench.create(&definition(kind, plural, version));
    }
    let mut put = |kind: &str, plural: &'static str, version: &'static str, spec: &str| {
        let object = format!("{{apiVersion: {GROUP}/{version}, kind: {kind}, metadata: {{name: default}}, spec: {spec}}}");
        bench.client.create(Gvr::new(GROUP, version, plural), serde_saphyr::from_str(&object).unwrap()).unwrap();
        bench.reach("client", "web", 80)
    };
    const TO_WEB: &str = "subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}";
    // Each object is asked before the ones above it.
    let deny = format!("{{{TO_WEB}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}");
    assert_eq!(put("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", "v1alpha1", &deny), "TimedOut");
    let allow = format!("{{priority: 50, {TO_WEB}, ingress: [{{action: Allow, from: [{{namespaces: {{}}}}]}}]}}");
    assert_eq!(put("AdminNetworkPolicy", "adminnetworkpolicies", "v1alpha1", &allow), "connected 200");
    let deny = format!("{{tier: Admin, priority: 10, {TO_WEB}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}");
    assert_eq!(put("ClusterNetworkPolicy", "clusternetworkpolicies", "v1alpha2", &deny), "TimedOut");
    for (plural, version, after) in [
        ("clusternetworkpolicies", "v1alpha2", "connected 200"),
        ("adminnetworkpolicies", "v1alpha1", "TimedOut"),
        ("baselineadminnetworkpolicies", "v1alpha1", "connected 200"),
    ] {
        bench.client.delete(Gvr::new(GROUP, version, plural), "", "default", &DeleteOptions::default()).unwrap();
        assert_eq!(bench.reach("client", "web", 80), after, "without {plural}");
    }
}

#[test]
fn the_way_to_a_webhook_is_broken_in_each_layer() {
    let mut bench = bench();
    bench.create("{apiVersion: v1, kind: Service, metadata: {name: empty}, spec: {selector: {app: nobody}, ports: [{port: 443}]}}");
    bench.pass(2);
    for (service, port, expected) in [
        ("nobody", 443, "service \"nobody\" not found"),
        ("web", 443, "no service port 443 found for service \"web\""),
        ("web", 80, "http: server gave HTTP response to HTTPS client"),
        ("empty", 443, ":443: connect: connection refused"),
        ("kubernetes", 443, "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
    ] {
        let (namespace, service) = ("default".to_owned(), service.to_owned());
        let call = WebhookCall { namespace, service, port, path: "/ask".to_owned(), authority: b"none".to_vec(), body: "{}".into() };
        let why = bench.runtime.review(call).unwrap_err();
        assert!(why.ends_with(expected), "{why:?} does not end with {expected:?}");
    }
}

#[test]
fn streams_and_servers_made_by_hand() {
    let mut bench = Bench::new();
    bench.pod("server", "image: 'busybox:1.37', command: [sh, -c, 'mkdir /www; echo page > /www/index.html; httpd -p 8000 -h /www; while true; do nc -l -p 9000; done']");
    bench.pod("client", SLEEP);
    let ip = bench.get("server")["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(bench.sh("client", &format!("wget -qO- {ip}:8000")), "page\n");
    bench.sh("client", &format!("echo over the wire | nc -w 1 {ip} 9000"));
    assert_eq!(bench.logs("server", apiserver::node::LogOptions::default()), "over the wire\n");
}
