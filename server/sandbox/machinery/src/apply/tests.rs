//! The steps and their outcomes were compared with kube-apiserver 1.34.

use super::*;
use crate::{resource::CustomDefinition, scheme::Scheme};
use expect_test::{Expect, expect};
use std::sync::Arc;

fn builtin(plural: &str) -> &'static Resource {
    Scheme::builtin().iter().find(|r| r.plural == plural).expect(plural)
}

fn gizmos() -> Resource {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                  "items": {"type": "object", "properties": {"name": {"type": "string"}, "count": {"type": "integer"}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}});
    Resource {
        group: "zoo.example.com".into(),
        plural: "gizmos".into(),
        kind: "Gizmo".into(),
        custom: Some(Arc::new(CustomDefinition::new(schema, Vec::new(), false, Vec::new()))),
        ..builtin("deployments").clone()
    }
}

/// An object and what happens to it.
struct Story<'a> {
    resource: &'a Resource,
    live: Option<Value>,
    told: String,
}

impl<'a> Story<'a> {
    fn of(resource: &'a Resource) -> Self {
        Self { resource, live: None, told: String::new() }
    }

    fn manager(name: &str) -> Manager<'_> {
        Manager { name, subresource: "", now: "2026-01-01T00:00:00Z".parse().expect("a time") }
    }

    fn tell(&mut self, head: &str, object: &Value, part: &str) {
        let shown = object.pointer(part).unwrap_or(&Value::Null);
        self.told.push_str(&format!("{head}: {shown}\n"));
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let (manager, operation) = (entry["manager"].as_str().unwrap_or_default(), entry["operation"].as_str().unwrap_or_default());
            self.told.push_str(&format!("  {manager} {operation} {}\n", entry["fieldsV1"]));
        }
    }

    fn apply(&mut self, name: &str, part: &str, body: Value, force: bool) -> &mut Self {
        let mut configuration = json!({"apiVersion": self.resource.api_version(), "kind": self.resource.kind, "metadata": {"name": "a"}});
        for (key, value) in body.as_object().expect("a body") {
            if key == "metadata" {
                configuration["metadata"].as_object_mut().expect("metadata").extend(value.as_object().expect("metadata").clone());
            } else {
                configuration[key] = value.clone();
            }
        }
        match apply(self.resource, self.live.as_ref(), &configuration, &Self::manager(name), force) {
            Ok(object) => {
                self.tell(&format!("{name} applies"), &object, part);
                self.live = Some(object);
            }
            Err(error) => self.told.push_str(&format!("{name} applies: {} {}\n", error.code, error.message)),
        }
        self
    }

    fn update(&mut self, name: &str, part: &str, change: impl FnOnce(&mut Value)) -> &mut Self {
        let empty = json!({"apiVersion": self.resource.api_version(), "kind": self.resource.kind, "metadata": {"name": "a"}});
        let mut new = self.live.clone().unwrap_or(empty);
        change(&mut new);
        strict::check(self.resource, &mut new, strict::FieldValidation::Ignore).expect("a valid object");
        track_update(self.resource, self.live.as_ref(), &mut new, &Self::manager(name));
        self.tell(&format!("{name} updates"), &new, part);
        self.live = Some(new);
        self
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&self.told);
    }
}

#[test]
fn ownership_of_a_map() {
    let mut story = Story::of(builtin("configmaps"));
    story
        .apply("one", "/data", json!({"data": {"x": "1", "y": "2"}, "metadata": {"labels": {"l": "1"}}}), false)
        .apply("one", "/data", json!({"data": {"x": "1"}}), false)
        .apply("two", "/data", json!({"data": {"x": "2"}}), false)
        .apply("two", "/data", json!({"data": {"x": "2"}}), true)
        .apply("two", "/data", json!({"data": {"z": "2"}}), false)
        .apply("one", "/data", json!({"data": {"z": "2"}}), false)
        .apply("one", "/data", json!({"data": {}}), false)
        .update("upd", "/data", |o| o["data"] = json!({"z": "3", "n": "4"}))
        .apply("one", "/data", json!({"data": {"z": "5", "n": "6"}}), false)
        .update("resetter", "/data", |o| o["metadata"]["managedFields"] = json!([{}]))
        .update("after", "/data", |o| o["data"]["q"] = "1".into())
        .apply("one", "/data", json!({"data": {"k": "v"}}), false);
    story.check(expect![[r#"
        one applies: {"x":"1","y":"2"}
          one Apply {"f:data":{"f:x":{},"f:y":{}},"f:metadata":{"f:labels":{"f:l":{}}}}
        one applies: {"x":"1"}
          one Apply {"f:data":{"f:x":{}}}
        two applies: 409 Apply failed with 1 conflict: conflict with "one": .data.x
        two applies: {"x":"2"}
          two Apply {"f:data":{"f:x":{}}}
        two applies: {"z":"2"}
          two Apply {"f:data":{"f:z":{}}}
        one applies: {"z":"2"}
          one Apply {"f:data":{"f:z":{}}}
          two Apply {"f:data":{"f:z":{}}}
        one applies: {"z":"2"}
          one Apply {"f:data":{}}
          two Apply {"f:data":{"f:z":{}}}
        upd updates: {"n":"4","z":"3"}
          one Apply {"f:data":{}}
          upd Update {"f:data":{"f:n":{},"f:z":{}}}
        one applies: 409 Apply failed with 2 conflicts: conflicts with "upd" using v1:
        - .data.n
        - .data.z
        resetter updates: {"n":"4","z":"3"}
        after updates: {"n":"4","q":"1","z":"3"}
        one applies: {"k":"v","n":"4","q":"1","z":"3"}
          one Apply {"f:data":{"f:k":{}}}
          before-first-apply Update {"f:data":{".":{},"f:n":{},"f:q":{},"f:z":{}}}
    "#]]);
}

#[test]
fn lists_in_a_deployment() {
    let spec = |containers: Value| json!({"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}}});
    let containers = "/spec/template/spec/containers";
    let mut story = Story::of(builtin("deployments"));
    story
        .apply(
            "one",
            containers,
            spec(json!([{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}])),
            false,
        )
        .apply(
            "one",
            containers,
            spec(json!([{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}]}, {"name": "side", "image": "s"}])),
            false,
        )
        .apply("two", containers, json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}}}), false)
        .apply("two", containers, json!({"spec": {"template": {"spec": {"containers": [{"name": "third", "image": "t"}]}}}}), false)
        .apply("two", containers, json!({"spec": {"replicas": 2}}), false)
        .update("scaler", "/spec/replicas", |o| o["spec"]["replicas"] = 5.into())
        .apply(
            "two",
            containers,
            json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "side", "image": "z"}]}}}}),
            false,
        )
        .apply("two", containers, json!({"spec": {"template": {"spec": {"containers": [{"name": "x"}, {"name": "x"}]}}}}), false)
        .apply("two", containers, json!({"spec": {"template": {"spec": {"containers": "x"}}}}), false)
        .apply("two", containers, json!({"spec": {"foo": 1, "replicas": "x"}, "metadata": {"labels": {"a": 1}}}), false)
        .update("status", "/status", |o| o["status"]["replicas"] = 1.into());
    story.check(expect![[r#"
        one applies: [{"env":[{"name":"A","value":"1"}],"image":"i:1","name":"c","ports":[{"containerPort":80}],"resources":{}}]
          one Apply {"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:env":{"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}}
        one applies: [{"image":"i:1","name":"c","ports":[{"containerPort":80}],"resources":{}},{"image":"s","name":"side","resources":{}}]
          one Apply {"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}
        two applies: 409 Apply failed with 1 conflict: conflict with "one": .spec.template.spec.containers[name="c"].image
        two applies: [{"image":"i:1","name":"c","ports":[{"containerPort":80}],"resources":{}},{"image":"s","name":"side","resources":{}},{"image":"t","name":"third","resources":{}}]
          one Apply {"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}
          two Apply {"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"third\"}":{".":{},"f:image":{},"f:name":{}}}}}}}
        two applies: [{"image":"i:1","name":"c","ports":[{"containerPort":80}],"resources":{}},{"image":"s","name":"side","resources":{}}]
          one Apply {"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}
          two Apply {"f:spec":{"f:replicas":{}}}
        scaler updates: 5
          one Apply {"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}
          scaler Update {"f:spec":{"f:replicas":{}}}
        two applies: 409 Apply failed with 2 conflicts: conflicts with "one":
        - .spec.template.spec.containers[name="side"].image
        conflicts with "scaler" using apps/v1:
        - .spec.replicas
        two applies: 500 failed to create typed patch object (/a; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="x"]
        two applies: 500 failed to create typed patch object (/a; apps/v1, Kind=Deployment): .spec.template.spec.containers: expected list, got &{x}
        two applies: 500 failed to create typed patch object (/a; apps/v1, Kind=Deployment): errors:
          .metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}
          .spec.foo: field not declared in schema
          .spec.replicas: expected numeric (int or float), got string
        status updates: {"replicas":1}
          one Apply {"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}},"k:{\"name\":\"side\"}":{".":{},"f:image":{},"f:name":{}}}}}}}
          scaler Update {"f:spec":{"f:replicas":{}}}
    "#]]);
}

#[test]
fn created_without_apply() {
    let mut story = Story::of(builtin("pods"));
    story.update("kubectl-run", "/spec/volumes", |o| {
        o["metadata"]["labels"] = json!({"run": "a"});
        o["spec"] = json!({"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "emptyDir": {}}]});
    });
    story.check(expect![[r#"
        kubectl-run updates: [{"emptyDir":{},"name":"v"}]
          kubectl-run Update {"f:metadata":{"f:labels":{".":{},"f:run":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:resources":{}}},"f:volumes":{".":{},"k:{\"name\":\"v\"}":{".":{},"f:emptyDir":{},"f:name":{}}}}}
    "#]]);
}

#[test]
fn custom_resources() {
    let gizmos = gizmos();
    let mut story = Story::of(&gizmos);
    story
        .apply("one", "/spec", json!({"spec": {"size": 1, "tags": ["a", "b"], "parts": [{"name": "x", "count": 1}, {"name": "y"}], "free": {"a": {"b": 1}, "l": [1]}}}), false)
        .apply("two", "/spec", json!({"spec": {"size": 1, "tags": ["b", "c"], "parts": [{"name": "y", "count": 2}], "free": {"a": {"c": 1}}}}), false)
        .apply("one", "/spec", json!({"spec": {"size": 1, "tags": ["b"], "parts": [{"name": "x", "count": 1}], "free": {"l": [1]}}}), false)
        .apply("two", "/spec", json!({"spec": {"size": 2}}), false)
        .update("m", "/spec", |o| o["spec"]["tags"] = json!(["z"]))
        .apply("one", "/spec", json!({"spec": {"size": "x", "nope": 1}}), false);
    story.check(expect![[r#"
        one applies: {"free":{"a":{"b":1},"l":[1]},"parts":[{"count":1,"name":"x"},{"name":"y"}],"size":1,"tags":["a","b"]}
          one Apply {"f:spec":{"f:free":{"f:a":{".":{},"f:b":{}},"f:l":{}},"f:parts":{"k:{\"name\":\"x\"}":{".":{},"f:count":{},"f:name":{}},"k:{\"name\":\"y\"}":{".":{},"f:name":{}}},"f:size":{},"f:tags":{"v:\"a\"":{},"v:\"b\"":{}}}}
        two applies: {"free":{"a":{"b":1,"c":1},"l":[1]},"parts":[{"count":1,"name":"x"},{"count":2,"name":"y"}],"size":1,"tags":["a","b","c"]}
          one Apply {"f:spec":{"f:free":{"f:a":{".":{},"f:b":{}},"f:l":{}},"f:parts":{"k:{\"name\":\"x\"}":{".":{},"f:count":{},"f:name":{}},"k:{\"name\":\"y\"}":{".":{},"f:name":{}}},"f:size":{},"f:tags":{"v:\"a\"":{},"v:\"b\"":{}}}}
          two Apply {"f:spec":{"f:free":{"f:a":{".":{},"f:c":{}}},"f:parts":{"k:{\"name\":\"y\"}":{".":{},"f:count":{},"f:name":{}}},"f:size":{},"f:tags":{"v:\"b\"":{},"v:\"c\"":{}}}}
        one applies: {"free":{"a":{"c":1},"l":[1]},"parts":[{"count":1,"name":"x"},{"count":2,"name":"y"}],"size":1,"tags":["b","c"]}
          one Apply {"f:spec":{"f:free":{"f:l":{}},"f:parts":{"k:{\"name\":\"x\"}":{".":{},"f:count":{},"f:name":{}}},"f:size":{},"f:tags":{"v:\"b\"":{}}}}
          two Apply {"f:spec":{"f:free":{"f:a":{".":{},"f:c":{}}},"f:parts":{"k:{\"name\":\"y\"}":{".":{},"f:count":{},"f:name":{}}},"f:size":{},"f:tags":{"v:\"b\"":{},"v:\"c\"":{}}}}
        two applies: 409 Apply failed with 1 conflict: conflict with "one": .spec.size
        m updates: {"free":{"a":{"c":1},"l":[1]},"parts":[{"count":1,"name":"x"},{"count":2,"name":"y"}],"size":1,"tags":["z"]}
          one Apply {"f:spec":{"f:free":{"f:l":{}},"f:parts":{"k:{\"name\":\"x\"}":{".":{},"f:count":{},"f:name":{}}},"f:size":{}}}
          two Apply {"f:spec":{"f:free":{"f:a":{".":{},"f:c":{}}},"f:parts":{"k:{\"name\":\"y\"}":{".":{},"f:count":{},"f:name":{}}},"f:size":{}}}
          m Update {"f:spec":{"f:tags":{"v:\"z\"":{}}}}
        one applies: 500 failed to create typed patch object (/a; zoo.example.com/v1, Kind=Gizmo): errors:
          .spec.nope: field not declared in schema
          .spec.size: expected numeric (int or float), got string
    "#]]);
}

#[test]
fn kubectl_takes_over_from_its_older_self() {
    let mut story = Story::of(builtin("configmaps"));
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}).to_string();
    story.update("kubectl-client-side-apply", "/data", |o| {
        o["metadata"]["annotations"] = json!({LAST_APPLIED: applied});
        o["data"] = json!({"x": "1", "y": "2"});
    });
    story.update("other", "/data", |o| o["data"]["y"] = "9".into());
    story.told.clear();
    story.apply("kubectl", "/data", json!({"data": {"x": "5"}}), false).apply(
        "kubectl",
        "/data",
        json!({"data": {"x": "6", "y": "7"}}),
        false,
    );
    story.check(expect![[r#"
        kubectl applies: {"x":"5","y":"9"}
          kubectl Apply {"f:data":{"f:x":{}}}
          kubectl-client-side-apply Update {"f:data":{},"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}}}
          other Update {"f:data":{"f:y":{}}}
        kubectl applies: 409 Apply failed with 1 conflict: conflict with "other" using v1: .data.y
    "#]]);
}

#[test]
fn wrong_objects() {
    let deployments = builtin("deployments");
    let check = |configuration: Value, expected: &str| {
        let error = apply(deployments, None, &configuration, &Story::manager("m"), false).expect_err("refused");
        assert_eq!(error.message, expected);
    };
    check(json!({"apiVersion": "apps/v2", "kind": "Deployment"}), "invalid object type: apps/v2, Kind=Deployment");
    check(json!({"kind": "Deployment"}), "invalid object type: /, Kind=Deployment");
    check(json!({"apiVersion": "v1", "kind": "Pod"}), "invalid object type: /v1, Kind=Pod");
    check(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"managedFields": [{"manager": "x"}]}}),
        "metadata.managedFields must be nil",
    );
    check(json!([]), "error decoding YAML: the configuration is not an object");
    for junk in [
        json!(null),
        json!("x"),
        json!({"metadata": 1}),
        json!({"metadata": {"managedFields": [{"fieldsV1": {"f:spec": 1, "k:{": {}}, "manager": "x"}]}}),
    ] {
        let mut new = junk.clone();
        track_update(deployments, Some(&junk), &mut new, &Story::manager("m"));
        track_update(deployments, None, &mut new, &Story::manager("m"));
        let configuration = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}});
        _ = apply(deployments, Some(&junk), &configuration, &Story::manager("m"), false);
    }
}

#[test]
fn many_updaters_are_gathered() {
    let mut story = Story::of(builtin("configmaps"));
    for n in 0..15 {
        story.update(&format!("m{n:02}"), "/data", |o| o["data"][format!("k{n}")] = "v".into());
    }
    let live = story.live.expect("live");
    let managers: Vec<&str> =
        live["metadata"]["managedFields"].as_array().expect("entries").iter().filter_map(|e| e["manager"].as_str()).collect();
    assert_eq!(managers.len(), 10);
    assert!(managers.contains(&GATHERED_NAME));
}

const GATHERED_NAME: &str = "ancient-changes";

#[test]
fn bodies() {
    let said = |body: &[u8]| read(body).map_or_else(|error| error.message, |value| value.to_string());
    assert_eq!(said(b"a: {b: 1}"), r#"{"a":{"b":1}}"#);
    assert_eq!(said(br#"{"a": 1, "a": 2}"#), r#"{"a":2}"#);
    assert_eq!(said(b""), "{}");
    assert_eq!(
        said(b"- a"),
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}"
    );
    assert_eq!(
        said(b"a: b: c"),
        "error decoding YAML: error converting YAML to JSON: yaml: mapping values are not allowed in this context"
    );
}
