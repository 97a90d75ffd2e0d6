//! Tier: a real kubectl against an embedded cluster in which policy engines are deployed, as a learner deploys them.

use std::{fs, path::PathBuf};
use tests::{
    not_run, root,
    sandbox::{Printed, Sandbox},
};

/// A cluster where the manifest of this name is applied and its controller is ready.
fn with(manifest: &str, namespace: &str, deployment: &str) -> Result<Sandbox, String> {
    let sandbox = Sandbox::up(&[])?;
    let path: PathBuf = root().join("tests/policy-engines").join(manifest);
    sandbox.ok(&format!("kubectl apply -f '{}'", path.display()));
    sandbox.ok(&format!("kubectl -n {namespace} rollout status deployment/{deployment} --timeout=120s"));
    Ok(sandbox)
}

/// Applies a text.
fn apply(sandbox: &Sandbox, name: &str, text: &str) -> Printed {
    let path = sandbox.folder().join(name);
    fs::write(&path, text).expect("a manifest is written");
    sandbox.sh(&format!("kubectl apply -f '{}'", path.display()))
}

#[track_caller]
fn applied(sandbox: &Sandbox, name: &str, text: &str) {
    let printed = apply(sandbox, name, text);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
}

const REQUIRE_TEAM: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: require-team}
spec:
  rules:
    - name: check-team
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate:
        failureAction: Enforce
        message: label team is required
        pattern: {metadata: {labels: {team: '?*'}}}
";

#[test]
fn kyverno_enforces_what_kubectl_applies() {
    let sandbox = match with("kyverno.yaml", "kyverno", "kyverno-admission-controller") {
        Ok(sandbox) => sandbox,
        Err(why) => return not_run("Kyverno under kubectl", &why),
    };
    applied(&sandbox, "policy.yaml", REQUIRE_TEAM);
    sandbox.ok("kubectl wait --for=condition=Ready clusterpolicy/require-team --timeout=60s");
    let refused = sandbox.sh("kubectl run p --image=busybox:1.37 -- sleep 60");
    assert_eq!(
        (refused.code, refused.stderr.as_str()),
        (
            1,
            "Error from server: admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/default/p was blocked due to the following policies \n\nrequire-team:\n  check-team: 'validation error: label team is required. rule check-team failed at\n    path /metadata/labels/team/'\n"
        )
    );
    sandbox.ok("kubectl run p --image=busybox:1.37 --labels=team=ml -- sleep 60");
    // What makes pods is judged as well; a pod that is there is only judged when it changes.
    let refused = sandbox.sh("kubectl create deployment d --image=busybox:1.37");
    assert!(refused.stderr.contains("autogen-check-team"), "{}", refused.stderr);
    let refused = sandbox.sh("kubectl label pod p team-");
    assert!(refused.stderr.contains("was blocked"), "{}", refused.stderr);
    // Scaled away, it takes its webhooks along.
    sandbox.ok("kubectl -n kyverno scale deployment kyverno-admission-controller --replicas=0");
    sandbox.ok("kubectl wait --for=delete validatingwebhookconfiguration/kyverno-resource-validating-webhook-cfg --timeout=60s");
    sandbox.ok("kubectl run q --image=busybox:1.37 -- sleep 60");
}

const REQUIRED_LABELS: &str = include_str!("../policy-engines/required-labels.yaml");

fn constraint(action: &str) -> String {
    format!(
        "
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sRequiredLabels
metadata: {{name: must-have-team}}
spec:
  enforcementAction: {action}
  match: {{kinds: [{{apiGroups: [''], kinds: [Pod]}}]}}
  parameters: {{labels: [team]}}
"
    )
}

#[test]
fn gatekeeper_enforces_what_kubectl_applies() {
    let sandbox = match with("gatekeeper.yaml", "gatekeeper-system", "gatekeeper-controller-manager") {
        Ok(sandbox) => sandbox,
        Err(why) => return not_run("Gatekeeper under kubectl", &why),
    };
    applied(&sandbox, "template.yaml", REQUIRED_LABELS);
    sandbox.ok("kubectl wait --for=jsonpath='{.status.created}'=true constrainttemplate/k8srequiredlabels --timeout=60s");
    sandbox.ok("kubectl wait --for=condition=Established crd/k8srequiredlabels.constraints.gatekeeper.sh --timeout=60s");
    applied(&sandbox, "constraint.yaml", &constraint("warn"));
    let warned = sandbox.sh("kubectl run p --image=busybox:1.37 -- sleep 60");
    assert_eq!(
        (warned.code, warned.stdout.as_str(), warned.stderr.as_str()),
        (0, "pod/p created\n", "Warning: [must-have-team] label team is missing\n")
    );
    applied(&sandbox, "constraint.yaml", &constraint("deny"));
    let refused = sandbox.sh("kubectl run q --image=busybox:1.37 -- sleep 60");
    assert_eq!(
        (refused.code, refused.stderr.as_str()),
        (
            1,
            "Error from server (Forbidden): admission webhook \"validation.gatekeeper.sh\" denied the request: [must-have-team] label team is missing\n"
        )
    );
    let shown = sandbox.ok("kubectl get constraints --no-headers");
    assert!(shown.contains("must-have-team") && shown.contains("deny"), "{shown}");
}

#[test]
fn administrators_decide_before_and_after_network_policies() {
    let sandbox = match Sandbox::up(&[]) {
        Ok(sandbox) => sandbox,
        Err(why) => return not_run("administrators' network policies under kubectl", &why),
    };
    sandbox.ok(&format!("kubectl apply -f '{}'", root().join("tests/policy-engines/network.yaml").display()));
    sandbox.ok("kubectl wait --for=condition=Ready pod/web pod/client --timeout=120s");
    let address = sandbox.ok("kubectl get pod web -o jsonpath='{.status.podIP}'");
    let reaches = || sandbox.sh(&format!("kubectl exec client -- wget -T 1 -qO- http://{address}:8080")).code == 0;
    assert!(reaches(), "nobody forbids it");
    let policy = |kind: &str, rest: &str| {
        let object = format!(
            "{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: {kind}, metadata: {{name: default}}, spec: {{subject: {{namespaces: {{}}}}, {rest}}}}}"
        );
        applied(&sandbox, "policy.yaml", &object);
    };
    policy("BaselineAdminNetworkPolicy", "ingress: [{action: Deny, from: [{namespaces: {}}]}]");
    assert!(!reaches(), "the baseline forbids it where no other policy speaks");
    applied(
        &sandbox,
        "allow.yaml",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}}",
    );
    assert!(reaches(), "a NetworkPolicy comes before the baseline");
    policy("AdminNetworkPolicy", "priority: 10, ingress: [{action: Deny, from: [{namespaces: {}}]}]");
    assert!(!reaches(), "an administrator comes before NetworkPolicies");
    sandbox.ok("kubectl delete adminnetworkpolicy default");
    assert!(reaches());
}
