//! Policy engines that are deployed take part in admission, and stop when their pods do.

use apiserver::{UserInfo, client::DeleteOptions};
use jiff::Timestamp;
use machinery::{Gvr, clock::ManualClock, gvr, object};
use sandbox::{Cluster, ClusterSpec, ImageCatalogue, Options, Sandbox};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc, time::Duration};

/// No certificate, but the form of one: nothing here looks into it.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A cluster with what a manifest below `tests/policy-engines/` installs.
struct Bench(Arc<Cluster>);

impl Bench {
    fn with(manifest: &str) -> Self {
        Self::at(manifest, &Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())))
    }

    fn at(manifest: &str, clock: &Arc<ManualClock>) -> Self {
        let files = fs::read_dir(root().join("labs/content/images")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()));
        let catalogue = Arc::new(ImageCatalogue::parse(files).unwrap());
        let options = Options { certificate_authority: AUTHORITY.to_owned(), ..Options::manual(Arc::clone(clock), catalogue) };
        let bench = Self(Sandbox::new(options).unwrap().create("one", &ClusterSpec::default()).unwrap());
        bench.apply(&fs::read_to_string(root().join("tests/policy-engines").join(manifest)).unwrap());
        bench.pass();
        bench
    }

    fn pass(&self) {
        self.0.advance(Duration::from_secs(90));
    }

    /// Creates the objects of a YAML text; what the last one is refused with, or nothing.
    fn try_apply(&self, text: &str) -> String {
        let mut said = String::new();
        for document in text.split("\n---\n") {
            let mut object: Value = machinery::strict::from_yaml(document).unwrap();
            let scheme = self.0.client().scheme();
            let resource = scheme.for_kind(object::api_version(&object), object::kind(&object)).unwrap_or_else(|| panic!("{document}"));
            if resource.namespaced && object::namespace(&object).is_empty() {
                object::set_meta(&mut object, "namespace", "default");
            }
            // Names of resources are never forgotten in a test.
            let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
            let gvr = Gvr::new(leak(&resource.group), leak(&resource.version), leak(&resource.plural));
            said = self.0.client().create(gvr, object).map_or_else(|error| error.message, |_| String::new());
        }
        said
    }

    fn apply(&self, text: &str) {
        assert_eq!(self.try_apply(text), "", "{text}");
    }

    fn pod(&self, name: &str, labels: Value) -> String {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "busybox:1.37"}]}});
        self.0.client().create(gvr::PODS, pod).map_or_else(|error| error.message, |_| "created".to_owned())
    }

    fn get(&self, gvr: Gvr, name: &str) -> Arc<Value> {
        self.0
            .client()
            .get(gvr, "default", name)
            .or_else(|| self.0.client().get(gvr, "", name))
            .unwrap_or_else(|| panic!("no {gvr} {name}"))
    }

    fn scale(&self, namespace: &str, deployment: &str, replicas: i64) {
        self.0.client().merge_patch(gvr::DEPLOYMENTS, namespace, deployment, json!({"spec": {"replicas": replicas}})).unwrap();
        self.pass();
    }

    fn shown(&self, namespace: &str) -> String {
        let pods = self.0.client().list(gvr::PODS, Some(namespace));
        serde_json::to_string(&pods.iter().map(|pod| &pod["status"]).collect::<Vec<_>>()).unwrap()
    }
}

const CLUSTER_POLICIES: Gvr = Gvr::new("kyverno.io", "v1", "clusterpolicies");
const VALIDATING: Gvr = Gvr::new("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");

fn require_team(action: &str) -> String {
    format!(
        "{{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {{name: require-team}}, spec: {{rules: [{{name: check-team, match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}, \
         validate: {{failureAction: {action}, message: label team is required, pattern: {{metadata: {{labels: {{team: '?*'}}}}}}}}}}]}}}}"
    )
}

const BLOCKED: &str = "admission webhook \"validate.kyverno.svc-fail\" denied the request: \n\nresource Pod/default/p was blocked due to the following policies \n\nrequire-team:\n  check-team: 'validation error: label team is required. rule check-team failed at\n    path /metadata/labels/team/'\n";

#[test]
fn kyverno_enforces_while_it_runs() {
    let bench = Bench::with("kyverno.yaml");
    assert_eq!(bench.pod("before", json!({})), "created");
    bench.apply(&require_team("Enforce"));
    bench.pass();
    assert_eq!(bench.get(CLUSTER_POLICIES, "require-team")["status"]["conditions"][0]["type"], "Ready", "{}", bench.shown("kyverno"));
    assert_eq!(bench.pod("p", json!({"app": "p"})), BLOCKED);
    assert_eq!(bench.pod("q", json!({"team": "ml"})), "created");
    // Somebody takes its webhooks away: it brings them back.
    bench.0.client().delete(VALIDATING, "", "kyverno-resource-validating-webhook-cfg", &DeleteOptions::default()).unwrap();
    assert_eq!(bench.pod("r", json!({})), "created");
    bench.pass();
    assert_eq!(bench.pod("p", json!({"app": "p"})), BLOCKED);
    // Rules about pods are rules about what makes pods.
    let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: busybox}]}}}}";
    let refused = bench.try_apply(deployment);
    assert!(refused.contains("resource Deployment/default/d was blocked") && refused.contains("autogen-check-team:"), "{refused}");
    // Without its pods nobody answers, and the policy says what that means.
    bench.0.client().delete(gvr::SERVICES, "kyverno", "kyverno-svc", &DeleteOptions::default()).unwrap();
    let silent = bench.pod("p", json!({"team": "ml"}));
    assert_eq!(
        silent,
        "Internal error occurred: failed calling webhook \"validate.kyverno.svc-fail\": failed to call webhook: Post \"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s\": service \"kyverno-svc\" not found"
    );
    // Scaled to nothing it takes its webhooks along.
    bench.scale("kyverno", "kyverno-admission-controller", 0);
    assert_eq!(bench.0.client().list(VALIDATING, None).len(), 0);
    assert_eq!(bench.pod("p", json!({})), "created");
}

#[test]
fn kyverno_audits_warns_excepts_and_refuses_policies() {
    let bench = Bench::with("kyverno.yaml");
    bench.apply(&require_team("Audit"));
    bench.pass();
    assert_eq!(bench.pod("p", json!({})), "created");
    let wrong = "{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: wrong}, spec: {rules: []}}";
    let refused = bench.try_apply(wrong);
    assert!(refused.starts_with("admission webhook \"validate-policy.kyverno.svc\" denied the request: spec.rules"), "{refused}");
    bench.0.client().delete(CLUSTER_POLICIES, "", "require-team", &DeleteOptions::default()).unwrap();
    bench.apply(&require_team("Enforce"));
    bench.apply("{apiVersion: kyverno.io/v2, kind: PolicyException, metadata: {name: old}, spec: {exceptions: [{policyName: require-team, ruleNames: [check-team]}], match: {any: [{resources: {kinds: [Pod], names: ['old-*']}}]}}}");
    bench.pass();
    assert_eq!(bench.pod("old-1", json!({})), "created");
    assert!(bench.pod("new-1", json!({})).contains("was blocked"));
}

#[test]
fn kyverno_changes_objects() {
    let bench = Bench::with("kyverno.yaml");
    bench.apply("{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: add-team}, spec: {rules: [{name: add, match: {any: [{resources: {kinds: [Pod]}}]}, mutate: {patchStrategicMerge: {metadata: {labels: {+(team): none}}, spec: {containers: [{(name): '*', +(imagePullPolicy): Never}]}}}}]}}");
    bench.apply(&require_team("Enforce"));
    bench.apply("{apiVersion: policies.kyverno.io/v1alpha1, kind: MutatingPolicy, metadata: {name: tag}, spec: {matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}, mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: \"Object{metadata: Object.metadata{labels: Object.metadata.labels{by: 'mpol'}}}\"}}]}}");
    bench.pass();
    assert_eq!(bench.pod("p", json!({})), "created");
    assert_eq!(bench.get(gvr::PODS, "p")["metadata"]["labels"]["team"], "none");
    assert_eq!(bench.pod("q", json!({"team": "ml"})), "created");
    assert_eq!(bench.get(gvr::PODS, "q")["metadata"]["labels"]["team"], "ml");
    bench.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}");
    assert_eq!(bench.get(gvr::CONFIG_MAPS, "c")["metadata"]["labels"]["by"], "mpol");
}

#[test]
fn kyverno_judges_with_expressions() {
    let bench = Bench::with("kyverno.yaml");
    bench.apply("{apiVersion: policies.kyverno.io/v1alpha1, kind: ValidatingPolicy, metadata: {name: team}, spec: {validationActions: [Deny], matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}]}, validations: [{expression: \"'team' in object.metadata.?labels.orValue([])\", message: no team}]}}");
    bench.pass();
    assert_eq!(
        bench.pod("p", json!({})),
        "admission webhook \"vpol.validate.kyverno.svc-fail\" denied the request: Policy team failed: no team"
    );
    assert_eq!(bench.pod("p", json!({"team": "ml"})), "created");
}

#[test]
fn kyverno_sees_who_changes_what() {
    let bench = Bench::with("kyverno.yaml");
    bench.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: tiers}, data: {known: 'gold silver'}}");
    bench.apply(
        "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: tiers}
spec:
  rules:
    - name: stays
      match: {any: [{resources: {kinds: [Secret], operations: [UPDATE]}}]}
      validate:
        failureAction: Enforce
        message: 'tier was {{ request.oldObject.metadata.labels.tier }}'
        deny: {conditions: {any: [{key: '{{ request.object.metadata.labels.tier }}', operator: NotEquals, value: '{{ request.oldObject.metadata.labels.tier }}'}]}}
    - name: known
      match: {any: [{resources: {kinds: [Secret], operations: [CREATE]}}]}
      exclude: {any: [{clusterRoles: [cluster-admin]}]}
      context: [{name: tiers, configMap: {name: tiers, namespace: default}}]
      validate:
        failureAction: Enforce
        message: '{{ request.userInfo.username }} may use {{ tiers.data.known }}'
        deny: {conditions: {any: [{key: '{{ request.object.metadata.labels.tier }}', operator: AnyNotIn, value: '{{ split(tiers.data.known, '' '') }}'}]}}",
    );
    bench.pass();
    let secret = |name: &str, tier: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default", "labels": {"tier": tier}}});
    let ada = bench.0.client().as_user(UserInfo { name: "ada".to_owned(), ..UserInfo::default() }, "test");
    let refused = ada.create(gvr::SECRETS, secret("s", "lead")).unwrap_err().message;
    assert!(refused.ends_with("tiers:\n  known: ada may use gold silver\n"), "{refused}");
    ada.create(gvr::SECRETS, secret("s", "gold")).unwrap();
    // Who administers the cluster is left out of the rule.
    bench.0.client().create(gvr::SECRETS, secret("t", "lead")).unwrap();
    let patch = |tier: &str| ada.merge_patch(gvr::SECRETS, "default", "s", json!({"metadata": {"labels": {"tier": tier}}}));
    let refused = patch("silver").unwrap_err().message;
    assert!(refused.ends_with("tiers:\n  stays: tier was gold\n"), "{refused}");
    patch("gold").unwrap();
}

/// Who answers a webhook reads the cluster that it runs in: it must be let go with it.
#[test]
fn nothing_is_left_of_a_cluster_with_webhooks() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap()));
    for manifest in ["kyverno.yaml", "gatekeeper.yaml"] {
        // The first cluster of a process leaves the template.
        drop(Bench::at(manifest, &clock));
        let before = Arc::strong_count(&clock);
        let bench = Bench::at(manifest, &clock);
        assert!(bench.0.client().list(VALIDATING, None)[0]["webhooks"][0]["clientConfig"]["caBundle"].is_string());
        assert!(Arc::strong_count(&clock) > before);
        drop(bench);
        assert_eq!(Arc::strong_count(&clock), before, "{manifest}");
    }
}

#[test]
fn kyverno_needs_its_rights() {
    let bench = Bench::with("kyverno.yaml");
    let binding = gvr::CLUSTER_ROLE_BINDINGS;
    bench.0.client().delete(binding, "", "kyverno:admission-controller", &DeleteOptions::default()).unwrap();
    bench.0.client().delete(VALIDATING, "", "kyverno-resource-validating-webhook-cfg", &DeleteOptions::default()).unwrap();
    bench.pass();
    let shown = bench.shown("kyverno");
    assert!(shown.contains("CrashLoopBackOff"), "{shown}");
    let refused = bench.try_apply(&require_team("Enforce"));
    assert!(
        refused.contains("failed calling webhook \"validate-policy.kyverno.svc\"") && refused.ends_with("connection refused"),
        "{refused}"
    );
    assert_eq!(bench.pod("p", json!({})), "created");
}

const TEMPLATES: Gvr = Gvr::new("templates.gatekeeper.sh", "v1", "constrainttemplates");

const REQUIRED_LABELS: &str = include_str!("../../../tests/policy-engines/required-labels.yaml");

fn constraint(name: &str, action: &str, rest: &str) -> String {
    format!(
        "{{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: K8sRequiredLabels, metadata: {{name: {name}}}, spec: {{enforcementAction: {action}, \
         match: {{kinds: [{{apiGroups: [''], kinds: [Pod]}}]{rest}}}, parameters: {{labels: [team]}}}}}}"
    )
}

const DENIED: &str = "admission webhook \"validation.gatekeeper.sh\" denied the request: [must] label team is missing";

/// A cluster with every controller of Kyverno.
fn whole_kyverno() -> Bench {
    let bench = Bench::with("kyverno.yaml");
    bench.apply(&fs::read_to_string(root().join("tests/policy-engines/kyverno-controllers.yaml")).unwrap());
    bench.pass();
    bench
}

fn map(namespace: &str, name: &str, labels: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}, labels: {labels}}}, data: {{k: v}}}}")
}

const MAPS: Gvr = gvr::CONFIG_MAPS;

#[test]
fn kyverno_generates_and_keeps_what_it_generated() {
    let bench = whole_kyverno();
    let client = bench.0.client();
    bench.apply("{apiVersion: v1, kind: Namespace, metadata: {name: old}}");
    let rule = |name: &str, synchronize: bool, existing: bool| {
        format!(
            "{{name: {name}, match: {{any: [{{resources: {{kinds: [Namespace], names: ['old', 'new*']}}}}]}}, generate: {{apiVersion: v1, kind: ConfigMap, name: {name}, \
             namespace: '{{{{ request.object.metadata.name }}}}', synchronize: {synchronize}, generateExisting: {existing}, data: {{data: {{zone: a}}}}}}}}"
        )
    };
    bench.apply(&format!(
        "{{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {{name: zones}}, spec: {{rules: [{}, {}, {}]}}}}",
        rule("kept", true, false),
        rule("made", false, false),
        rule("everywhere", false, true)
    ));
    bench.pass();
    let names = |namespace: &str| {
        let maps = client.list(MAPS, Some(namespace));
        maps.iter().map(|map| object::name(map).to_owned()).filter(|name| name != "kube-root-ca.crt").collect::<Vec<_>>()
    };
    assert_eq!(names("old"), ["everywhere"], "{}", bench.shown("kyverno"));
    bench.apply("{apiVersion: v1, kind: Namespace, metadata: {name: new-1}}");
    bench.pass();
    assert_eq!(names("new-1"), ["everywhere", "kept", "made"]);
    let kept = client.get(MAPS, "new-1", "kept").unwrap();
    let namespace = bench.get(gvr::NAMESPACES, "new-1");
    let labels = &kept["metadata"]["labels"];
    assert_eq!(
        json!([
            labels["app.kubernetes.io/managed-by"],
            labels["generate.kyverno.io/policy-name"],
            labels["generate.kyverno.io/trigger-uid"]
        ]),
        json!(["kyverno", "zones", object::uid(&namespace)])
    );
    // What is synchronized comes back, and is again what the rule says; what is not stays away.
    for name in ["kept", "made"] {
        client.delete(MAPS, "new-1", name, &DeleteOptions::default()).unwrap();
    }
    bench.pass();
    assert_eq!(names("new-1"), ["everywhere", "kept"]);
    client.merge_patch(MAPS, "new-1", "kept", json!({"data": {"zone": "b", "more": "c"}})).unwrap();
    bench.pass();
    assert_eq!(client.get(MAPS, "new-1", "kept").unwrap()["data"], json!({"zone": "a"}));
    // It goes with its policy.
    client.delete(CLUSTER_POLICIES, "", "zones", &DeleteOptions::default()).unwrap();
    bench.pass();
    assert_eq!(names("new-1"), ["everywhere"]);
}

#[test]
fn kyverno_acts_on_what_exists_by_rules_and_expressions() {
    let bench = whole_kyverno();
    let client = bench.0.client();
    bench.apply(&map("default", "target", "{}"));
    bench.apply("{apiVersion: kyverno.io/v1, kind: ClusterPolicy, metadata: {name: mark}, spec: {rules: [{name: mark, match: {any: [{resources: {kinds: [ConfigMap], names: [trigger]}}]}, mutate: {targets: [{apiVersion: v1, kind: ConfigMap, name: target, namespace: default}], patchStrategicMerge: {metadata: {labels: {seen: '{{ request.object.metadata.name }}'}}}}}]}}");
    bench.apply("{apiVersion: policies.kyverno.io/v1, kind: GeneratingPolicy, metadata: {name: copy}, spec: {matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [CREATE], resourceNames: [trigger]}]}, variables: [{name: made, expression: \"[{'apiVersion': dyn('v1'), 'kind': dyn('ConfigMap'), 'metadata': dyn({'name': 'copied'}), 'data': dyn({'from': object.metadata.name})}]\"}], generate: [{expression: \"generator.Apply('default', variables.made)\"}]}}");
    bench.pass();
    bench.apply(&map("default", "trigger", "{}"));
    bench.pass();
    assert_eq!(bench.get(MAPS, "target")["metadata"]["labels"], json!({"seen": "trigger"}), "{}", bench.shown("kyverno"));
    let copied = bench.get(MAPS, "copied");
    assert_eq!(copied["data"], json!({"from": "trigger"}));
    assert_eq!(copied["metadata"]["labels"]["generate.kyverno.io/trigger-name"], "trigger");
    // Schedules: one policy of each kind, and a lifetime.
    bench.apply("{apiVersion: kyverno.io/v2, kind: ClusterCleanupPolicy, metadata: {name: sweep}, spec: {schedule: '* * * * *', match: {any: [{resources: {kinds: [ConfigMap], selector: {matchLabels: {old: 'yes'}}}}]}, conditions: {all: [{key: '{{ target.data.k }}', operator: Equals, value: v}]}}}");
    bench.apply("{apiVersion: policies.kyverno.io/v1, kind: DeletingPolicy, metadata: {name: wipe}, spec: {schedule: '* * * * *', matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps]}]}, conditions: [{name: c, expression: \"object.metadata.name == 'copied'\"}]}}");
    bench.apply(&map("default", "swept", "{old: 'yes'}"));
    bench.apply(&map("default", "stays", "{old: 'no'}"));
    bench.apply(&map("default", "brief", "{cleanup.kyverno.io/ttl: 30s}"));
    bench.apply(&map("default", "long", "{cleanup.kyverno.io/ttl: 9h}"));
    bench.pass();
    let left: Vec<String> = client.list(MAPS, Some("default")).iter().map(|map| object::name(map).to_owned()).collect();
    assert_eq!(left, ["kube-root-ca.crt", "long", "stays", "target", "trigger"], "{}", bench.shown("kyverno"));
    let sweep = bench.get(Gvr::new("kyverno.io", "v2", "clustercleanuppolicies"), "sweep");
    assert!(sweep["status"]["lastExecutionTime"].as_str().is_some_and(|time| time.ends_with(":00Z")), "{sweep}");
}

#[test]
fn kyverno_reports_on_what_exists() {
    let bench = whole_kyverno();
    assert_eq!(bench.pod("before", json!({})), "created");
    bench.apply(&require_team("Audit"));
    bench.pass();
    let reports = Gvr::new("wgpolicyk8s.io", "v1alpha2", "policyreports");
    let report = || bench.0.client().get(reports, "default", object::uid(&bench.get(gvr::PODS, "before")));
    let found = report().unwrap_or_else(|| panic!("{}", bench.shown("kyverno")));
    assert_eq!(found["summary"], json!({"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}));
    let (scope, result) = (&found["scope"], &found["results"][0]);
    assert_eq!(json!([scope["kind"], scope["name"], scope["namespace"]]), json!(["Pod", "before", "default"]));
    assert_eq!(
        json!([result["policy"], result["rule"], result["result"], result["source"], result["properties"]["process"]]),
        json!(["require-team", "check-team", "fail", "kyverno", "background scan"])
    );
    bench.0.client().merge_patch(gvr::PODS, "default", "before", json!({"metadata": {"labels": {"team": "ml"}}})).unwrap();
    bench.pass();
    assert_eq!(report().unwrap()["summary"]["pass"], 1);
    bench.0.client().delete(CLUSTER_POLICIES, "", "require-team", &DeleteOptions::default()).unwrap();
    bench.pass();
    assert_eq!(report(), None);
}

#[test]
fn gatekeeper_audits_what_exists() {
    let bench = Bench::with("gatekeeper.yaml");
    bench.apply(REQUIRED_LABELS);
    bench.pass();
    assert_eq!(bench.pod("before", json!({})), "created");
    assert_eq!(bench.pod("fine", json!({"team": "ml"})), "created");
    bench.apply(&constraint("audited", "dryrun", ", namespaces: [default]"));
    bench.pass();
    let constraints = Gvr::new("constraints.gatekeeper.sh", "v1beta1", "k8srequiredlabels");
    let status = bench.get(constraints, "audited")["status"].clone();
    assert_eq!(status["totalViolations"], 1, "{status} {}", bench.shown("gatekeeper-system"));
    let violation = &status["violations"][0];
    assert_eq!(
        json!([violation["enforcementAction"], violation["version"], violation["kind"], violation["namespace"], violation["name"]]),
        json!(["dryrun", "v1", "Pod", "default", "before"])
    );
    assert!(violation["message"].as_str().is_some_and(|message| message.contains("team")), "{violation}");
    let at = status["auditTimestamp"].as_str().unwrap().to_owned();
    // A status names as many as it may, and counts all.
    assert_eq!(bench.pod("another", json!({})), "created");
    bench.pass();
    let status = bench.get(constraints, "audited")["status"].clone();
    assert_eq!((&status["totalViolations"], status["violations"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert!(status["auditTimestamp"].as_str() > Some(&at), "{status}");
}

#[test]
fn gatekeeper_judges_by_templates_and_constraints() {
    let bench = Bench::with("gatekeeper.yaml");
    assert_eq!(bench.pod("before", json!({})), "created");
    bench.apply(REQUIRED_LABELS);
    bench.pass();
    assert_eq!(bench.get(TEMPLATES, "k8srequiredlabels")["status"]["created"], true, "{}", bench.shown("gatekeeper-system"));
    bench.apply(&constraint("audited", "dryrun", ""));
    bench.apply(&constraint("elsewhere", "deny", ", namespaces: [other]"));
    assert_eq!(bench.pod("p", json!({})), "created");
    bench.apply(&constraint("must", "deny", ""));
    assert_eq!(bench.pod("q", json!({})), DENIED);
    assert_eq!(bench.pod("q", json!({"team": "ml"})), "created");
    // Mistakes are refused: in Rego, in parameters.
    let broken =
        REQUIRED_LABELS.replace("k8srequiredlabels", "k8sbroken").replace("K8sRequiredLabels", "K8sBroken").replace("sprintf", "shout");
    let refused = bench.try_apply(&broken);
    assert!(refused.starts_with("admission webhook \"validation.gatekeeper.sh\" denied the request: spec.targets[0].rego"), "{refused}");
    let refused = bench.try_apply(&constraint("bad", "deny", "").replace("[team]", "team"));
    assert!(refused.contains("spec.parameters.labels"), "{refused}");
    let refused =
        bench.try_apply("{apiVersion: v1, kind: Namespace, metadata: {name: free, labels: {admission.gatekeeper.sh/ignore: 'yes'}}}");
    assert_eq!(
        refused,
        "admission webhook \"check-ignore-label.gatekeeper.sh\" denied the request: Only exempt namespace can have the admission.gatekeeper.sh/ignore label"
    );
    // Its webhook may be passed over where nobody answers; the one about namespaces may not.
    bench.scale("gatekeeper-system", "gatekeeper-controller-manager", 0);
    assert_eq!(bench.pod("r", json!({})), "created");
    let refused = bench.try_apply("{apiVersion: v1, kind: Namespace, metadata: {name: some}}");
    assert!(refused.starts_with("Internal error occurred: failed calling webhook \"check-ignore-label.gatekeeper.sh\""), "{refused}");
    bench.scale("gatekeeper-system", "gatekeeper-controller-manager", 1);
    assert_eq!(bench.pod("s", json!({})), DENIED);
    // With the template its constraints go.
    bench.0.client().delete(TEMPLATES, "", "k8srequiredlabels", &DeleteOptions::default()).unwrap();
    bench.pass();
    assert_eq!(bench.pod("s", json!({})), "created");
}

#[test]
fn gatekeeper_keeps_an_inventory_and_leaves_namespaces_out() {
    let bench = Bench::with("gatekeeper.yaml");
    bench.apply(
        "
apiVersion: config.gatekeeper.sh/v1alpha1
kind: Config
metadata: {name: config, namespace: gatekeeper-system}
spec:
  match: [{excludedNamespaces: ['free-*'], processes: ['*']}]
  sync: {syncOnly: [{group: '', version: v1, kind: ConfigMap}]}
---
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: uniqueowner}
spec:
  crd: {spec: {names: {kind: UniqueOwner}}}
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package uniqueowner
        violation[{\"msg\": msg}] {
          other := data.inventory.namespace[_][\"v1\"][\"ConfigMap\"][_]
          other.data.owner == input.review.object.data.owner
          other.metadata.name != input.review.object.metadata.name
          msg := sprintf(\"%v owns %v\", [other.data.owner, other.metadata.name])
        }",
    );
    bench.pass();
    bench.apply("{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: UniqueOwner, metadata: {name: unique}, spec: {match: {kinds: [{apiGroups: [''], kinds: [ConfigMap]}]}}}");
    bench.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {owner: ada}}");
    let refused = bench.try_apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {owner: ada}}");
    assert_eq!(refused, "admission webhook \"validation.gatekeeper.sh\" denied the request: [unique] ada owns one");
    bench.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {owner: bob}}");
    bench.apply("{apiVersion: v1, kind: Namespace, metadata: {name: free-1}}");
    bench.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: three, namespace: free-1}, data: {owner: ada}}");
}

#[test]
fn gatekeeper_mutates() {
    let bench = Bench::with("gatekeeper.yaml");
    bench.apply(
        "
apiVersion: mutations.gatekeeper.sh/v1
kind: AssignMetadata
metadata: {name: owner}
spec:
  match: {scope: Namespaced, kinds: [{apiGroups: [''], kinds: [Pod]}]}
  location: metadata.labels.owner
  parameters: {assign: {value: admin}}
---
apiVersion: mutations.gatekeeper.sh/v1
kind: Assign
metadata: {name: pull}
spec:
  applyTo: [{groups: [''], kinds: [Pod], versions: [v1]}]
  match: {scope: Namespaced}
  location: 'spec.containers[name:*].imagePullPolicy'
  parameters: {assign: {value: Always}}
---
apiVersion: mutations.gatekeeper.sh/v1
kind: ModifySet
metadata: {name: arguments}
spec:
  applyTo: [{groups: [''], kinds: [Pod], versions: [v1]}]
  match: {scope: Namespaced}
  location: 'spec.containers[name:*].args'
  parameters: {operation: merge, values: {fromList: [--verbose]}}",
    );
    bench.pass();
    assert_eq!(bench.pod("p", json!({})), "created");
    let pod = bench.get(gvr::PODS, "p");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        json!([pod["metadata"]["labels"]["owner"], container["imagePullPolicy"], container["args"]]),
        json!(["admin", "Always", ["--verbose"]])
    );
    let refused = bench.try_apply("{apiVersion: mutations.gatekeeper.sh/v1, kind: AssignMetadata, metadata: {name: bad}, spec: {location: spec.replicas, parameters: {assign: {value: x}}}}");
    assert!(refused.contains("spec.location"), "{refused}");
}
