//! Every family of checks on small evidence: what passes, what fails with which control, what stays open.

use checkers::{Evidence, Outcome, ProbeRecord, ProbeResult, ScanRecord, Spec, check};
use expect_test::{Expect, expect};
use serde_json::Value;
use std::collections::BTreeMap;

fn spec(text: &str) -> Spec {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Evidence with the objects of a YAML text.
fn evidence(text: &str) -> Evidence {
    let documents = checkers::yaml::documents(text).unwrap_or_else(|error| panic!("{error}"));
    Evidence {
        taken_at: "2026-03-01T12:00:00Z".parse().expect("a time"),
        kubernetes_version: "v1.34.4".to_owned(),
        engine: "sandbox".to_owned(),
        simulated: true,
        params: BTreeMap::new(),
        objects: documents.into_iter().map(|document| document.value).collect::<Vec<Value>>(),
        probes: Vec::new(),
        scans: Vec::new(),
        missing: Vec::new(),
        policies_not_enforced: None,
    }
}

/// Outcome and findings, one on a line.
#[track_caller]
fn judge(spec: &Spec, evidence: &Evidence, want: Expect) {
    let verdict = check(spec, evidence);
    let mut text = format!("{:?}", verdict.outcome);
    for finding in &verdict.findings {
        text += &format!("\n{} | {} {} | {} | want {}", finding.control, finding.object, finding.field, finding.actual, finding.expected);
        assert!(
            verdict.outcome == Outcome::Inconclusive || finding.control.starts_with("check/") || !finding.why.is_empty(),
            "{finding:?}"
        );
    }
    want.assert_eq(&text);
}

const POD_SECURITY: &str =
    "podSecurity: {of: {namespace: ml, labels: {app: s}}, readOnlyRootFilesystem: true, noServiceAccountToken: true, gpu: {count: 1}}";
const GOOD: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: s, namespace: ml}, spec: {template: {metadata: {labels: {app: s}}, spec: {automountServiceAccountToken: false, \
                    securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, env: [], resources: {limits: {nvidia.com/gpu: 1}}, \
                    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}}], volumes: []}}}}";

#[test]
fn pod_security() {
    let spec = spec(POD_SECURITY);
    let change = |find: &str, replace: &str| {
        assert!(GOOD.contains(find), "{find}");
        evidence(&GOOD.replacen(find, replace, 1))
    };
    judge(&spec, &evidence(GOOD), expect!["Passed"]);
    judge(&spec, &evidence(""), expect!["Failed\nworkload/exists |   | nothing found | want pods app=s in ml"]);
    judge(
        &spec,
        &change("runAsNonRoot: true, ", ""),
        expect![
            "Failed\nrestricted/runAsNonRoot | Deployment/ml/s spec.template.spec.containers[0].securityContext.runAsNonRoot | unset here and in the pod | want true"
        ],
    );
    judge(
        &spec,
        &change("readOnlyRootFilesystem: true, ", ""),
        expect![
            "Failed\nrootfs/readOnly | Deployment/ml/s spec.template.spec.containers[0].securityContext.readOnlyRootFilesystem | unset, which means writable | want true"
        ],
    );
    judge(
        &spec,
        &change("automountServiceAccountToken: false, ", ""),
        expect![
            "Failed\ntoken/automount | Deployment/ml/s spec.template.spec.automountServiceAccountToken | unset, and so is it on ServiceAccount default: means true | want false"
        ],
    );
    judge(
        &spec,
        &change("volumes: []", "volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token}}]}}]"),
        expect![
            "Failed\ntoken/automount | Deployment/ml/s spec.template.spec.volumes[0].projected.sources[0].serviceAccountToken | volume t brings a token | want no token"
        ],
    );
    judge(
        &spec,
        &change("limits: {nvidia.com/gpu: 1}", "limits: {nvidia.com/gpu: 2}"),
        expect![
            "Failed\ngpu/limits | Deployment/ml/s spec.template.spec.containers[0].resources.limits[nvidia.com/gpu] | 2 in all | want 1 in all"
        ],
    );
    judge(
        &spec,
        &change("limits: {nvidia.com/gpu: 1}", "requests: {nvidia.com/gpu: 1}"),
        expect![[r#"
        Failed
        gpu/limits | Deployment/ml/s spec.template.spec.containers[0].resources.limits[nvidia.com/gpu] | a request of 1 without a limit | want a limit, and a request that equals it or is left out
        gpu/limits | Deployment/ml/s spec.template.spec.containers[0].resources.limits[nvidia.com/gpu] | 0 in all | want 1 in all"#]],
    );
    for (path, refused) in [("/dev/../dev//nvidia0", true), ("/dev", true), ("/proc/driver/nvidia", true), ("/", true), ("/data", false)] {
        let seen = check(&spec, &change("volumes: []", &format!("volumes: [{{name: v, hostPath: {{path: {path}}}}}]")));
        assert_eq!(seen.findings.iter().any(|f| f.control == "gpu/devicePaths"), refused, "{path}");
    }
    for (variable, refused) in [
        ("{name: NVIDIA_VISIBLE_DEVICES, value: all}", true),
        ("{name: NVIDIA_VISIBLE_DEVICES, value: void}", false),
        ("{name: NVIDIA_VISIBLE_DEVICES, valueFrom: {fieldRef: {fieldPath: metadata.name}}}", true),
        ("{name: NVIDIA_DRIVER_CAPABILITIES, value: 'compute,utility'}", false),
        ("{name: NVIDIA_DRIVER_CAPABILITIES, value: all}", true),
    ] {
        let seen = check(&spec, &change("env: []", &format!("env: [{variable}]")));
        assert_eq!(seen.outcome == Outcome::Failed, refused, "{variable} {seen:?}");
    }
    let by_map = format!(
        "{}\n---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m, namespace: ml}}, data: {{VISIBLE_DEVICES: '0'}}}}",
        GOOD.replacen("env: []", "envFrom: [{prefix: NVIDIA_, configMapRef: {name: m}}]", 1)
    );
    judge(
        &spec,
        &evidence(&by_map),
        expect![
            "Failed\ngpu/visibleDevices | Deployment/ml/s spec.template.spec.containers[0].envFrom[0] | NVIDIA_VISIBLE_DEVICES from ConfigMap m | want unset: the device plugin says which GPUs the container sees"
        ],
    );
    let mount = change("env: []", "volumeMounts: [{name: v, mountPath: /var/run/nvidia-container-devices/all}]");
    assert!(check(&spec, &mount).findings.iter().any(|f| f.control == "gpu/devicePaths"));
    let cdi = change("labels: {app: s}", "labels: {app: s}, annotations: {cdi.k8s.io/gpu: nvidia.com/gpu=all}");
    assert!(check(&spec, &cdi).findings.iter().any(|f| f.control == "gpu/cdiAnnotations"));
    // The ServiceAccount's word counts where the pod is silent; a ReplicaSet that was rolled over is history.
    let account = format!(
        "{}\n---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: ml}}, automountServiceAccountToken: false}}\n---\n\
        {{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: old, namespace: ml, ownerReferences: [{{controller: true}}]}}, spec: {{replicas: 0, template: {{metadata: {{labels: {{app: s}}}}, spec: {{hostPID: true}}}}}}}}",
        GOOD.replacen("automountServiceAccountToken: false, ", "", 1)
    );
    judge(&spec, &evidence(&account), expect!["Passed"]);
}

const PLUGIN: &str = "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {allocatable: {nvidia.com/gpu: '1'}}}\n---\n\
    {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, namespace: kube-system, uid: u1}}\n---\n\
    {apiVersion: v1, kind: Pod, metadata: {name: d-1, namespace: kube-system, ownerReferences: [{controller: true, kind: DaemonSet, name: d, uid: u1}]}, spec: {nodeName: n, containers: [{image: 'nvcr.io/nvidia/k8s-device-plugin:v0.17.4'}]}, status: {phase: Running}}";

#[test]
fn gpu_available() {
    let spec = spec("gpuAvailable: {count: 1}");
    judge(&spec, &evidence(PLUGIN), expect!["Passed"]);
    judge(
        &spec,
        &evidence(&PLUGIN.replace("'1'", "'0'")),
        expect!["Failed\ngpu/allocatable | Node/n status.allocatable[nvidia.com/gpu] | 0 | want 1 or more"],
    );
    // A number that somebody wrote on the node is no GPU.
    judge(
        &spec,
        &evidence(PLUGIN.split("\n---").next().expect("a node")),
        expect![
            "Failed\ngpu/devicePlugin |   | no device plugin runs in this cluster | want a DaemonSet that runs nvcr.io/nvidia/k8s-device-plugin"
        ],
    );
    judge(
        &spec,
        &evidence(&PLUGIN.replace("phase: Running", "phase: Pending")),
        expect!["Failed\ngpu/devicePlugin | Pod/kube-system/d-1 status.phase | Pending | want Running"],
    );
    judge(
        &spec,
        &evidence(&PLUGIN.replace(", ownerReferences: [{controller: true, kind: DaemonSet, name: d, uid: u1}]", "")),
        expect![
            "Failed\ngpu/devicePlugin | Pod/kube-system/d-1 metadata.ownerReferences | not made by a DaemonSet | want a DaemonSet, so that every GPU node has one and a lost one comes back"
        ],
    );
}

const NETWORK: &str = "{apiVersion: v1, kind: Pod, metadata: {name: s, namespace: ml, labels: {app: s}, uid: a}, status: {phase: Running, podIP: 10.0.0.1}}\n---\n\
    {apiVersion: v1, kind: Pod, metadata: {name: m, namespace: mon, labels: {app: m}, uid: b}, status: {phase: Running, podIP: 10.0.0.2}}\n---\n\
    {apiVersion: v1, kind: Pod, metadata: {name: x, namespace: ml, labels: {app: x}, uid: c}, status: {phase: Running, podIP: 10.0.0.3}}";
const REACH: &str = "reachability: {groups: {s: {pods: {namespace: ml, labels: {app: s}}}, m: {pods: {namespace: mon}}, rest: {others: {}}, web: {address: 203.0.113.1}}, expect: [\
    {id: in, from: m, to: s, port: '80', allowed: true}, {id: rest, from: rest, to: s, port: 80, allowed: false}, {id: out, from: s, to: web, port: 443, allowed: false}]}";

fn with_policy(spec: &str) -> Evidence {
    evidence(&format!(
        "{NETWORK}\n---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: ml}}, spec: {spec}}}"
    ))
}

fn probe(mut evidence: Evidence, id: &str, result: ProbeResult) -> Evidence {
    evidence.probes.push(ProbeRecord {
        id: id.to_owned(),
        from: "mon/m".to_owned(),
        host: "10.0.0.1".to_owned(),
        port: 80,
        path: None,
        result,
    });
    evidence
}

#[test]
fn reachability() {
    let spec = spec(REACH);
    let right = "{podSelector: {matchLabels: {app: s}}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: mon}}}]}]}";
    let connected = || ProbeResult::Connected { status: None, body: String::new() };
    judge(&spec, &probe(with_policy(right), "reachability/in", connected()), expect!["Passed"]);
    // A refusal came back: the packet arrived.
    judge(&spec, &probe(with_policy(right), "reachability/in", ProbeResult::Refused), expect!["Passed"]);
    judge(
        &spec,
        &with_policy(right),
        expect!["Inconclusive\nreachability/probe |   | in: no live connection was tried | want to be able to look"],
    );
    judge(
        &spec,
        &probe(with_policy(right), "reachability/in", ProbeResult::TimedOut),
        expect![
            "Inconclusive\nreachability/probe |   | in: the objects allow mon/m → 10.0.0.1:80, and the live connection timed out | want to be able to look"
        ],
    );
    judge(
        &spec,
        &evidence(NETWORK),
        expect![[r#"
        Failed
        reachability/rest | Pod/ml/s ml/x → ml/s TCP/80 | allowed (ingress no policy selects; egress no policy selects) | want denied
        reachability/out | Pod/203.0.113.1 ml/s → 203.0.113.1 TCP/443 | allowed (ingress outside the cluster; egress no policy selects) | want denied"#]],
    );
    // Right, and the network does nothing about it: known, and not known.
    let closed = "reachability: {groups: {s: {pods: {namespace: ml, labels: {app: s}}}, m: {pods: {namespace: mon}}}, expect: [{id: in, from: m, to: s, port: 80, allowed: false}]}";
    let (closed, nobody) = (self::spec(closed), "{podSelector: {}, policyTypes: [Ingress]}");
    let mut open = probe(with_policy(nobody), "reachability/in", connected());
    judge(
        &closed,
        &open,
        expect![
            "Inconclusive\nreachability/probe |   | in: the objects deny mon/m → 10.0.0.1:80, and the live connection arrived | want to be able to look"
        ],
    );
    open.policies_not_enforced = Some("the network does not enforce NetworkPolicies".to_owned());
    judge(
        &closed,
        &open,
        expect!["Inconclusive\nreachability/probe |   | in: the network does not enforce NetworkPolicies | want to be able to look"],
    );
    // It excuses no policy that is wrong or not there.
    let mut none = probe(evidence(NETWORK), "reachability/in", connected());
    none.policies_not_enforced = open.policies_not_enforced.clone();
    judge(
        &closed,
        &none,
        expect![
            "Failed\nreachability/in | Pod/ml/s mon/m → ml/s TCP/80 | allowed (ingress no policy selects; egress no policy selects) | want denied"
        ],
    );
    // Everybody may come in, and nobody may go out: what decided is said for each wrong cell.
    judge(
        &spec,
        &with_policy("{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 1}]}]}"),
        expect![[r#"
        Failed
        reachability/in | Pod/ml/s mon/m → ml/s TCP/80 | denied (ingress isolated by ml/p, no rule allows) | want allowed"#]],
    );
}

#[test]
fn answers() {
    let spec = spec("answers: {probe: a, from: {namespace: mon}, host: s.ml, port: 80, path: /v1, contains: AVAILABLE}");
    let seen = |result| probe(evidence(""), "a", result);
    judge(&spec, &evidence(""), expect!["Inconclusive\nworks/probe |   | the probe a was not made | want to be able to look"]);
    let connected = |status, body: &str| ProbeResult::Connected { status, body: body.to_owned() };
    judge(&spec, &seen(connected(Some(200), "state: AVAILABLE")), expect!["Passed"]);
    judge(
        &spec,
        &seen(connected(Some(200), "LOADING")),
        expect!["Failed\nworks/body | Pod/mon/m http://s.ml:80/v1 | LOADING | want an answer with AVAILABLE"],
    );
    judge(&spec, &seen(connected(Some(503), "")), expect!["Failed\nworks/status | Pod/mon/m http://s.ml:80/v1 | 503 | want 200"]);
    judge(
        &spec,
        &seen(ProbeResult::TimedOut),
        expect!["Failed\nworks/connects | Pod/mon/m http://s.ml:80/v1 | timed out: packets are dropped on the way | want an answer"],
    );
    judge(
        &spec,
        &seen(ProbeResult::Refused),
        expect!["Failed\nworks/connects | Pod/mon/m http://s.ml:80/v1 | connection refused: nothing is ready behind it | want an answer"],
    );
    judge(
        &spec,
        &seen(ProbeResult::NoSuchHost),
        expect!["Failed\nworks/resolves | Pod/mon/m http://s.ml:80/v1 | the name s.ml is not found | want a Service of this name"],
    );
    judge(
        &spec,
        &seen(ProbeResult::Unknown { reason: "the pod does not run".to_owned() }),
        expect!["Inconclusive\nworks/probe |   | the pod does not run | want to be able to look"],
    );
}

const SCANNED: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: s, namespace: ml, uid: d, creationTimestamp: '2026-03-01T10:00:00Z'}}\n---\n\
    {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: s-1, namespace: ml, uid: r, ownerReferences: [{controller: true, kind: Deployment, name: s, uid: d}], creationTimestamp: '2026-03-01T11:00:00Z'}}\n---\n\
    {apiVersion: v1, kind: Pod, metadata: {name: s-1-a, namespace: ml, labels: {app: s}, ownerReferences: [{controller: true, kind: ReplicaSet, name: s-1, uid: r}], creationTimestamp: '2026-03-01T11:00:01Z'}, \
    status: {phase: Running, containerStatuses: [{imageID: 'docker.io/a/b@sha256:aa'}]}}";

fn scan(mut evidence: Evidence, at: &str, findings: &[(&str, &str)]) -> Evidence {
    let findings = findings.iter().map(|(id, severity)| ((*id).to_owned(), (*severity).to_owned())).collect();
    evidence.scans.push(ScanRecord {
        image: "a/b:1".to_owned(),
        digest: "sha256:aa".to_owned(),
        at: at.parse().expect("a time"),
        by: "learner".to_owned(),
        findings,
        simulated: true,
    });
    evidence
}

#[test]
fn image_scan() {
    let spec = spec("imageScan: {of: {namespace: ml, labels: {app: s}}}");
    let run = |exception: &str| evidence(&format!("{SCANNED}\n---\n{exception}"));
    judge(
        &spec,
        &run(""),
        expect![
            "Failed\nscan/beforeDeployment | Pod/ml/s-1-a status.containerStatuses[0].imageID | sha256:aa was never scanned | want a scan before Deployment/ml/s is created"
        ],
    );
    judge(&spec, &scan(run(""), "2026-03-01T09:59:59Z", &[("CVE-1", "HIGH")]), expect!["Passed"]);
    // The Deployment is older than its newest rollout: that counts.
    judge(
        &spec,
        &scan(run(""), "2026-03-01T10:30:00Z", &[]),
        expect![
            "Failed\nscan/beforeDeployment | Pod/ml/s-1-a status.containerStatuses[0].imageID | sha256:aa was scanned at 2026-03-01T10:30:00Z, after Deployment/ml/s was created (2026-03-01T10:00:00Z) | want a scan before Deployment/ml/s is created"
        ],
    );
    assert_eq!(
        check(&spec, &scan(run(""), "2026-03-01T10:00:00.5Z", &[])).outcome,
        Outcome::Failed,
        "within the second nobody knows what came first"
    );
    let critical = |exception: &str| scan(run(exception), "2026-03-01T09:00:00Z", &[("CVE-1", "CRITICAL")]);
    judge(
        &spec,
        &critical(""),
        expect![
            "Failed\nscan/critical | Pod/ml/s-1-a status.containerStatuses[0].imageID | CVE-1 is CRITICAL | want a patched image, or a written exception"
        ],
    );
    let whole = "digest: sha256:aa\\nreason: The function is never called here.\\napprovedBy: me@example.com\\nexpires: 2026-03-01";
    let map = |text: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: e, namespace: ml, labels: {{cordon.dev/scan-exceptions: 'true'}}}}, data: {{CVE-1: \"{text}\"}}}}"
        )
    };
    judge(&spec, &critical(&map(whole)), expect!["Passed"]);
    for (find, replace, want) in [
        ("sha256:aa", "sha256:bb", "speaks of digest \"sha256:bb\", and sha256:aa runs"),
        ("The function is never called here.", "trust me", "gives no reason of 20 characters or more"),
        ("me@example.com", "", "names nobody under approvedBy"),
        ("2026-03-01", "2026-02-28", "expired on 2026-02-28"),
        ("2026-03-01", "soon", "has no date under expires (as 2027-06-30)"),
        ("digest: sha256:aa", "digest: [", "cannot be read"),
    ] {
        let verdict = check(&spec, &critical(&map(&whole.replacen(find, replace, 1))));
        let finding = verdict.findings.first().expect("a finding");
        assert!(finding.control == "scan/exception" && finding.actual.contains(want), "{finding:?}");
    }
    assert_eq!(check(&spec, &critical(&map(whole).replace("'true'", "'false'"))).findings[0].control, "scan/critical");
}

#[test]
fn resources() {
    let object = "{apiVersion: v1, kind: Namespace, metadata: {name: ml, labels: {a/b: x}}, spec: {n: 3, list: [1, two]}}";
    let judged = |fields: &str, expect: &str| {
        let spec =
            spec(&format!("resource: {{control: check, apiVersion: v1, kind: Namespace, name: ml, expect: {expect}, fields: [{fields}]}}"));
        let verdict = check(&spec, &evidence(object));
        (verdict.outcome == Outcome::Passed, verdict.findings.first().map(|f| f.control.clone()).unwrap_or_default())
    };
    for (condition, passes) in [
        ("path: 'metadata.labels[a/b]', is: {equal: x}", true),
        ("path: 'metadata.labels[a/b]', is: {equal: y}", false),
        ("path: 'metadata.labels[a/b]', is: {oneOf: [y, x]}", true),
        ("path: spec.n, is: {equal: '3'}", true),
        ("path: spec.n, is: {atLeast: 3}", true),
        ("path: spec.n, is: {atMost: 2}", false),
        ("path: spec.list, is: {contains: two}", true),
        ("path: spec.nothing, is: absent", true),
        ("path: spec.nothing, is: present", false),
        ("path: spec.nothing, is: {notEqual: x}", true),
        ("path: metadata.name, is: {startsWith: m}", true),
    ] {
        let want = if passes { (true, String::new()) } else { (false, "check/f".to_owned()) };
        assert_eq!(judged(&format!("{{id: f, {condition}}}"), "present"), want, "{condition}");
    }
    assert_eq!(judged("", "absent"), (false, "check/exists".to_owned()));
}

/// What we could not see makes a pass open, and leaves a seen mistake a mistake.
#[test]
fn missing_evidence() {
    let mut partial = evidence(GOOD);
    partial.missing.push("/api/v1/pods: timed out".to_owned());
    assert_eq!(check(&spec(POD_SECURITY), &partial).outcome, Outcome::Inconclusive);
    let mut nothing = evidence("");
    nothing.missing.push("/apis/apps/v1/deployments: timed out".to_owned());
    assert_eq!(check(&spec(POD_SECURITY), &nothing).outcome, Outcome::Inconclusive);
    let mut bad = evidence(&GOOD.replacen("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", 1));
    bad.missing.push("/api/v1/pods: timed out".to_owned());
    assert_eq!(check(&spec(POD_SECURITY), &bad).outcome, Outcome::Failed);
}

#[test]
fn unknown_fields_are_refused() {
    for text in [
        "podSecurity: {of: {namespace: a}, readonly: true}",
        "gpuAvailable: {count: -1}",
        "scan: {}",
        "resource: {control: c, apiVersion: v1, kind: Pod, fields: [{id: a, path: b, is: {like: x}}]}",
    ] {
        assert!(serde_saphyr::from_str::<Spec>(text).is_err(), "{text}");
    }
}
