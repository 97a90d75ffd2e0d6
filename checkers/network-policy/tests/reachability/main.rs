//! Who reaches whom: one table per rule of the specification; `administrators` has those of the administrators' tiers, `oracle` random
//! clusters on which the engine must say what a second evaluator says.

mod administrators;
mod dice;
mod oracle;

use network_policy::{Cluster, Protocol, validate};
use serde_json::Value;

fn yaml(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_multiple_with_options(text, options).expect("test data")
}

const PODS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: ml, labels: {team: vision}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}
---
{apiVersion: v1, kind: Pod, metadata: {name: serving, namespace: ml, labels: {app: serving}}, spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8501, name: http}, {containerPort: 8500, name: grpc}]}]}, status: {podIP: 10.1.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: ml, labels: {app: other}}, spec: {nodeName: n1, containers: [{name: c}]}, status: {podIP: 10.1.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: prometheus, namespace: monitoring, labels: {app: prometheus}}, spec: {nodeName: n2, containers: [{name: c, ports: [{containerPort: 9090, name: http}]}]}, status: {podIP: 10.2.0.1, podIPs: [{ip: 10.2.0.1}, {ip: 'fd00::21'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: monitoring, labels: {app: prometheus}}, spec: {nodeName: n1, hostNetwork: true, containers: [{name: c}]}, status: {podIP: 192.168.0.1}}
---
{apiVersion: lab/v1, kind: ExternalEndpoint, metadata: {name: web}, spec: {ip: 203.0.113.9}}
";

/// Policies for `ml` on top of [`PODS`]; `want` lists, in order, who reaches whom on the port, as `from→to` with X for a refusal.
#[track_caller]
fn check(spec: &str, protocol: &str, port: u16, want: &[(&str, &str, bool)]) {
    let policy = format!(
        "{PODS}\n---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: ml}}, spec: {spec}}}"
    );
    let objects = yaml(&policy);
    for object in objects.iter().filter(|o| o["kind"] == "NetworkPolicy") {
        assert_eq!(validate(object), []);
    }
    let cluster = Cluster::from_objects(&objects).expect("readable");
    let protocol: Protocol = protocol.parse().expect("protocol");
    let matrix = cluster.matrix(protocol, port);
    for (from, to, allowed) in want {
        let find = |id: &str| cluster.find(id).unwrap_or_else(|| panic!("no {id}"));
        let decision = cluster.decide(find(from), find(to), protocol, port);
        assert_eq!(decision.allowed(), *allowed, "{from} → {to}: {decision}");
        assert_eq!(matrix.allowed(find(from), find(to)), *allowed, "matrix: {from} → {to}: {decision}");
    }
}

const SERVING: &str = "ml/serving";
const OTHER: &str = "ml/other";
const PROMETHEUS: &str = "monitoring/prometheus";
const AGENT: &str = "monitoring/agent";
const WEB: &str = "203.0.113.9";

#[test]
fn default_deny_isolates_ingress_only() {
    let want =
        [(OTHER, SERVING, false), (PROMETHEUS, SERVING, false), (WEB, SERVING, false), (SERVING, WEB, true), (SERVING, PROMETHEUS, true)];
    check("{podSelector: {}}", "TCP", 8501, &want);
    check("{}", "TCP", 8501, &want);
    check("{podSelector: {}, policyTypes: [Ingress]}", "TCP", 8501, &want);
}

#[test]
fn egress_is_isolated_by_rule_or_by_type() {
    check(
        "{podSelector: {}, policyTypes: [Egress]}",
        "UDP",
        53,
        &[(SERVING, WEB, false), (SERVING, OTHER, false), (PROMETHEUS, SERVING, true)],
    );
    check("{podSelector: {}, egress: [{}]}", "UDP", 53, &[(SERVING, WEB, true), (PROMETHEUS, SERVING, false)]);
}

#[test]
fn loopback_and_host_network() {
    let deny = "{podSelector: {}, policyTypes: [Ingress, Egress]}";
    check(deny, "TCP", 8501, &[(SERVING, SERVING, true), (AGENT, SERVING, true), (SERVING, AGENT, true)]);
    // A host-network pod is no pod to selectors, and address blocks find it. From its own node everything is let in anyway.
    let two_nodes = "{podSelector: {matchLabels: {app: serving}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: prometheus}}}]}]}";
    check(two_nodes, "TCP", 8501, &[(PROMETHEUS, SERVING, true), (OTHER, SERVING, false)]);
}

#[test]
fn both_selectors_in_one_peer_narrow_each_other_two_peers_widen() {
    let both = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}, podSelector: {matchLabels: {app: other}}}]}]}";
    check(both, "TCP", 1, &[(OTHER, SERVING, false), (PROMETHEUS, SERVING, false)]);
    let either = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}, {podSelector: {matchLabels: {app: other}}}]}]}";
    check(either, "TCP", 1, &[(OTHER, SERVING, true), (PROMETHEUS, SERVING, true)]);
}

#[test]
fn expressions() {
    let not_in = "{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}}]}]}";
    check(not_in, "TCP", 1, &[(OTHER, SERVING, true)]);
    let exists = "{podSelector: {matchExpressions: [{key: app, operator: Exists}, {key: app, operator: In, values: [serving, b]}]}}";
    check(exists, "TCP", 1, &[(PROMETHEUS, SERVING, false), (PROMETHEUS, OTHER, true)]);
    let absent = "{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}";
    check(absent, "TCP", 1, &[(PROMETHEUS, SERVING, true)]);
}

#[test]
fn ports() {
    let named = "{podSelector: {}, ingress: [{ports: [{port: http}]}]}";
    check(named, "TCP", 8501, &[(PROMETHEUS, SERVING, true), (PROMETHEUS, OTHER, false)]);
    check(named, "UDP", 8501, &[(PROMETHEUS, SERVING, false)]);
    check(named, "TCP", 8500, &[(PROMETHEUS, SERVING, false)]);
    let ranged = "{podSelector: {}, ingress: [{ports: [{port: 8500, endPort: 8510}, {protocol: SCTP}]}]}";
    check(ranged, "TCP", 8510, &[(PROMETHEUS, SERVING, true)]);
    check(ranged, "TCP", 8511, &[(PROMETHEUS, SERVING, false)]);
    check(ranged, "SCTP", 8511, &[(PROMETHEUS, SERVING, true)]);
    // In an egress rule the name is the destination's.
    let egress = "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}";
    check(egress, "TCP", 9090, &[(SERVING, PROMETHEUS, true), (SERVING, OTHER, false), (SERVING, WEB, false)]);
}

#[test]
fn address_blocks() {
    let block = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}";
    check(block, "TCP", 1, &[(PROMETHEUS, SERVING, true), (OTHER, SERVING, false), (WEB, SERVING, false), (AGENT, OTHER, true)]);
    let out = "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}";
    check(out, "TCP", 443, &[(SERVING, WEB, true), (SERVING, PROMETHEUS, false)]);
    // The connection to an IPv4 address comes from the IPv4 address.
    let ipv6 = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 'fd00::/8'}}]}]}";
    check(ipv6, "TCP", 1, &[(PROMETHEUS, SERVING, false)]);
}

#[test]
fn who_decided() {
    let objects = yaml(&format!(
        "{PODS}\n---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: deny, namespace: ml}}, spec: {{}}}}\n---\n\
         {{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: scrape, namespace: ml}}, spec: {{ingress: [{{from: [{{podSelector: {{}}}}], ports: [{{port: 1}}]}}, {{ports: [{{port: http}}]}}]}}}}"
    ));
    let cluster = Cluster::from_objects(&objects).expect("readable");
    let find = |id: &str| cluster.find(id).expect("there");
    let say = |from, to, port| cluster.decide(find(from), find(to), Protocol::Tcp, port).to_string();
    assert_eq!(say(PROMETHEUS, SERVING, 8501), "egress: no policy selects; ingress: ml/scrape rule 1 allows");
    assert_eq!(say(PROMETHEUS, SERVING, 22), "egress: no policy selects; ingress: isolated by ml/deny, ml/scrape, no rule allows");
    assert_eq!(say(WEB, OTHER, 1), "egress: outside the cluster; ingress: isolated by ml/deny, ml/scrape, no rule allows");
    assert_eq!(say(OTHER, OTHER, 1), "egress: a pod reaches itself; ingress: a pod reaches itself");
}

#[test]
fn validation_speaks_like_the_api_server() {
    for (spec, want) in [
        ("{podSelector: {}}", ""),
        ("{podSelector: {}, egress: [{ports: [{port: 10000, endPort: 20000}]}]}", ""),
        (
            "{egress: [{ports: [{port: serve-80, endPort: 9}]}]}",
            "spec.egress[0].ports[0].endPort: Invalid value: 9: may not be specified when `port` is non-numeric",
        ),
        (
            "{egress: [{ports: [{endPort: 9}]}]}",
            "spec.egress[0].ports[0].endPort: Invalid value: 9: may not be specified when `port` is not specified",
        ),
        (
            "{egress: [{ports: [{port: 9, endPort: 8}]}]}",
            "spec.egress[0].ports[0].endPort: Invalid value: 9: must be greater than or equal to `port`",
        ),
        ("{ingress: [{ports: [{port: 0}]}]}", "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        (
            "{ingress: [{ports: [{port: 80, protocol: ICMP}]}]}",
            "spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            "{ingress: [{ports: [{port: A--b}]}]}",
            "spec.ingress[0].ports[0].port: Invalid value: \"A--b\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)|spec.ingress[0].ports[0].port: Invalid value: \"A--b\": must not contain consecutive hyphens",
        ),
        ("{ingress: [{from: [{}]}]}", "spec.ingress[0].from[0]: Required value: must specify a peer"),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
            "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.1.0.0/16, 11.0.0.0/24, x]}}]}]}",
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"10.1.0.0/16\": must be a strict subset of `cidr`|spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: \"11.0.0.0/24\": must be a strict subset of `cidr`|spec.ingress[0].from[0].ipBlock.except[2]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
        (
            "{policyTypes: [Ingress, Outgress]}",
            "spec.policyTypes[1]: Unsupported value: \"Outgress\": supported values: \"Egress\", \"Ingress\"",
        ),
        (
            "{policyTypes: [Ingress, Egress, Ingress]}",
            "spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"Ingress\"]: may not specify more than two policyTypes",
        ),
        (
            "{podSelector: {matchExpressions: [{key: a, operator: In}]}}",
            "spec.podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        ("{ingresses: []}", "spec.ingresses: unknown field"),
    ] {
        let object =
            yaml(&format!("{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p}}, spec: {spec}}}")).remove(0);
        let got: Vec<_> = validate(&object).iter().map(ToString::to_string).collect();
        assert_eq!(got.join("|"), want, "{spec}");
    }
}

/// Ten thousand pods, a thousand policies: few rows, little time (the bound is generous for a build without optimisation).
#[test]
fn a_large_cluster_shares_rows() {
    let mut objects = Vec::new();
    for index in 0..10_000 {
        objects.push(serde_json::json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{index}"), "namespace": format!("n{}", index % 100),
                "labels": {"app": format!("a{}", index % 500), "pod-template-hash": format!("h{index}"), "statefulset.kubernetes.io/pod-name": format!("p{index}")}},
            "status": {"podIP": format!("10.{}.{}.{}", index / 65536, index / 256 % 256, index % 256)}}));
    }
    for index in 0..1000 {
        objects.push(serde_json::json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("p{index}"), "namespace": format!("n{}", index % 100)},
            "spec": {"podSelector": {"matchLabels": {"app": format!("a{}", index % 500)}},
                "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": format!("a{}", (index + 7) % 500)}}}], "ports": [{"port": 80}]}],
                "egress": [{"to": [{"podSelector": {}}]}]}}));
    }
    let cluster = Cluster::from_objects(&objects).expect("readable");
    let matrix = cluster.matrix(Protocol::Tcp, 80);
    assert_eq!(matrix.classes(), 500);
    let (a, b) = (cluster.find("n7/p7").expect("there"), cluster.find("n0/p0").expect("there"));
    assert!(!matrix.allowed(a, b) && !matrix.allowed(b, a));
    assert_eq!(matrix.allowed(a, b), cluster.decide(a, b, Protocol::Tcp, 80).allowed());
}

#[test]
fn nonsense_is_an_error_or_nothing() {
    for text in [
        "null",
        "[1]",
        "{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, spec: 3}",
        "{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, spec: {podSelector: [], ingress: [null, 3], policyTypes: {}}}",
        "{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, spec: {ingress: [{ports: [{port: 70000}, {port: 1.5}], from: [3]}]}}",
        "{kind: Pod, apiVersion: v1, spec: {containers: [{ports: [{containerPort: -1}]}]}}",
        "{kind: Pod, apiVersion: v1, status: {podIP: nowhere}}",
    ] {
        let object: Value = serde_saphyr::from_str(text).expect("test data");
        let _ = (network_policy::from_resource(&object), validate(&object));
    }
}
