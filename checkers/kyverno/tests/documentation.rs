//! What Kyverno's documentation says, as tables: a policy, objects, and the results in order.

use jiff::Timestamp;
use kyverno::{Evidence, Policies, apply};
use serde_json::{Value, json};

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `pass rule namespace/Kind/name` for each result.
fn results(policies: &str, resources: &str, aux: &Value) -> Vec<String> {
    let policies = Policies::read(&documents(policies));
    let wrong: Vec<_> = policies.findings.iter().filter(|finding| !finding.warning).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let mut evidence = Evidence { now: Timestamp::UNIX_EPOCH, ..Evidence::default() };
    evidence.add(aux);
    let line = |r: &kyverno::RuleResult| format!("{} {} {}", r.status, r.generated_rule.as_ref().unwrap_or(&r.rule), r.resource);
    apply(&policies, &documents(resources), &evidence).iter().map(line).collect()
}

fn check(policies: &str, resources: &str, aux: &Value, want: &[&str]) {
    assert_eq!(results(policies, resources, aux), want, "{policies}");
}

/// A ClusterPolicy whose rules are the text.
fn policy(rules: &str) -> String {
    let indented: String = rules.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n  rules:\n{indented}")
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ns, labels: {app: web, tier: front}}\nspec:\n  containers:\n  - {name: c, image: 'nginx:1'}\n  - {name: d, image: 'ghcr.io/x/y:latest'}\n";

#[test]
fn match_and_exclude() {
    for (filter, matches) in [
        ("match: {any: [{resources: {kinds: [Pod]}}]}", true),
        ("match: {any: [{resources: {kinds: [Deployment]}}, {resources: {kinds: [v1/Pod]}}]}", true),
        ("match: {all: [{resources: {kinds: [Pod]}}, {resources: {namespaces: [m]}}]}", false),
        ("match: {resources: {kinds: ['*/Pod'], namespaces: ['n?']}}", true),
        ("match: {any: [{resources: {kinds: ['*'], names: [b, 'a*']}}]}", true),
        ("match: {any: [{resources: {kinds: [Pod], selector: {matchLabels: {'a*': 'w?b'}}}}]}", true),
        (
            "match: {any: [{resources: {kinds: [Pod], selector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}}]}",
            false,
        ),
        ("match: {any: [{resources: {kinds: [Pod], operations: [UPDATE]}}]}", false),
        ("match: {any: [{resources: {kinds: [Pod], namespaceSelector: {matchLabels: {env: prod}}}}]}", true),
        ("match: {any: [{resources: {kinds: [Pod], namespaceSelector: {matchLabels: {env: dev}}}}]}", false),
        ("match: {any: [{resources: {kinds: [Pod]}, subjects: [{kind: User, name: 'b*'}]}]}", true),
        ("match: {any: [{resources: {kinds: [Pod]}, subjects: [{kind: Group, name: admins}]}]}", false),
        ("match: {any: [{resources: {kinds: [Pod]}, clusterRoles: [edit]}]}", true),
        ("match: {any: [{resources: {kinds: [Pod/exec]}}]}", false),
        ("match: {any: [{resources: {kinds: [Pod]}}]}, exclude: {any: [{resources: {namespaces: [ns]}}]}", false),
        ("match: {any: [{resources: {kinds: [Pod]}}]}, exclude: {all: [{resources: {namespaces: [ns]}}, {resources: {names: [b]}}]}", true),
        ("match: {any: [{resources: {kinds: [Pod]}}]}, exclude: {any: [{subjects: [{kind: User, name: bob}]}]}", false),
    ] {
        let rules = format!("- {{name: r, {filter}, validate: {{deny: {{}}}}}}");
        let aux = json!({
            "userinfo": {"clusterRoles": ["edit"], "userInfo": {"username": "bob", "groups": ["devs"]}},
            "variables": {"namespaceSelector": [{"name": "ns", "labels": {"env": "prod"}}]},
        });
        let want: &[&str] = if matches { &["fail r ns/Pod/a"] } else { &[] };
        check(&policy(&rules), POD, &aux, want);
    }
}

#[test]
fn anchors() {
    for (pattern, want) in [
        ("{spec: {containers: [{name: '*', image: '*:*'}]}}", "pass"),
        ("{spec: {containers: [{image: '!*:latest'}]}}", "fail"),
        ("{spec: {containers: [{(name): c, image: '!*:latest'}]}}", "pass"),
        ("{spec: {containers: [{(name): x, image: '!*:latest'}]}}", "skip"),
        ("{spec: {containers: [{<(image): 'ghcr.io/*', name: d}]}}", "pass"),
        ("{spec: {=(hostNetwork): false}}", "pass"),
        ("{spec: {hostNetwork: false}}", "fail"),
        ("{spec: {hostNetwork: true}}", "fail"),
        ("{spec: {X(hostNetwork): 'null'}}", "pass"),
        ("{spec: {X(containers): 'null'}}", "fail"),
        ("{spec: {^(containers): [{image: '*:latest'}]}}", "pass"),
        ("{spec: {^(containers): [{image: '*:none'}]}}", "fail"),
        ("{metadata: {labels: {'a*': web}}}", "pass"),
        ("{metadata: {labels: {'x*': '?*'}}}", "fail"),
        ("{(metadata): {name: b}, spec: {hostNetwork: true}}", "skip"),
    ] {
        let rules =
            format!("- {{name: r, match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}, validate: {{message: wrong, pattern: {pattern}}}}}");
        let aux = json!({});
        check(&policy(&rules), POD, &aux, &[&format!("{want} r ns/Pod/a")]);
    }
}

#[test]
fn deny_foreach_and_variables() {
    for (validate, want) in [
        ("deny: {conditions: {any: [{key: '{{ request.object.metadata.name }}', operator: Equals, value: a}]}}", "fail"),
        ("deny: {conditions: {all: [{key: '{{ request.operation }}', operator: NotEquals, value: CREATE}]}}", "pass"),
        ("deny: {conditions: {any: [{key: \"{{ request.object.metadata.labels.none || '' }}\", operator: Equals, value: ''}]}}", "fail"),
        ("deny: {conditions: {any: [{key: '{{ request.object.metadata.labels.none }}', operator: Equals, value: ''}]}}", "error"),
        ("foreach: [{list: request.object.spec.containers, pattern: {image: '*:*'}}]", "pass"),
        (
            "foreach: [{list: request.object.spec.containers, deny: {conditions: {any: [{key: '{{ element.image }}', operator: Equals, value: '*:latest'}]}}}]",
            "fail",
        ),
        (
            "foreach: [{list: 'request.object.spec.containers[].image', deny: {conditions: {any: [{key: '{{ elementIndex }}', operator: GreaterThan, value: 1}]}}}]",
            "pass",
        ),
        (
            "foreach: [{list: request.object.spec.containers, preconditions: {all: [{key: '{{ element.name }}', operator: Equals, value: d}]}, pattern: {image: 'ghcr.io/*'}}]",
            "pass",
        ),
        ("anyPattern: [{spec: {hostNetwork: true}}, {metadata: {name: a}}]", "pass"),
        ("anyPattern: [{spec: {hostNetwork: true}}, {metadata: {name: b}}]", "fail"),
    ] {
        let rules = format!("- {{name: r, match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}, validate: {{message: wrong, {validate}}}}}");
        check(&policy(&rules), POD, &json!({}), &[&format!("{want} r ns/Pod/a")]);
    }
}

#[test]
fn context_is_answered_from_the_evidence() {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "ns"}, "data": {"k": "a"}});
    for (context, key, aux, want) in [
        ("variable: {jmesPath: request.object.metadata.name}", "{{ v }}", json!({}), "fail"),
        ("variable: {jmesPath: request.object.none, default: a}", "{{ v }}", json!({}), "fail"),
        ("variable: {value: {x: [a]}, jmesPath: 'x[0]'}", "{{ v }}", json!({}), "fail"),
        (
            "configMap: {name: m, namespace: '{{ request.namespace }}'}",
            "{{ v.data.k }}",
            json!({"context": {"spec": {"resources": [map]}}}),
            "fail",
        ),
        ("configMap: {name: none, namespace: ns}", "{{ v.data.k }}", json!({"context": {"spec": {"resources": [map]}}}), "error"),
        (
            "configMap: {name: m, namespace: ns}",
            "{{ v.data.k }}",
            json!({"variables": {"policies": [{"name": "p", "rules": [{"name": "r", "values": {"v.data.k": "a"}}]}]}}),
            "fail",
        ),
        ("configMap: {name: m, namespace: ns}", "{{ v.data.k }}", json!({}), "error"),
        (
            "apiCall: {urlPath: '/api/v1/namespaces/ns/configmaps', jmesPath: 'items[0].data.k'}",
            "{{ v }}",
            json!({"context": {"spec": {"resources": [map]}}}),
            "fail",
        ),
        (
            "apiCall: {service: {url: 'https://x'}, method: POST}",
            "{{ v.a }}",
            json!({"http": [{"url": "https://x", "method": "POST", "response": {"a": "a"}}]}),
            "fail",
        ),
        ("globalReference: {name: g, jmesPath: 'k'}", "{{ v }}", json!({"globalContext": {"g": {"k": "a"}}}), "fail"),
        (
            "imageRegistry: {reference: '{{ request.object.spec.containers[0].image }}', jmesPath: 'configData.config.User'}",
            "{{ v }}",
            json!({"images": [{"image": "docker.io/nginx:1", "config": {"config": {"User": "a"}}}]}),
            "fail",
        ),
    ] {
        let rules = format!(
            "- {{name: r, match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}, context: [{{name: v, {context}}}], validate: {{message: wrong, deny: {{conditions: {{any: [{{key: '{key}', operator: Equals, value: a}}]}}}}}}}}"
        );
        check(&policy(&rules), POD, &aux, &[&format!("{want} r ns/Pod/a")]);
    }
}

#[test]
fn rules_for_the_controllers_of_pods() {
    let template = "spec: {containers: [{name: c, image: 'nginx:latest'}]}";
    let deployment =
        format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: ns}}\nspec: {{template: {{{template}}}}}\n");
    let cron = format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: j, namespace: ns}}\nspec: {{jobTemplate: {{spec: {{template: {{{template}}}}}}}}}\n"
    );
    let objects = format!("{POD}---\n{deployment}---\n{cron}");
    let rule = "- name: r\n  match: {any: [{resources: {kinds: [Pod]}}]}\n  validate: {message: wrong, pattern: {spec: {containers: [{image: '!*:latest'}]}}}\n";
    let all = ["fail r ns/Pod/a", "fail autogen-r ns/Deployment/d", "fail autogen-cronjob-r ns/CronJob/j"];
    check(&policy(rule), &objects, &json!({}), &all);
    let annotated = policy(rule).replace("{name: p}", "{name: p, annotations: {pod-policies.kyverno.io/autogen-controllers: none}}");
    check(&annotated, &objects, &json!({}), &all[..1]);
    let annotated =
        policy(rule).replace("{name: p}", "{name: p, annotations: {pod-policies.kyverno.io/autogen-controllers: 'Job,CronJob'}}");
    check(&annotated, &objects, &json!({}), &[all[0], all[2]]);
    let by_name = policy(&rule.replace("kinds: [Pod]", "kinds: [Pod], names: ['*']"));
    check(&by_name, &objects, &json!({}), &all[..1]);
    let by_variable = "- name: r\n  match: {any: [{resources: {kinds: [Pod]}}]}\n  validate:\n    message: no\n    deny: {conditions: {any: [{key: '{{ request.object.spec.containers[0].image }}', operator: Equals, value: '*:latest'}]}}\n";
    check(&policy(by_variable), &objects, &json!({}), &["pass r ns/Pod/a", all[1], all[2]]);
}

#[test]
fn mutation() {
    for (mutate, pointer, want) in [
        (
            "patchStrategicMerge: {metadata: {labels: {+(app): x, +(new): z}}}",
            "/metadata/labels",
            json!({"app": "web", "tier": "front", "new": "z"}),
        ),
        (
            "patchesJson6902: |-\n      - {op: add, path: /metadata/annotations/a~1b, value: c}",
            "/metadata/annotations",
            json!({"a/b": "c"}),
        ),
        (
            "foreach: [{list: 'request.object.spec.containers', patchStrategicMerge: {spec: {containers: [{name: '{{ element.name }}', image: 'r/{{ element.image }}'}]}}}]",
            "/spec/containers",
            json!([{"name": "c", "image": "r/nginx:1"}, {"name": "d", "image": "r/ghcr.io/x/y:latest"}]),
        ),
        (
            "patchStrategicMerge: {spec: {containers: [{(image): '*:latest', imagePullPolicy: Always}]}}",
            "/spec/containers/0",
            json!({"name": "d", "image": "ghcr.io/x/y:latest", "imagePullPolicy": "Always"}),
        ),
    ] {
        let rules = format!("- name: r\n  match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n  mutate:\n    {mutate}\n");
        let policies = Policies::read(&documents(&policy(&rules)));
        let results = apply(&policies, &documents(POD), &Evidence::default());
        assert_eq!(results.len(), 1, "{mutate}");
        let patched = results[0].patched.as_ref().and_then(|object| object.pointer(pointer));
        assert_eq!(patched, Some(&want), "{mutate}: {}", results[0].message);
    }
}

#[test]
fn existing_objects_are_mutated() {
    let rules = "- name: r\n  match: {any: [{resources: {kinds: [Pod]}}]}\n  mutate:\n    targets: [{apiVersion: v1, kind: Secret, name: 's*', namespace: '{{ request.namespace }}'}]\n    patchStrategicMerge: {metadata: {labels: {seen: '{{ target.metadata.name }}'}}}\n";
    let secret =
        |name: &str, namespace: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}});
    let mut evidence = Evidence::default();
    evidence.add(&json!({"targetResources": [secret("s1", "ns"), secret("t", "ns"), secret("s2", "m")]}));
    let results = apply(&Policies::read(&documents(&policy(rules))), &documents(POD), &evidence);
    let targets: Vec<_> = results.iter().flat_map(|result| &result.targets).collect();
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].pointer("/metadata/labels"), Some(&json!({"seen": "s1"})));
}

#[test]
fn generation() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n";
    let source = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default", "uid": "x", "labels": {"c": "on-call"}}, "data": {"k": "dg=="}});
    for (generate, want) in [
        (
            "{apiVersion: v1, kind: ConfigMap, name: made, namespace: '{{ request.object.metadata.name }}', data: {data: {a: b}}}",
            vec!["team/made"],
        ),
        ("{apiVersion: v1, kind: Secret, name: copy, namespace: team, clone: {name: s, namespace: default}}", vec!["team/copy"]),
        ("{namespace: team, cloneList: {namespace: default, kinds: [v1/Secret], selector: {matchLabels: {c: 'on-call'}}}}", vec!["team/s"]),
        (
            "{foreach: [{list: \"['a','b']\", apiVersion: v1, kind: ConfigMap, name: 'm-{{ element }}', namespace: team, data: {data: {k: '{{ element }}'}}}]}",
            vec!["team/m-a", "team/m-b"],
        ),
    ] {
        let rules = format!("- name: r\n  match: {{any: [{{resources: {{kinds: [Namespace]}}}}]}}\n  generate: {generate}\n");
        let mut evidence = Evidence::default();
        evidence.add(&json!({"context": {"spec": {"resources": [source]}}}));
        let results = apply(&Policies::read(&documents(&policy(&rules))), &documents(namespace), &evidence);
        let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let made: Vec<String> = results
            .iter()
            .flat_map(|result| &result.generated)
            .map(|object| format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name")))
            .collect();
        assert_eq!(made, want, "{generate}: {results:?}");
        assert!(results.iter().flat_map(|r| &r.generated).all(|object| object.pointer("/metadata/uid").is_none()));
    }
}

#[test]
fn pod_security_with_exclusions() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostNetwork: true\n  containers:\n  - {name: c, image: 'x:1', securityContext: {privileged: true}}\n  - {name: d, image: 'z:1', securityContext: {capabilities: {add: [SYS_TIME]}}}\n";
    for (exclude, want) in [
        ("[]", "fail"),
        (
            "[{controlName: Host Namespaces}, {controlName: Privileged Containers, images: ['x:*']}, {controlName: Capabilities, images: ['z:*']}]",
            "pass",
        ),
        (
            "[{controlName: Host Namespaces}, {controlName: Privileged Containers, images: ['z:*']}, {controlName: Capabilities, images: ['z:*']}]",
            "fail",
        ),
        (
            "[{controlName: Host Namespaces}, {controlName: Privileged Containers, images: ['*']}, {controlName: Capabilities, images: ['*'], restrictedField: 'spec.containers[*].securityContext.capabilities.add', values: [SYS_TIME]}]",
            "pass",
        ),
        (
            "[{controlName: Host Namespaces}, {controlName: Privileged Containers, images: ['*']}, {controlName: Capabilities, images: ['*'], restrictedField: 'spec.containers[*].securityContext.capabilities.add', values: [NET_ADMIN]}]",
            "fail",
        ),
    ] {
        let rules = format!(
            "- name: r\n  match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n  validate: {{podSecurity: {{level: baseline, version: latest, exclude: {exclude}}}}}\n"
        );
        check(&policy(&rules), pod, &json!({}), &[&format!("{want} r Pod/a")]);
    }
}

#[test]
fn expressions() {
    for (cel, want) in [
        ("expressions: [{expression: 'object.spec.containers.all(c, c.image.contains(\":\"))'}]", "pass"),
        ("expressions: [{expression: 'object.metadata.name == \"b\"'}]", "fail"),
        ("variables: [{name: own, expression: 'object.metadata.name'}], expressions: [{expression: 'variables.own == \"a\"'}]", "pass"),
    ] {
        let rules =
            format!("- name: r\n  match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n  validate: {{message: wrong, cel: {{{cel}}}}}\n");
        check(&policy(&rules), POD, &json!({}), &[&format!("{want} r ns/Pod/a")]);
    }
    let rules = "- name: r\n  match: {any: [{resources: {kinds: [Pod]}}]}\n  celPreconditions: [{name: c, expression: 'object.metadata.name == \"b\"'}]\n  validate: {cel: {expressions: [{expression: 'false'}]}}\n";
    check(&policy(rules), POD, &json!({}), &["skip r ns/Pod/a"]);
}

#[test]
fn exceptions_and_actions() {
    let rule = "- name: r\n  match: {any: [{resources: {kinds: [Pod]}}]}\n  validate: {failureAction: Enforce, deny: {}}\n";
    let exception = |name: &str, conditions: Value| {
        json!({"exceptions": [{
            "apiVersion": "kyverno.io/v2", "kind": "PolicyException", "metadata": {"name": "e", "namespace": "ns"},
            "spec": {"exceptions": [{"policyName": "p", "ruleNames": ["r*"]}], "match": {"any": [{"resources": {"kinds": ["Pod"], "names": [name]}}]}, "conditions": conditions},
        }]})
    };
    let holds = json!({"any": [{"key": "{{ request.object.metadata.labels.app }}", "operator": "Equals", "value": "web"}]});
    let fails = json!({"any": [{"key": "{{ request.object.metadata.labels.app }}", "operator": "Equals", "value": "db"}]});
    for (aux, want) in [
        (json!({}), "fail"),
        (exception("a", Value::Null), "skip"),
        (exception("b", Value::Null), "fail"),
        (exception("a", holds), "skip"),
        (exception("a", fails), "fail"),
        // An update of what broke the rule before is let through where the rule is enforced.
        (json!({"variables": {"globalValues": {"request.operation": "UPDATE"}}}), "skip"),
    ] {
        check(&policy(rule), POD, &aux, &[&format!("{want} r ns/Pod/a")]);
    }
    let unscored = policy(rule).replace("{name: p}", "{name: p, annotations: {policies.kyverno.io/scored: 'false'}}");
    check(&unscored, POD, &json!({}), &["warn r ns/Pod/a"]);
    let two = policy(&format!("{rule}{}", rule.replace("name: r\n", "name: s\n")));
    check(&two, POD, &json!({}), &["fail r ns/Pod/a", "fail s ns/Pod/a"]);
    check(&two.replace("spec:\n", "spec:\n  applyRules: One\n"), POD, &json!({}), &["fail r ns/Pod/a"]);
}

#[test]
fn images_are_verified_by_what_the_evidence_says() {
    let key = "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----";
    let rules = format!(
        "- name: r\n  match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n  verifyImages:\n  - imageReferences: ['ghcr.io/*']\n    mutateDigest: false\n    verifyDigest: false\n    required: false\n    attestors: [{{entries: [{{keys: {{publicKeys: \"{key}\"}}}}]}}]\n"
    );
    let signed = |by: &str| json!({"images": [{"image": "ghcr.io/x/y:latest", "signatures": [{"publicKey": by}]}]});
    for (aux, want) in [
        (json!({}), "error"),
        (signed("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"), "pass"),
        (signed("-----BEGIN PUBLIC KEY-----\nBBBB\n-----END PUBLIC KEY-----"), "fail"),
    ] {
        check(&policy(&rules), POD, &aux, &[&format!("{want} r ns/Pod/a")]);
    }
    let keyless = rules.replace(&format!("keys: {{publicKeys: \"{key}\"}}"), "keyless: {issuer: 'https://i', subject: 'https://s/*'}");
    let by =
        |subject: &str| json!({"images": [{"image": "ghcr.io/x/y:latest", "signatures": [{"issuer": "https://i", "subject": subject}]}]});
    check(&policy(&keyless), POD, &by("https://s/a"), &["pass r ns/Pod/a"]);
    check(&policy(&keyless), POD, &by("https://t/a"), &["fail r ns/Pod/a"]);
}

#[test]
fn cleanup() {
    let policy = |conditions: &str| {
        format!(
            "apiVersion: kyverno.io/v2\nkind: ClusterCleanupPolicy\nmetadata: {{name: p}}\nspec:\n  schedule: '*/5 * * * *'\n  match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}\n  conditions: {conditions}\n"
        )
    };
    for (conditions, want) in [
        ("{any: [{key: '{{ target.metadata.labels.app }}', operator: Equals, value: web}]}", "pass"),
        ("{any: [{key: '{{ target.metadata.labels.app }}', operator: Equals, value: db}]}", "fail"),
    ] {
        check(&policy(conditions), POD, &json!({}), &[&format!("{want}  ns/Pod/a")]);
    }
}

/// A broken policy is a finding with its field and what would be right.
#[test]
fn findings() {
    let rule = |rule: &str| policy(&format!("- {rule}"));
    let matches = "match: {any: [{resources: {kinds: [Pod]}}]}";
    for (text, field, part) in [
        (rule(&format!("{{{matches}, validate: {{deny: {{}}}}}}")), "spec.rules[0].name", "needs a name"),
        (rule("{name: r, validate: {deny: {}}}"), "spec.rules[0].match", "not specified"),
        (rule(&format!("{{name: r, {matches}}}")), "spec.rules[0]", "one of validate, mutate, generate, verifyImages"),
        (rule(&format!("{{name: r, {matches}, validate: {{message: m}}}}")), "spec.rules[0].validate", "nothing to check"),
        (rule(&format!("{{name: r, {matches}, validate: {{deny: {{}}, pattern: {{}}}}}}")), "spec.rules[0].validate", "only one of"),
        (
            rule(&format!("{{name: r, {matches}, validate: {{deny: {{conditions: {{any: [{{key: a, operator: equals, value: b}}]}}}}}}}}")),
            "spec.rules[0].validate.deny.conditions.any[0].operator",
            "write Equals",
        ),
        (
            rule(&format!("{{name: r, {matches}, validate: {{failureAction: Block, deny: {{}}}}}}")),
            "spec.rules[0].validate.failureAction",
            "Audit or Enforce",
        ),
        (
            rule(&format!("{{name: r, {matches}, validate: {{foreach: [{{list: 'a.[', deny: {{}}}}]}}}}")),
            "spec.rules[0].validate.foreach[0].list",
            "no JMESPath query",
        ),
        (
            rule(&format!("{{name: r, {matches}, mutate: {{}}, validate: {{podSecurity: {{level: high}}}}}}")),
            "spec.rules[0].validate.podSecurity.level",
            "no level",
        ),
        (
            rule(&format!("{{name: r, {matches}, validates: {{deny: {{}}}}, validate: {{deny: {{}}}}}}")),
            "spec.rules[0].validates",
            "no field",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n".to_owned(), "kind", "no kind of policy"),
        (
            "apiVersion: kyverno.io/v2\nkind: CleanupPolicy\nmetadata: {name: a}\nspec: {match: {any: [{resources: {kinds: [Pod]}}]}}\n"
                .to_owned(),
            "spec.schedule",
            "cron",
        ),
    ] {
        let findings = Policies::read(&documents(&text)).findings;
        assert!(findings.iter().any(|f| f.field == field && f.message.contains(part)), "{text}\n{findings:#?}");
    }
}
