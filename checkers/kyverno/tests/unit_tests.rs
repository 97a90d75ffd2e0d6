//! Tables of what Kyverno's unit tests of policies compare, and of what they make up for servers
//! (<https://kyverno.io/docs/kyverno-cli/reference/kyverno_test/>).

use kyverno::{Evidence, Policies, apply, unit_test};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `ok reason` of each expectation of one test.
fn outcomes(policy: &Value, resource: &Value, expected: Value, files: &[(&str, Value)], aux: &Value) -> Vec<String> {
    let mut evidence = Evidence::default();
    evidence.add(aux);
    let test = json!({ "results": [expected] });
    let policies = Policies::read(std::slice::from_ref(policy));
    let results = unit_test::operations_of(&test).into_iter().map(|operation| {
        if !operation.is_empty() {
            evidence.values.global.insert("request.operation".to_owned(), json!(operation));
        }
        let results = apply(&policies, std::slice::from_ref(resource), &evidence);
        (operation, results)
    });
    let run = unit_test::Run {
        known: vec![unit_test::id_of(resource)],
        results: results.collect::<BTreeMap<_, _>>(),
        files: files.iter().map(|(name, object)| ((*name).to_owned(), vec![object.clone()])).collect(),
    };
    unit_test::judge(&test, &run).into_iter().map(|outcome| format!("{} {}", outcome.ok, outcome.reason)).collect()
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}, "data": data})
}

fn classic(rule: Value) -> Value {
    let mut rule = rule;
    rule["name"] = json!("r");
    rule["match"] = json!({"any": [{"resources": {"kinds": ["ConfigMap"]}}]});
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"}, "spec": {"rules": [rule]}})
}

fn in_cel(kind: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["matchConstraints"] =
        json!({"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}]});
    json!({"apiVersion": "policies.kyverno.io/v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec})
}

#[test]
fn objects_are_compared_with_files() {
    let mutate = classic(json!({"mutate": {"patchStrategicMerge": {"data": {"k": "new"}}}}));
    let generate = classic(
        json!({"generate": {"apiVersion": "v1", "kind": "ConfigMap", "name": "made", "namespace": "ns", "data": {"data": {"a": "b"}}}}),
    );
    let (same, other) = (map("a", json!({"k": "new"})), map("a", json!({"k": "old"})));
    let patched = |more: Value| {
        let mut expected = json!({"policy": "p", "rule": "r", "result": "pass", "patchedResources": "f"});
        expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        expected
    };
    let made = |files: Value| json!({"policy": "p", "rule": "r", "result": "pass", "generatedResources": files});
    let none: &[&str] = &[];
    for (policy, expected, file, want) in [
        (&mutate, patched(json!({})), &same, &["true Ok"][..]),
        (&mutate, patched(json!({})), &other, &["false ns/ConfigMap/a is different from f"]),
        // That a mutation should fail is no reason to be different.
        (&mutate, patched(json!({"result": "fail"})), &other, &["false ns/ConfigMap/a is different from f"]),
        (&mutate, patched(json!({})), &map("b", json!({})), none),
        (&mutate, patched(json!({"failOnMissingResources": true})), &map("b", json!({})), &["false f holds no ns/ConfigMap/a"]),
        (&mutate, patched(json!({"patchedResources": "g"})), &same, &["false g is not there"]),
        (&generate, made(json!(["f"])), &map("made", json!({"a": "b"})), &["true Ok"]),
        (&generate, made(json!(["g", "f"])), &map("made", json!({"a": "b"})), &["true Ok"]),
        (&generate, made(json!(["f"])), &map("made", json!({"a": "c"})), &["false ns/ConfigMap/made is different from f"]),
    ] {
        let said = outcomes(policy, &map("a", json!({"k": "v"})), expected.clone(), &[("f", file.clone())], &json!({}));
        assert_eq!(said, want, "{expected} {file}");
    }
}

#[test]
fn operations_servers_and_rules_of_policies_without_rules() {
    let says = |expression: &str| in_cel("ValidatingPolicy", json!({"validations": [{"expression": expression}]}));
    let mocked =
        |url: &str, status: i64| json!({"apiCallResponses": [{"url": url, "response": {"statusCode": status, "body": {"allowed": true}}}]});
    let entry = json!({"globalContextEntries": [{"name": "e", "data": {"list": [{"n": 1}, {"n": 2}]}, "fieldPath": "list", "projections": [{"name": "ns", "path": "[].n"}]}]});
    let old = json!({"values": {"globalValues": {"request.operation": "UPDATE", "request.oldObject": map("a", json!({"k": "before"}))}}});
    let call = |then: &str| {
        classic(json!({"context": [{"name": "c", "apiCall": {"service": {"url": "https://x/y"}}}],
            "validate": {"deny": {"conditions": {"all": [{"key": then, "operator": "Equals", "value": true}]}}}}))
    };
    let nothing = json!({});
    for (policy, more, aux, want) in [
        (says("oldObject == null"), json!({}), &nothing, "true Ok"),
        (says("oldObject.data.k == object.data.k"), json!({"operation": "UPDATE"}), &nothing, "true Ok"),
        (says("oldObject.data.k == 'before' && object.data.k == 'v'"), json!({}), &old, "true Ok"),
        (says("object == null && oldObject.data.k == 'v'"), json!({"operation": "DELETE"}), &nothing, "true Ok"),
        (says("true"), json!({"rule": "no such rule"}), &nothing, "true Ok"),
        (says("http.Get('https://x/y').body.allowed"), json!({}), &mocked("https://x/y", 0), "true Ok"),
        (says("http.Get('https://x/y').statusCode == 403"), json!({}), &mocked("https://x/y", 403), "true Ok"),
        (says("globalContext.Get('e', 'ns') == [1, 2]"), json!({}), &entry, "true Ok"),
        (call("{{ c.allowed }}"), json!({"result": "fail"}), &mocked("https://x/y", 200), "true Ok"),
        (call("{{ c.allowed }}"), json!({"result": "error"}), &mocked("https://x/y", 500), "true Ok"),
    ] {
        let mut expected = json!({"policy": "p", "result": "pass"});
        expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(outcomes(&policy, &map("a", json!({"k": "v"})), expected, &[], aux), [want], "{policy}");
    }
}

#[test]
fn an_expression_finds_what_exists() {
    let policy = in_cel(
        "MutatingPolicy",
        json!({
            "evaluation": {"mutateExisting": {"enabled": true}},
            "targetMatchConstraints": {"expression": "resource.Get('v1', 'configmaps', object.metadata.namespace, 'target')"},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data/seen', value: 'yes'}]"}}],
        }),
    );
    let expected = json!({"policy": "p", "resources": ["ns/target"], "result": "pass", "patchedResources": "f"});
    let said = |seen: &str| {
        let file = map("target", json!({"k": "v", "seen": seen}));
        outcomes(
            &policy,
            &map("a", json!({})),
            expected.clone(),
            &[("f", file)],
            &json!({"targetResources": [map("target", json!({"k": "v"}))]}),
        )
    };
    assert_eq!(said("yes"), ["true Ok"]);
    assert_eq!(said("no"), ["false ns/ConfigMap/target is different from f"]);
}
