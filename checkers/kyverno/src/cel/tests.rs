//! Expressions against what cel-go and Kyverno's libraries say of them, and policies of each kind.

use super::{apply, kinds::Kinds, library::Library};
use crate::{Evidence, Status, Trigger};
use machinery::cel::{
    Program, Run, Variables,
    cost::BUDGET,
    value::{of_json, to_json},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn evidence() -> Evidence {
    let mut evidence = Evidence { now: "2023-01-12T14:07:55Z".parse().expect("a time"), ..Evidence::default() };
    evidence.objects = vec![
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "ns", "labels": {"a": "b"}}, "data": {"k": "v"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "ns"}}),
    ];
    evidence.images = vec![json!({"image": "nginx:1", "config": {"architecture": "amd64"}, "signatures": ["cosign"]})];
    evidence.http = vec![json!({"url": "https://x/y", "method": "GET", "response": {"allowed": true}})];
    evidence.global.insert("ctx".to_owned(), json!({"part": [1]}));
    evidence
}

fn run(expression: &str, namespace: &str) -> Result<Value, String> {
    let evidence = evidence();
    let kinds = Kinds::new(&evidence);
    let library = Library::new(&evidence, &kinds, namespace);
    let variables = [("one", "1"), ("broken", "object.none"), ("two", "variables.one + 1"), ("loop", "variables.loop")];
    let variables: Result<Variables, String> =
        variables.iter().map(|(name, source)| Ok(((*name).to_owned(), Program::parse(source)?))).collect();
    let mut run = Run::new(&library, Arc::new(variables?), BUDGET);
    run.set("object", of_json(&json!({"spec": {"list": [1, 2, 3], "name": "x", "null": null, "nested": {"a": "b"}}, "metadata": {}})));
    run.set("oldObject", of_json(&Value::Null));
    let program = Program::parse(expression)?;
    let answer = run.run(&program).map(|value| to_json(&value))?;
    let generated = library.generated.take();
    Ok(if generated.is_empty() { answer } else { json!(generated) })
}

fn check(table: &[(&str, Value)]) {
    for (expression, want) in table {
        assert_eq!(run(expression, ""), Ok(want.clone()), "{expression}");
    }
}

fn check_errors(table: &[(&str, &str)]) {
    for (expression, want) in table {
        assert_eq!(run(expression, "").map_err(|error| error.clone()), Err((*want).to_owned()), "{expression}");
    }
}

#[test]
fn the_language() {
    check(&[
        ("object.spec.list.all(x, x > 0)", json!(true)),
        ("object.spec.list.exists(x, x == 2)", json!(true)),
        ("object.spec.list.exists_one(x, x > 1)", json!(false)),
        ("object.spec.list.map(x, x * 2)", json!([2, 4, 6])),
        ("object.spec.list.filter(x, x != 2)", json!([1, 3])),
        ("object.spec.list.map(x, x > 1, x * 2)", json!([4, 6])),
        ("object.spec.?none.orValue('y')", json!("y")),
        ("object.spec.?name.orValue('y')", json!("x")),
        ("object.spec.?none.?deeper.hasValue()", json!(false)),
        ("object.metadata.?labels[?'a'].orValue('none')", json!("none")),
        ("object.spec.name.orValue('y')", json!("x")),
        ("oldObject.?spec.hasValue()", json!(false)),
        ("has(object.spec.name) && !has(object.spec.none)", json!(true)),
        ("object.none.x == 1 || true", json!(true)),
        ("false && object.none.x == 1", json!(false)),
        ("[1, 2].exists(x, object.none == x) || true", json!(true)),
        ("[[1], 'a'].exists(x, x == 'a')", json!(true)),
        ("object == null ? 1 : 2", json!(2)),
        ("oldObject == null", json!(true)),
        ("1 == 1.0 && 1u == 1", json!(true)),
        ("1 < 1.5", json!(true)),
        ("'ä'.size() == 1 && size([1]) == 1 && size({'a': 1}) == 1", json!(true)),
        ("'b' in object.spec.nested.map(k, object.spec.nested[k])", json!(true)),
        ("'a' in object.spec.nested && 2 in [1, 2]", json!(true)),
        ("[1] + [2]", json!([1, 2])),
        ("{'a': 1, ?'b': optional.none(), ?'c': optional.of(2)}", json!({"a": 1, "c": 2})),
        ("[1, ?optional.none()]", json!([1])),
        ("type(1) == int && type('') != type(null)", json!(true)),
        ("variables.one + variables.two", json!(3)),
        ("cel.bind(x, 2, x * x)", json!(4)),
        ("optional.of(2).optMap(x, x + 1).value()", json!(3)),
        ("['a', 'b'].transformList(i, v, v + string(i))", json!(["a0", "b1"])),
        ("{'a': 1}.transformMap(k, v, v + 1)", json!({"a": 2})),
        ("[3, 1, 2].sortBy(x, -x)", json!([3, 2, 1])),
        ("[1, 2].all(i, v, i < v)", json!(true)),
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("['a', 'b'].join('-')", json!("a-b")),
        ("'%s-%d'.format(['a', 1])", json!("a-1")),
        ("'abc'.matches('^a.c$')", json!(true)),
        ("quantity('1Gi').isGreaterThan(quantity('500Mi'))", json!(true)),
        ("sets.contains([1, 2], [2])", json!(true)),
        ("math.greatest(1, 3)", json!(3)),
        ("base64.decode('aGk=') == b'hi'", json!(true)),
        ("string(base64.decode('aGk='))", json!("hi")),
        ("duration('1h') > duration('30m')", json!(true)),
        ("timestamp('2023-01-01T00:00:00Z') + duration('24h') == timestamp('2023-01-02T00:00:00Z')", json!(true)),
        ("int('5') + int(2.9)", json!(7)),
        ("Object{spec: Object.spec{list: [1], ?none: optional.none()}}", json!({"spec": {"list": [1]}})),
        (
            "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: 1}]",
            json!([{"op": "add", "path": "/a/b~1c", "value": 1}]),
        ),
    ]);
    check_errors(&[
        ("object.spec.none", "no such key: none"),
        ("oldObject.spec", "no such key: spec"),
        ("object.spec.name.x", "no such key: x"),
        ("object.spec.list[9]", "index out of bounds: 9"),
        ("nothing", "undeclared reference to 'nothing' (in container '')"),
        ("object.spec.name.nothing()", "undeclared reference to 'nothing' (in container '')"),
        ("1 / 0", "division by zero"),
        ("'a' + 1", "no such overload"),
        ("variables.broken", "no such key: none"),
        ("variables.loop", "expression recursion limit exceeded"),
        ("optional.none().value()", "optional.none() dereference"),
        (
            "Object{spec: Object.wrong{}}",
            "type mismatch: unexpected type name \"Object.wrong\", expected \"Object.spec\", which matches field name path from root Object type",
        ),
    ]);
}

#[test]
fn costs_are_bounded() {
    let loops = "object.spec.list.all(a, ".repeat(20) + "true" + &")".repeat(20);
    let grows = "[1,2,3,4,5,6,7,8,9,10]".to_owned() + &".map(x, [1,2,3,4,5,6,7,8,9,10])".repeat(20);
    for expression in [loops, grows, "(".repeat(1000), "!".repeat(3000) + "true", "1".to_owned() + &"+1".repeat(3000)] {
        let answer = run(&expression, "");
        assert!(answer.is_err() || expression.len() < 1000, "{}", &expression[..20]);
    }
}

#[test]
fn kyvernos_functions() {
    check(&[
        ("resource.Get('v1', 'configmaps', 'ns', 'cm').data.k", json!("v")),
        ("resource.get('v1', 'configmaps', 'ns', 'none') == null", json!(true)),
        ("resource.List('apps/v1', 'deployments', 'ns').items.size()", json!(1)),
        ("resource.list('v1', 'configmaps', '', {'a': 'c'}).items", json!([])),
        ("resource.Get(resource.toGVR('v1', 'ConfigMap'), 'ns', 'cm').metadata.name", json!("cm")),
        ("http.Get('https://x/y').allowed", json!(true)),
        ("http.Client('ca').Get('https://x/y').allowed", json!(true)),
        ("globalContext.Get('ctx', 'part')", json!([1])),
        ("globalContext.Get('none')", json!(null)),
        ("image.GetMetadata('nginx:1').config.architecture", json!("amd64")),
        ("image('nginx').registry() + '/' + image('nginx').repository()", json!("index.docker.io/library/nginx")),
        ("parseImageReference('a.io/bb:1').tag()", json!("1")),
        ("isImage('A')", json!(false)),
        ("['x'].all(image, image.startsWith('x'))", json!(true)),
        ("parseServiceAccount('system:serviceaccount:ns:sa').Name", json!("sa")),
        ("sha1('a') == hash.sha1('a')", json!(true)),
        ("md5('a')", json!("0cc175b9c0f1b6a831c399e269772661")),
        ("json.unmarshal('{\"a\": [1]}').a", json!([1])),
        ("json.marshal({'a': 1})", json!("{\"a\":1}")),
        ("yaml.parse('a: 1').a", json!(1)),
        ("math.round(9.8765, 2)", json!(9.88)),
        ("time.now() > timestamp('2023-01-01T00:00:00Z')", json!(true)),
        ("string(time.truncate(time.now(), duration('1h')))", json!("2023-01-12T14:00:00Z")),
        ("time.toCron(time.now())", json!("7 14 12 1 4")),
        ("listObjToMap([{'k': 'a'}], [{'v': 1}], 'k', 'v')", json!({"a": 1})),
        ("random('[x]{2}')", json!("xx")),
        ("regex.replace('a-b', '(\\\\w)-(\\\\w)', '\\\\2-\\\\1')", json!("b-a")),
        ("generator.Apply('ns', [{'kind': 'ConfigMap'}])", json!([{"kind": "ConfigMap", "metadata": {"namespace": "ns"}}])),
    ]);
    check_errors(&[
        ("image.GetMetadata('none')", "failed to get image data: image data for none not found in the context"),
        (
            "globalContext.Get('ctx', 'none')",
            "failed to get global reference: projection \"none\" not found in global context entry \"ctx\"",
        ),
    ]);
    assert_eq!(run("resource.Get('v1', 'configmaps', 'cm').data.k", "ns"), Ok(json!("v")));
    assert!(run("http.Get('https://x/y')", "ns").is_err());
}

/// Applies one policy to one object.
fn judge(policy: Value, object: Value) -> (Vec<(String, Status, String)>, Value, Vec<Value>) {
    let evidence = evidence();
    let trigger = Trigger::of(&object, &evidence);
    let mut left = object;
    let results = apply(&[policy], &trigger, &mut left, &evidence);
    let generated = results.iter().flat_map(|result| result.generated.clone()).collect();
    let said = results.into_iter().map(|result| (result.rule, result.status, result.message)).collect();
    (said, left, generated)
}

fn pods() -> Value {
    json!({"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]})
}

fn pod(image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

#[test]
fn validating_policies() {
    let policy = json!({
        "apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "tags"},
        "spec": {
            "matchConstraints": pods(),
            "matchConditions": [{"name": "named", "expression": "object.metadata.name != 'other'"}],
            "variables": [{"name": "images", "expression": "object.spec.containers.map(c, c.image)"}],
            "validations": [{"expression": "variables.images.all(i, !i.endsWith(':latest'))", "messageExpression": "'bad: ' + variables.images[0]"}],
        },
    });
    let said = |status, message: &str| vec![(String::new(), status, message.to_owned())];
    assert_eq!(judge(policy.clone(), pod("a:1")).0, said(Status::Pass, "success"));
    assert_eq!(judge(policy.clone(), pod("a:latest")).0, said(Status::Fail, "bad: a:latest"));
    let mut other = pod("a:latest");
    other["metadata"]["name"] = json!("other");
    assert_eq!(judge(policy.clone(), other).0, said(Status::Skip, "skip"));
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "ns"},
        "spec": {"template": pod("a:latest")},
    });
    assert_eq!(judge(policy.clone(), deployment).0, said(Status::Fail, "bad: a:latest"));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "ns"}});
    assert_eq!(judge(policy, service).0, []);
}

#[test]
fn mutating_policies() {
    let policy = |mutation: Value| {
        json!({
            "apiVersion": "policies.kyverno.io/v1", "kind": "MutatingPolicy", "metadata": {"name": "m"},
            "spec": {"matchConstraints": pods(), "mutations": [mutation]},
        })
    };
    let applied = "Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, tty: true})}}";
    let (said, left, _) =
        judge(policy(json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": applied}})), pod("a"));
    assert_eq!(said, [(String::new(), Status::Pass, "success".to_owned())]);
    assert_eq!(left["spec"]["containers"], json!([{"name": "c", "image": "a", "tty": true}]));
    let patch = "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a': 'b'}}]";
    let (_, left, _) = judge(policy(json!({"patchType": "JSONPatch", "jsonPatch": {"expression": patch}})), pod("a"));
    assert_eq!(left["metadata"]["labels"], json!({"a": "b"}));
}

#[test]
fn generating_and_deleting_policies() {
    let policy = json!({
        "apiVersion": "policies.kyverno.io/v1", "kind": "GeneratingPolicy", "metadata": {"name": "g"},
        "spec": {
            "matchConstraints": pods(),
            "variables": [{"name": "cm", "expression": "resource.Get('v1', 'configmaps', 'ns', 'cm')"}],
            "generate": [
                {"expression": "generator.Apply('other', [variables.cm])"},
                {"template": {"interpolate": "cel", "value": "kind: Secret\nmetadata:\n  name: x-(( object.metadata.name ))\ndata: (( variables.cm.data ))\n"}},
            ],
        },
    });
    let (said, _, generated) = judge(policy, pod("a"));
    assert_eq!(said, [("g".to_owned(), Status::Pass, "policy evaluated successfully".to_owned())]);
    assert_eq!(generated[0]["metadata"]["namespace"], "other");
    assert_eq!(generated[1], json!({"kind": "Secret", "metadata": {"name": "x-p"}, "data": {"k": "v"}}));
    let policy = json!({
        "apiVersion": "policies.kyverno.io/v1", "kind": "DeletingPolicy", "metadata": {"name": "d"},
        "spec": {
            "schedule": "* * * * *", "conditions": [{"name": "c", "expression": "object.spec.containers[0].image == 'a'"}],
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]},
        },
    });
    assert_eq!(judge(policy.clone(), pod("a")).0, [("d".to_owned(), Status::Pass, "resource matched".to_owned())]);
    assert_eq!(judge(policy, pod("b")).0, [("d".to_owned(), Status::Fail, "resource did not match".to_owned())]);
}

#[test]
fn image_validating_policies() {
    let policy = json!({
        "apiVersion": "policies.kyverno.io/v1", "kind": "ImageValidatingPolicy", "metadata": {"name": "i"},
        "spec": {
            "matchConstraints": pods(), "matchImageReferences": [{"glob": "nginx:*"}],
            "validationConfigurations": {"verifyDigest": false},
            "attestors": [{"name": "cosign"}],
            "validations": [{"expression": "images.containers.all(i, verifyImageSignatures(i, [attestors.cosign]) > 0)", "message": "unsigned"}],
        },
    });
    let status = |image: &str| judge(policy.clone(), pod(image)).0.into_iter().map(|(_, status, message)| (status, message)).next();
    assert_eq!(status("nginx:1"), Some((Status::Pass, "success".to_owned())));
    assert_eq!(status("other"), Some((Status::Pass, "success".to_owned())));
    assert!(matches!(status("nginx:2"), Some((Status::Error, _))));
}

#[test]
fn admission_policies() {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "v"},
        "spec": {"matchConstraints": pods(), "validations": [{"expression": "object.spec.containers[0].image == 'a'", "reason": "Invalid"}]},
    });
    assert_eq!(judge(policy.clone(), pod("a")).0, [("v".to_owned(), Status::Pass, String::new())]);
    let message = "failed expression: object.spec.containers[0].image == 'a'".to_owned();
    assert_eq!(judge(policy, pod("b")).0, [("v".to_owned(), Status::Fail, message)]);
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1alpha1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "m"},
        "spec": {
            "matchConstraints": pods(), "failurePolicy": "Fail",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: Object.metadata.labels{a: 'b'}}}"}}],
        },
    });
    let (said, left, _) = judge(policy, pod("a"));
    assert_eq!(said[0].1, Status::Pass);
    assert_eq!(left["metadata"]["labels"], json!({"a": "b"}));
}
