//! The answers of kube-apiserver 1.34 to the same patches.

use super::*;
use crate::scheme::Scheme;
use expect_test::expect;
use std::sync::Arc;

fn deployments() -> &'static Arc<Resource> {
    Scheme::find_builtin("apps", "v1", "deployments").expect("deployments")
}

fn web() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
        "template": {"metadata": {}, "spec": {"containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}]}, {"name": "side", "image": "s"}],
            "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "a"}]}}}})
}

fn said(kind: PatchKind, body: &str, validation: FieldValidation) -> String {
    match apply(deployments(), &web(), kind, body.as_bytes(), validation) {
        Ok(patched) if patched.warnings.is_empty() => "taken".to_owned(),
        Ok(patched) => patched.warnings.join("; "),
        Err(error) => {
            let message = match error.message.split_once("\"{\\\"apiVersion") {
                Some((head, tail)) => format!("{head}…{}", tail.rsplit_once("}\"").map_or("", |(_, tail)| tail)),
                None => error.message,
            };
            format!("{} {} {message}", error.code, error.reason)
        }
    }
}

#[test]
fn refusals() {
    use FieldValidation::{Strict, Warn};
    use PatchKind::{Json, Merge, Strategic};
    let cases = [
        (Json, Warn, r#"{"op":"x"}"#),
        (Json, Warn, r#"[{"op":"x","path":"/spec/replicas"}]"#),
        (Json, Warn, r#"[{"op":"replace","path":"/spec/nope","value":1}]"#),
        (Json, Warn, r#"[{"op":"remove","path":"/spec/nope"}]"#),
        (Json, Warn, r#"[{"op":"test","path":"/spec/replicas","value":5}]"#),
        (Json, Warn, r#"[{"op":"add","path":"/spec/a/b","value":5}]"#),
        (Json, Warn, r#"[{"op":"add","path":"/spec/template/spec/containers/9","value":{}}]"#),
        (Json, Strict, r#"[{"op":"add","path":"/spec/foo","value":5}]"#),
        (Json, Warn, "x"),
        (Json, Warn, r#"[{"op":"replace","path":"/spec/replicas","value":"x"}]"#),
        (Merge, Warn, "x"),
        (Merge, Warn, "[]"),
        (Merge, Warn, "null"),
        (Merge, Strict, r#"{"spec":{"foo":1}}"#),
        (Merge, Warn, r#"{"spec":{"foo":1}}"#),
        (Merge, Warn, r#"{"spec":{"replicas":"x"}}"#),
        (Merge, Strict, r#"{"spec":{"replicas":2,"replicas":3}}"#),
        (Strategic, Warn, "x"),
        (Strategic, Warn, "[]"),
        (Strategic, Warn, "null"),
        (Strategic, Strict, r#"{"spec":{"foo":1}}"#),
        (Strategic, Warn, r#"{"spec":{"foo":1}}"#),
        (Strategic, Warn, r#"{"spec":{"replicas":"x"}}"#),
        (Strategic, Warn, r#"{"spec":{"replicas":1.5}}"#),
        (Strategic, Warn, r#"{"spec":{"paused":"x"}}"#),
        (Strategic, Warn, r#"{"spec":"x"}"#),
        (Strategic, Warn, r#"{"metadata":{"labels":{"a":1}}}"#),
        (Strategic, Warn, r#"{"metadata":{"labels":"x"}}"#),
        (Strategic, Warn, r#"{"metadata":{"creationTimestamp":"x"}}"#),
        (Strategic, Warn, r#"{"spec":{"strategy":{"rollingUpdate":{"maxSurge":true}}}}"#),
        (Strategic, Warn, r#"{"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}"#),
        (Strategic, Warn, r#"{"spec":{"template":{"spec":{"containers":"x"}}}}"#),
        (Strategic, Warn, r#"{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":5}]}}}}"#),
        (Strategic, Warn, r#"{"spec":{"template":{"spec":{"containers":[{"$patch":"foo","name":"nginx"}]}}}}"#),
        (Strategic, Warn, r#"{"spec":{"template":{"spec":{"containers":[{"$patch":"delete","image":"z"}]}}}}"#),
        (Strategic, Warn, r#"{"spec":{"template":{"spec":{"tolerations":["x"]}}}}"#),
        (Strategic, Warn, r#"{"spec":{"$patch":"foo"}}"#),
        (Strategic, Warn, r#"{"$setElementOrder/x":"a"}"#),
        (
            Strategic,
            Warn,
            r#"{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a"},{"name":"b"}]}}}}"#,
        ),
        (Strategic, Warn, r#"{"spec":{"$retainKeys":["x"],"replicas":1}}"#),
    ];
    let lines: String = cases.iter().map(|(kind, validation, body)| format!("{}\n", said(*kind, body, *validation))).collect();
    expect![[r#"
        400 BadRequest error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp
        422 Invalid the server rejected our request due to an error in our request
        unknown field "spec.nope"
        422 Invalid the server rejected our request due to an error in our request
        422 Invalid the server rejected our request due to an error in our request
        422 Invalid the server rejected our request due to an error in our request
        422 Invalid the server rejected our request due to an error in our request
        422 Invalid  "" is invalid: patch: Invalid value: …: strict decoding error: unknown field "spec.foo"
        400 BadRequest error decoding patch: invalid character 'x' looking for beginning of value
        422 Invalid  "" is invalid: patch: Invalid value: …: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
        400 BadRequest error decoding patch: invalid character 'x' looking for beginning of value
        400 BadRequest error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}
        400 BadRequest Invalid JSON Patch
        422 Invalid  "" is invalid: patch: Invalid value: …: strict decoding error: unknown field "spec.foo"
        unknown field "spec.foo"
        422 Invalid  "" is invalid: patch: Invalid value: …: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
        422 Invalid  "" is invalid: patch: Invalid value: …: strict decoding error: duplicate field "spec.replicas"
        400 BadRequest invalid character 'x' looking for beginning of value
        400 BadRequest json: cannot unmarshal array into Go value of type map[string]interface {}
        taken
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[foo:1]]": strict decoding error: unknown field "spec.foo"
        unknown field "spec.foo"
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[replicas:x]]": unrecognized type: int32
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[replicas:1.5]]": cannot convert float64 to int32
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[paused:x]]": unrecognized type: bool
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:x]": cannot restore struct from: string
        422 Invalid  "" is invalid: patch: Invalid value: "map[metadata:map[labels:map[a:1]]]": cannot convert int64 to string
        422 Invalid  "" is invalid: patch: Invalid value: "map[metadata:map[labels:x]]": cannot restore map from string
        422 Invalid  "" is invalid: patch: Invalid value: "map[metadata:map[creationTimestamp:x]]": parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[strategy:map[rollingUpdate:map[maxSurge:true]]]]": json: cannot unmarshal bool into Go value of type int32
        500  map: map[image:x] does not contain declared merge key: name
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[template:map[spec:map[containers:x]]]]": cannot restore slice from string
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[template:map[spec:map[containers:[map[image:5 name:nginx]]]]]]": cannot convert int64 to string
        500  unknown patch type: foo in map: map[$patch:foo name:nginx]
        500  map: map[$patch:delete image:z] does not contain declared merge key: name
        422 Invalid  "" is invalid: patch: Invalid value: "map[spec:map[template:map[spec:map[tolerations:[x]]]]]": cannot restore struct from: string
        500  unknown patch type: foo in map: map[$patch:foo]
        500  expected a []interface {}, but received a string
        500  The order in patch list:
        [map[name:a] map[name:b]]
         doesn't match $setElementOrder list:
        [map[name:b]]

        400 BadRequest invalid patch format of retainKeys
    "#]].assert_eq(&lines);
}

#[test]
fn strategic_merges() {
    let containers = |patch: Value| {
        let patch = json!({"spec": {"template": {"spec": patch}}});
        strategic(deployments(), &web(), &patch).expect("patched")["spec"]["template"]["spec"].clone()
    };
    let names = |spec: &Value| {
        spec["containers"]
            .as_array()
            .expect("containers")
            .iter()
            .map(|c| c["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join(",")
    };
    let spec = containers(json!({"containers": [{"name": "nginx", "image": "nginx:2", "ports": [{"containerPort": 81}]}]}));
    assert_eq!(
        spec["containers"][0],
        json!({"name": "nginx", "image": "nginx:2", "ports": [{"containerPort": 81}, {"containerPort": 80}]})
    );
    assert_eq!(names(&spec), "nginx,side");
    for (patch, expected) in [
        (json!({"containers": [{"name": "new"}]}), "new,nginx,side"),
        (json!({"containers": [{"name": "nginx", "$patch": "delete"}]}), "side"),
        (json!({"containers": [{"name": "only"}, {"$patch": "replace"}]}), "only"),
        (
            json!({"$setElementOrder/containers": [{"name": "side"}, {"name": "nginx"}], "containers": [{"name": "side", "image": "t"}]}),
            "side,nginx",
        ),
        (json!({"$setElementOrder/containers": [{"name": "side"}, {"name": "nginx"}]}), "side,nginx"),
        (
            json!({"$setElementOrder/containers": [{"name": "nginx"}, {"name": "new"}, {"name": "side"}], "containers": [{"name": "new"}]}),
            "nginx,new,side",
        ),
        (json!({"containers": null}), ""),
    ] {
        let spec = containers(patch.clone());
        let found = if spec["containers"].is_array() { names(&spec) } else { String::new() };
        assert_eq!(found, expected, "{patch}");
    }
    // lists without a merge key are replaced
    assert_eq!(containers(json!({"tolerations": [{"key": "b"}]}))["tolerations"], json!([{"key": "b"}]));
    // a volume's source is exchanged, not mixed
    let volumes =
        containers(json!({"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]}))["volumes"]
            .clone();
    assert_eq!(volumes, json!([{"name": "v", "configMap": {"name": "c"}}]));
    let strategy =
        strategic(deployments(), &web(), &json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})).expect("patched");
    assert_eq!(strategy["spec"]["strategy"], json!({"type": "Recreate"}));
    let labels = strategic(deployments(), &web(), &json!({"metadata": {"labels": {"$patch": "replace", "x": "y"}}})).expect("patched");
    assert_eq!(labels["metadata"]["labels"], json!({"x": "y"}));
    let mut live = web();
    live["metadata"]["finalizers"] = json!(["a/a", "b/b"]);
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "finalizers": ["c/c"], "$setElementOrder/finalizers": ["b/b", "c/c"]}});
    assert_eq!(strategic(deployments(), &live, &patch).expect("patched")["metadata"]["finalizers"], json!(["b/b", "c/c"]));
    // nulls in what is new vanish
    let patch = json!({"metadata": {"annotations": {"a": null, "b": "c"}}});
    assert_eq!(strategic(deployments(), &web(), &patch).expect("patched")["metadata"]["annotations"], json!({"b": "c"}));
}

#[test]
fn merge_and_json() {
    assert_eq!(
        merge(&json!({"a": {"b": 1, "c": 2}, "d": [1]}), &json!({"a": {"b": null, "e": {"f": null}}, "d": [2]})),
        json!({"a": {"c": 2, "e": {}}, "d": [2]})
    );
    let patched = json(
        &json!({"a": [1, 2], "m": {}}),
        &json!([
            {"op": "add", "path": "/a/-", "value": 3}, {"op": "remove", "path": "/a/0"}, {"op": "replace", "path": "/m/new~1x", "value": 1},
            {"op": "copy", "from": "/a", "path": "/b"}, {"op": "move", "from": "/m", "path": "/n"}, {"op": "test", "path": "/b", "value": [2, 3]},
        ]),
    );
    assert_eq!(patched.expect("patched"), json!({"a": [2, 3], "b": [2, 3], "n": {"new/x": 1}}));
    let bomb: Vec<Value> = (0..40).map(|n| json!({"op": "copy", "from": "", "path": format!("/x{n}")})).collect();
    assert!(json(&web(), &Value::Array(bomb)).is_err());
    assert_eq!(json(&web(), &Value::Array(vec![json!({}); 10_001])).expect_err("too many").code, 413);
}

#[test]
fn custom_resources_have_no_strategic_merge() {
    let custom = Resource { custom: Some(Arc::default()), ..(**deployments()).clone() };
    let error = apply(&custom, &web(), PatchKind::Strategic, b"{}", FieldValidation::Warn).expect_err("415");
    assert_eq!((error.code, error.reason), (415, "UnsupportedMediaType"));
}

/// A few operations could otherwise build what no recursion returns from, or move a long list each time.
#[test]
fn a_patch_builds_nothing_deep_and_moves_little() {
    let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
    let deep: Vec<Value> =
        (0..100).map(|n| json!({"op": "add", "path": format!("/x{}", "/a".repeat(n * 150)), "value": nested(150)})).collect();
    let own: Vec<Value> = (0..1_000).map(|_| json!({"op": "copy", "from": "/x", "path": "/x/a"})).collect();
    let mut moves = vec![json!({"op": "add", "path": "/x", "value": {"a": {}}})];
    moves.extend((0..1_000).flat_map(|_| {
        [
            json!({"op": "add", "path": "/y", "value": {}}),
            json!({"op": "move", "from": "/x", "path": "/y/a"}),
            json!({"op": "move", "from": "/y", "path": "/x"}),
        ]
    }));
    let mut insertions = vec![json!({"op": "add", "path": "/x", "value": vec![0; 100_000]})];
    insertions.extend(vec![json!({"op": "add", "path": "/x/0", "value": 0}); 9_000]);
    for (name, patch) in [("deep", deep), ("own", own), ("moves", moves), ("insertions", insertions)] {
        let error = json(&json!({"x": {"a": {}}}), &Value::Array(patch)).expect_err(name);
        assert_eq!(error.code, 422, "{name}");
    }
    let many: Vec<Value> = (0..9_000).map(|n| json!({"op": "add", "path": "/x/0", "value": n})).collect();
    assert!(json(&json!({"x": []}), &Value::Array(many)).is_ok(), "a long list from nothing");
}
