//! AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy: before and after NetworkPolicies.

use crate::{AGENT, OTHER, PODS, PROMETHEUS, SERVING, WEB, yaml};
use network_policy::{Cluster, Protocol, validate};

const NODES: &str = "
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {pool: gpu}}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {pool: cpu}}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
---
{apiVersion: lab/v1, kind: ExternalEndpoint, metadata: {name: models}, spec: {ip: 203.0.113.80, domainNames: [models.example.com]}}
---
{apiVersion: lab/v1, kind: ExternalEndpoint, metadata: {name: second-node}, spec: {ip: 192.168.0.2}}
";
const MODELS: &str = "203.0.113.80";
const SECOND_NODE: &str = "192.168.0.2";

fn policy(kind: &str, name: &str, spec: &str) -> String {
    let version = if kind == "ClusterNetworkPolicy" { "v1alpha2" } else { "v1alpha1" };
    format!("{{apiVersion: policy.networking.k8s.io/{version}, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}")
}

fn admin(name: &str, spec: &str) -> String {
    policy("AdminNetworkPolicy", name, spec)
}

fn cluster_policy(name: &str, spec: &str) -> String {
    policy("ClusterNetworkPolicy", name, spec)
}

fn namespaced(name: &str, spec: &str) -> String {
    format!("{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: ml}}, spec: {spec}}}")
}

fn cluster(policies: &[String]) -> Cluster {
    let mut objects = yaml(PODS);
    objects.extend(yaml(NODES));
    for policy in policies {
        let policy = yaml(policy).remove(0);
        assert_eq!(validate(&policy), [], "{policy}");
        objects.push(policy);
    }
    Cluster::from_objects(&objects).expect("readable")
}

/// Who reaches whom on TCP, and what decides: `egress; ingress`.
#[track_caller]
fn check(policies: &[String], want: &[(&str, &str, u16, bool, &str)]) {
    let cluster = cluster(policies);
    for (from, to, port, allowed, why) in want {
        let find = |id: &str| cluster.find(id).unwrap_or_else(|| panic!("no {id}"));
        let decision = cluster.decide(find(from), find(to), Protocol::Tcp, *port);
        assert_eq!((decision.allowed(), decision.to_string().as_str()), (*allowed, *why), "{from} → {to}:{port}");
        assert_eq!(cluster.matrix(Protocol::Tcp, *port).allowed(find(from), find(to)), *allowed, "matrix: {from} → {to}:{port}");
    }
}

const FREE: &str = "no policy selects";

#[test]
fn the_admin_tier_comes_before_network_policies() {
    let isolated = namespaced("deny", "{podSelector: {}}");
    let allow = admin(
        "scrape",
        "{priority: 5, subject: {namespaces: {}}, ingress: [{name: from-monitoring, action: Allow, from: [{pods: \
         {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}, podSelector: {matchLabels: {app: prometheus}}}}], \
         ports: [{namedPort: http}, {portRange: {start: 9000, end: 9002}}]}]}",
    );
    let scraped = "egress: no policy selects; ingress: AdminNetworkPolicy scrape rule 0 (from-monitoring) allows";
    let closed = "egress: no policy selects; ingress: isolated by ml/deny, no rule allows";
    check(
        &[isolated.clone(), allow.clone()],
        &[
            (PROMETHEUS, SERVING, 8501, true, scraped),
            (PROMETHEUS, SERVING, 9002, true, scraped),
            (PROMETHEUS, SERVING, 8500, false, closed),
            (OTHER, SERVING, 8501, false, closed),
        ],
    );
    // A rule that comes first decides: by priority, then by its place.
    let deny = cluster_policy(
        "quarantine",
        "{tier: Admin, priority: 4, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: serving}}}}, \
         ingress: [{action: Pass, from: [{namespaces: {matchLabels: {team: vision}}}]}, {action: Deny, from: [{namespaces: {}}]}]}",
    );
    let open = namespaced("open", "{podSelector: {}, ingress: [{}]}");
    check(
        &[open, allow, deny],
        &[
            (PROMETHEUS, SERVING, 8501, false, "egress: no policy selects; ingress: ClusterNetworkPolicy quarantine rule 1 denies"),
            (OTHER, SERVING, 8501, true, "egress: no policy selects; ingress: ml/open rule 0 allows"),
            (PROMETHEUS, OTHER, 22, true, "egress: no policy selects; ingress: ml/open rule 0 allows"),
        ],
    );
}

#[test]
fn the_baseline_tier_is_for_pods_that_no_network_policy_selects() {
    let baseline = policy(
        "BaselineAdminNetworkPolicy",
        "default",
        "{subject: {namespaces: {matchLabels: {team: vision}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
    );
    let denied = "egress: no policy selects; ingress: BaselineAdminNetworkPolicy default rule 0 denies";
    check(
        std::slice::from_ref(&baseline),
        &[(OTHER, SERVING, 1, false, denied), (SERVING, PROMETHEUS, 1, true, &format!("egress: {FREE}; ingress: {FREE}"))],
    );
    // A NetworkPolicy is final for the pods that it selects.
    let selects = namespaced("own", "{podSelector: {matchLabels: {app: serving}}, ingress: [{from: [{podSelector: {}}]}]}");
    check(
        &[baseline.clone(), selects],
        &[
            (OTHER, SERVING, 1, true, "egress: no policy selects; ingress: ml/own rule 0 allows"),
            (PROMETHEUS, SERVING, 1, false, "egress: no policy selects; ingress: isolated by ml/own, no rule allows"),
            (PROMETHEUS, OTHER, 1, false, denied),
        ],
    );
    // It has no priority: ClusterNetworkPolicies of its tier come first; what passes there is allowed, not asked again.
    let first = cluster_policy(
        "z",
        "{tier: Baseline, priority: 1000, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {matchLabels: \
         {team: vision}}}]}, {action: Pass, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]}",
    );
    check(
        &[baseline, first],
        &[
            (OTHER, SERVING, 1, true, "egress: no policy selects; ingress: ClusterNetworkPolicy z rule 0 allows"),
            (PROMETHEUS, SERVING, 80, true, "egress: no policy selects; ingress: no policy selects"),
            (PROMETHEUS, SERVING, 81, false, denied),
        ],
    );
}

#[test]
fn egress_knows_networks_nodes_and_names() {
    let egress = |rules: &str| {
        [cluster_policy(
            "out",
            &format!("{{tier: Admin, priority: 0, subject: {{namespaces: {{matchLabels: {{team: vision}}}}}}, egress: [{rules}]}}"),
        )]
    };
    let by = |rule: usize, verb: &str, ingress: &str| format!("egress: ClusterNetworkPolicy out rule {rule} {verb}; ingress: {ingress}");
    let outside = "outside the cluster";
    // Addresses cover pods as well.
    check(
        &egress(
            "{action: Accept, to: [{domainNames: ['*.example.com']}]}, {action: Deny, to: [{networks: [203.0.113.0/24, 10.2.0.0/16]}]}",
        ),
        &[
            (SERVING, MODELS, 443, true, &by(0, "allows", outside)),
            (SERVING, WEB, 443, false, &by(1, "denies", outside)),
            (SERVING, PROMETHEUS, 1, false, &by(1, "denies", FREE)),
            (PROMETHEUS, WEB, 443, true, "egress: no policy selects; ingress: outside the cluster"),
        ],
    );
    // Nodes are their addresses and the pods in their network, the pod's own node too.
    check(
        &egress(
            "{action: Deny, to: [{nodes: {matchLabels: {pool: gpu}}}]}, {action: Deny, to: [{nodes: {}}], protocols: [{tcp: {destinationPort: {range: {start: 10250, end: 10255}}}}]}",
        ),
        &[
            (SERVING, AGENT, 9100, false, &by(0, "denies", "host-network pods are not subject to policies")),
            (SERVING, SECOND_NODE, 10250, false, &by(1, "denies", outside)),
            (SERVING, SECOND_NODE, 443, true, "egress: no policy selects; ingress: outside the cluster"),
            (
                AGENT,
                SERVING,
                1,
                true,
                "egress: host-network pods are not subject to policies; ingress: a pod and its own node always reach each other",
            ),
        ],
    );
    // Names in a rule that does not allow are accepted, and mean nothing.
    check(
        &egress("{action: Deny, to: [{domainNames: [models.example.com]}]}"),
        &[(SERVING, MODELS, 443, true, "egress: no policy selects; ingress: outside the cluster")],
    );
}

#[test]
fn ties_are_named() {
    let subject = |labels: &str| {
        format!("{{priority: 7, subject: {{namespaces: {labels}}}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}")
    };
    let vision = "{matchLabels: {team: vision}}";
    let other = "{matchLabels: {kubernetes.io/metadata.name: monitoring}}";
    let cluster = cluster(&[
        admin("b", &subject(vision)),
        admin("a", &subject("{}")),
        admin("c", &subject(other)),
        admin("d", &subject("{matchLabels: {team: nobody}}")),
    ]);
    let names: Vec<_> = cluster.ties().iter().map(|(a, b)| format!("{}/{}", a.name.name, b.name.name)).collect();
    assert_eq!(names, ["a/b", "a/c"]);
    let order: Vec<_> = cluster.admin_policies().iter().map(|policy| policy.name.name.as_str()).collect();
    assert_eq!(order, ["a", "b", "c", "d"]);
}

/// What kube-apiserver 1.34 answered with these definitions installed.
#[test]
fn validation_speaks_like_the_definitions() {
    let many = |count: usize| vec!["{action: Deny, from: [{namespaces: {}}]}"; count].join(", ");
    let networks: Vec<String> = (0..26).map(|n| format!("10.0.{n}.0/24")).collect();
    let domain = r"'^(\*\.)?([a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$'";
    let (a, b, c) = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy");
    let egress = |to: &str| format!("{{priority: 1, subject: {{namespaces: {{}}}}, egress: [{{action: Deny, to: [{to}]}}]}}");
    let ingress = |rule: &str| format!("{{priority: 1, subject: {{namespaces: {{}}}}, ingress: [{rule}]}}");
    let cluster = |rest: &str| format!("{{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, {rest}}}");
    for (kind, name, spec, want) in [
        (a, "p", "{priority: 1, subject: {namespaces: {}}}".to_owned(), String::new()),
        (a, "p", "null".to_owned(), "spec: Required value".to_owned()),
        (a, "p", "{}".to_owned(), "spec.priority: Required value|spec.subject: Required value".to_owned()),
        (a, "p", "3".to_owned(), "spec: Invalid value: \"integer\": spec in body must be of type object: \"integer\"".to_owned()),
        (
            a,
            "p",
            "{priority: 1001, subject: {}}".to_owned(),
            "spec.priority: Invalid value: 1001: spec.priority in body should be less than or equal to 1000|spec.subject: Invalid value: 0: \
             spec.subject in body should have at least 1 properties"
                .to_owned(),
        ),
        (
            a,
            "p",
            "{priority: -1, subject: {namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}}".to_owned(),
            "spec.priority: Invalid value: -1: spec.priority in body should be greater than or equal to 0|spec.subject: Too many: 2: must have at most 1 item"
                .to_owned(),
        ),
        (
            a,
            "p",
            "{priority: 1.5, subject: {pods: {podSelector: {}}}}".to_owned(),
            "spec.priority: Invalid value: \"number\": spec.priority in body must be of type integer: \"number\"|\
             spec.subject.pods.namespaceSelector: Required value"
                .to_owned(),
        ),
        (
            a,
            "p",
            ingress("{action: Accept, from: []}"),
            "spec.ingress[0].action: Unsupported value: \"Accept\": supported values: \"Allow\", \"Deny\", \"Pass\"|spec.ingress[0].from: \
             Invalid value: 0: spec.ingress[0].from in body should have at least 1 items"
                .to_owned(),
        ),
        (
            a,
            "p",
            ingress("{action: Allow, from: [{networks: [10.0.0.0/8]}]}"),
            "spec.ingress[0].from[0].networks: unknown field|spec.ingress[0].from[0]: Invalid value: 0: spec.ingress[0].from[0] in body \
             should have at least 1 properties"
                .to_owned(),
        ),
        (
            a,
            "p",
            ingress("{action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {port: 0}}, {portNumber: {port: 70000, protocol: ICMP}}, {portNumber: {}}, {}]}"),
            "spec.ingress[0].ports[0].portNumber.port: Invalid value: 0: spec.ingress[0].ports[0].portNumber.port in body should be greater than or equal to 1|\
             spec.ingress[0].ports[1].portNumber.port: Invalid value: 70000: spec.ingress[0].ports[1].portNumber.port in body should be less than or equal to 65535|\
             spec.ingress[0].ports[2].portNumber.port: Required value|\
             spec.ingress[0].ports[3]: Invalid value: 0: spec.ingress[0].ports[3] in body should have at least 1 properties"
                .to_owned(),
        ),
        (
            a,
            "p",
            egress("{networks: [10.0.0.0/8, 10.0.0.0/8, x, '12345678901234567890123456789012345678901234567890']}"),
            "spec.egress[0].to[0].networks[1]: Duplicate value: \"10.0.0.0/8\"|spec.egress[0].to[0].networks[3]: Too long: may not be more than 43 bytes"
                .to_owned(),
        ),
        (a, "p", egress("{networks: ['10.1.0.1/8', x]}"), "spec.egress[0].to[0].networks[1]: Invalid value: \"string\": Invalid CIDR format provided".to_owned()),
        (a, "p", egress(&format!("{{networks: [{}]}}", networks.join(", "))), "spec.egress[0].to[0].networks: Too many: 26: must have at most 25 items".to_owned()),
        (
            a,
            "p",
            egress("{domainNames: ['*.a.b', a, x..y, a.b.]}"),
            [(1, "a"), (2, "x..y")]
                .map(|(n, name)| {
                    let field = format!("spec.egress[0].to[0].domainNames[{n}]");
                    format!("{field}: Invalid value: \"{name}\": {field} in body should match {domain}")
                })
                .join("|"),
        ),
        (
            a,
            "p",
            "{priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}], ports: [{namedPort: a}]}]}".to_owned(),
            "spec.egress[0]: Invalid value: \"object\": networks/nodes/domainNames peer cannot be set with namedPorts since there are no \
             namedPorts for networks/nodes/domainNames"
                .to_owned(),
        ),
        (
            a,
            "p",
            "{priority: 1, subject: {namespaces: {matchLabels: {a: 1}, matchExpressions: [{key: a, operator: Foo}, {operator: In}]}}}".to_owned(),
            "spec.subject.namespaces.matchExpressions[1].key: Required value|spec.subject.namespaces.matchLabels.a: Invalid value: \
             \"integer\": spec.subject.namespaces.matchLabels.a in body must be of type string: \"integer\""
                .to_owned(),
        ),
        (a, "p", ingress(&format!("{{name: {}, action: Deny, from: [{{namespaces: {{}}}}]}}", "n".repeat(101))), "spec.ingress[0].name: Too long: may not be more than 100 bytes".to_owned()),
        (a, "p", ingress(&many(101)), "spec.ingress: Too many: 101: must have at most 100 items".to_owned()),
        (b, "default", "{subject: {namespaces: {}}}".to_owned(), String::new()),
        (
            b,
            "default",
            "{subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}".to_owned(),
            "spec.ingress[0].action: Unsupported value: \"Pass\": supported values: \"Allow\", \"Deny\"".to_owned(),
        ),
        (b, "default", "{priority: 3, subject: {namespaces: {}}}".to_owned(), "spec.priority: unknown field".to_owned()),
        (
            b,
            "other",
            "{subject: {namespaces: {}}}".to_owned(),
            "metadata.name: Invalid value: \"object\": Only one baseline admin network policy with metadata.name=\"default\" can be created in the cluster"
                .to_owned(),
        ),
        (c, "p", "{}".to_owned(), "spec.priority: Required value|spec.subject: Required value|spec.tier: Required value".to_owned()),
        (
            c,
            "p",
            cluster("ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {}}, {udp: {destinationPort: {number: 0, range: {start: 5, end: 5}}}}]}]"),
            "spec.ingress[0].protocols[0].tcp: Invalid value: 0: spec.ingress[0].protocols[0].tcp in body should have at least 1 properties|\
             spec.ingress[0].protocols[1].udp.destinationPort: Too many: 2: must have at most 1 item|\
             spec.ingress[0].protocols[1].udp.destinationPort.number: Invalid value: 0: spec.ingress[0].protocols[1].udp.destinationPort.number in body \
             should be greater than or equal to 1"
                .to_owned(),
        ),
        (
            c,
            "p",
            cluster("ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 5, end: 5}}}}]}]"),
            "spec.ingress[0].protocols[0].tcp.destinationPort.range: Invalid value: \"object\": Start port must be less than End port".to_owned(),
        ),
        (
            c,
            "p",
            cluster("egress: [{action: Pass, to: [{networks: [10.1.0.1/8, '::1/64', 'fd00::/8']}]}]"),
            [0, 1].map(|n| format!("spec.egress[0].to[0].networks[{n}]: Invalid value: \"string\": Invalid CIDR format provided")).join("|"),
        ),
        (c, "p", cluster(&format!("ingress: [{}]", many(26))), "spec.ingress: Too many: 26: must have at most 25 items".to_owned()),
    ] {
        let object = yaml(&policy(kind, name, &spec)).remove(0);
        let got: Vec<_> = validate(&object).iter().map(ToString::to_string).collect();
        assert_eq!(got.join("|"), want, "{kind} {spec}");
    }
}
