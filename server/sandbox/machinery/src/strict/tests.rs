//! The answers of kube-apiserver 1.34 to the same bodies.

use super::{
    FieldValidation::{Strict, Warn},
    *,
};
use crate::{resource::CustomDefinition, scheme::Scheme};
use expect_test::{Expect, expect};
use serde_json::json;
use std::sync::Arc;

fn builtin(plural: &str) -> &'static Arc<Resource> {
    Scheme::builtin().iter().find(|r| r.plural == plural).expect(plural)
}

fn said(outcome: Result<Decoded, ApiError>) -> String {
    match outcome {
        Ok(decoded) if decoded.warnings.is_empty() => "taken".to_owned(),
        Ok(decoded) => decoded.warnings.join("; "),
        Err(error) => format!("{} {}", error.code, error.message),
    }
}

#[test]
fn refusals() {
    let cases = [
        (
            "pods",
            Strict,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","foo":1},"spec":{"containers":[{"name":"a","name":"b","image":"x","zz":{"y":1}}]},"extra":1}"#,
        ),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","foo":1},"spec":{"containers":[{"name":"a","name":"b","image":"x","zz":{"y":1}}]},"extra":1}"#,
        ),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":5}]}}"#),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"x","resources":{"limits":{"cpu":"abc"}}}]}}"#,
        ),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","creationTimestamp":"yesterday"},"spec":{"containers":[{"name":"a","image":"x"}]}}"#,
        ),
        ("pods", Warn, r#"{"kind":"Pod","metadata":{"name":"a"}}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Podd","metadata":{"name":"a"}}"#),
        ("pods", Warn, r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"}}"#),
        ("pods", Warn, r#"{"#),
        ("pods", Warn, r#""#),
        ("pods", Warn, r#"[]"#),
        ("pods", Warn, r#""x""#),
        ("pods", Warn, r#"{"a":}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod"} x"#),
        ("pods", Warn, r#"{"apiVersion":1,"kind":"Pod"}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":{"a":1}}}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod","metadata":"x"}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"a":1}},"spec":{"containers":[]}}"#),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"terminationGracePeriodSeconds":1.5,"containers":[]}}"#,
        ),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"terminationGracePeriodSeconds":99999999999999999999,"containers":[]}}"#,
        ),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"dnsPolicy":1,"hostNetwork":"yes","containers":[]}}"#,
        ),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"x","livenessProbe":{"httpGet":{"port":true}}}]}}"#,
        ),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"x","livenessProbe":{"httpGet":{"port":1.5}}}]}}"#,
        ),
        ("secrets", Warn, r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"a":"!!"}}"#),
        ("secrets", Warn, r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"data":{"a":5}}"#),
        ("deployments", Warn, r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":"3","foo":1}}"#),
        ("deployments", Warn, r#"{"apiVersion":"extensions/v1beta1","kind":"Deployment"}"#),
        (
            "pods",
            Warn,
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"a":"b","a":"c"}},"spec":{"containers":[{"name":"a","image":"x"}]}}"#,
        ),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","creationTimestamp":5}}"#),
        ("pods", Warn, r#"{"apiVersion":"a/b/c","kind":"Pod","metadata":{"name":"a"}}"#),
        ("pods", Warn, r#"{"apiVersion":"v1","kind":"Pod","Metadata":{"name":"a"},"spec":null}"#),
    ];
    let lines: String = cases
        .iter()
        .map(|(plural, validation, body)| format!("{}\n", said(decode(builtin(plural), Format::Json, body.as_bytes(), *validation))))
        .collect();
    expect![[r#"
        400 Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "metadata.foo", duplicate field "spec.containers[0].name", unknown field "spec.containers[0].zz", unknown field "extra"
        unknown field "metadata.foo"; duplicate field "spec.containers[0].name"; unknown field "spec.containers[0].zz"; unknown field "extra"
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string
        400 Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
        400 Pod in version "v1" cannot be handled as a Pod: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"
        taken
        400 Podd in version "v1" cannot be handled as a Pod: no kind "Podd" is registered for version "v1" in scheme "pkg/runtime/scheme.go:110"
        400 Deployment in version "v1" cannot be handled as a Pod: converting (v1.Deployment) to (core.Pod): unknown conversion
        400 Service in version "v1" cannot be handled as a Pod: converting (v1.Service) to (core.Pod): unknown conversion
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({)
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (227822)
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: invalid character '}' looking for beginning of value ({"a":})
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: invalid character 'x' after top-level value ({"apiVersion":"v1","kind":"Pod ...)
        400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .apiVersion of type string ({"apiVersion":1,"kind":"Pod"})
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field Pod.metadata of type v1.ObjectMeta
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number 99999999999999999999 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field PodSpec.spec.dnsPolicy of type v1.DNSPolicy
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number 1.5 into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32
        400 Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0
        400 Secret in version "v1" cannot be handled as a Secret: json: cannot unmarshal number into Go struct field Secret.data of type []uint8
        400 Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
        400 the API version in the data (extensions/v1beta1) does not match the expected API version (apps/v1)
        duplicate field "metadata.labels.a"
        400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string
        400 the object provided is unrecognized (must be of type Pod): unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c","kind":" ...)
        unknown field "Metadata"
    "#]].assert_eq(&lines);
}

#[test]
fn yaml_bodies() {
    let pods = builtin("pods");
    let twice = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nmetadata: {name: b}\nspec: {containers: [{name: a, image: b, foo: c}]}";
    let check =
        |body: &str, validation, expected: Expect| expected.assert_eq(&said(decode(pods, Format::Yaml, body.as_bytes(), validation)));
    check(
        twice,
        Strict,
        expect![[r#"
        400 Pod in version "v1" cannot be handled as a Pod: strict decoding error: yaml: unmarshal errors:
          line 4: key "metadata" already set in map, unknown field "spec.containers[0].foo""#]],
    );
    check(twice, Warn, expect![[r#"line 4: key "metadata" already set in map; unknown field "spec.containers[0].foo""#]]);
    check(
        "- a",
        Warn,
        expect![[
            r#"400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (2d2061)"#
        ]],
    );
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}",
        Warn,
        expect![[
            r#"400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"#
        ]],
    );
    check(
        "a: b: c",
        Warn,
        expect![
            "400 the object provided is unrecognized (must be of type Pod): yaml: mapping values are not allowed in this context (613a20623a2063)"
        ],
    );
    check("", Warn, expect!["taken"]);
    check(r#"{"apiVersion": "v1", "kind": "Pod"}"#, Warn, expect!["taken"]);
}

#[test]
fn written_back() {
    let check = |plural: &str, body: Value, expected: Value| {
        let mut object = body.clone();
        super::check(builtin(plural), &mut object, Strict).unwrap_or_else(|e| panic!("{body}: {e}"));
        let mut again = object.clone();
        super::check(builtin(plural), &mut again, Strict).expect("stable");
        assert_eq!(object, again, "decoding is stable");
        let object = object.as_object_mut().expect("object");
        object.retain(|key, _| !matches!(key.as_str(), "apiVersion" | "kind"));
        assert_eq!(Value::Object(object.clone()), expected, "{body}");
    };
    check(
        "pods",
        json!({"metadata": {"name": "a", "labels": {}, "creationTimestamp": null}, "spec": {"containers": [
            {"name": "c", "image": "", "command": [], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi", "nvidia.com/gpu": 1}}, "securityContext": {}}],
            "hostNetwork": false, "terminationGracePeriodSeconds": 0, "nodeName": ""}}),
        json!({"metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}}, "securityContext": {}}],
            "terminationGracePeriodSeconds": 0}, "status": {}}),
    );
    check(
        "deployments",
        json!({}),
        json!({"metadata": {}, "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}}, "status": {}}),
    );
    check("clusterroles", json!({"metadata": {"name": "a"}}), json!({"metadata": {"name": "a"}, "rules": null}));
    check(
        "services",
        json!({"spec": {"ports": [{"port": 80}]}}),
        json!({"metadata": {}, "spec": {"ports": [{"port": 80, "targetPort": 0}]}, "status": {"loadBalancer": {}}}),
    );
    check(
        "leases",
        json!({"spec": {"renewTime": "2026-01-02T03:04:05.123456Z", "leaseDurationSeconds": 0}}),
        json!({"metadata": {}, "spec": {"renewTime": "2026-01-02T03:04:05.123456Z", "leaseDurationSeconds": 0}}),
    );
    check(
        "secrets",
        json!({"data": {"a": "YQ==", "b": ""}, "stringData": {"c": "d"}}),
        json!({"metadata": {}, "data": {"a": "YQ==", "b": ""}, "stringData": {"c": "d"}}),
    );
    let schema = json!({"type": "object", "default": {"a": 1}, "additionalProperties": true, "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"a": {"type": "array", "items": {"type": "integer", "minimum": 0}}}});
    let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]);
    check(
        "customresourcedefinitions",
        json!({"spec": {"group": "g", "scope": "Cluster", "names": {"kind": "K", "plural": "ks"}, "versions": versions}}),
        json!({"metadata": {}, "spec": {"group": "g", "scope": "Cluster", "names": {"kind": "K", "plural": "ks"}, "versions": versions},
            "status": {"conditions": null, "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": null}}),
    );
}

fn gizmos() -> Resource {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"}, "color": {"type": "string"}, "opt": {"type": "string", "nullable": true},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "labels": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}}}}});
    Resource {
        group: "zoo.example.com".into(),
        plural: "gizmos".into(),
        kind: "Gizmo".into(),
        custom: Some(Arc::new(CustomDefinition::new(schema, Vec::new(), false, Vec::new()))),
        ..(**builtin("deployments")).clone()
    }
}

#[test]
fn custom_resources() {
    let with = |rest: &str| format!(r#"{{"apiVersion":"zoo.example.com/v1","kind":"Gizmo","metadata":{{"name":"a"}},{rest}}}"#);
    let cases = [
        (Strict, with(r#""spec":{"size":1,"foo":1,"free":{"a":1},"size":2},"top":1"#)),
        (Warn, with(r#""spec":{"size":1,"foo":1,"free":{"a":1},"size":2},"top":1"#)),
        (Strict, with(r#""spec":{"parts":[{"name":"q","zz":1}],"labels":{"x":{"a":"b","c":1}}}"#)),
        (Strict, r#"{"apiVersion":"zoo.example.com/v1","kind":"Gizmo","metadata":{"name":"a","foo":1}}"#.to_owned()),
        (Warn, r#"{"apiVersion":"zoo.example.com/v2","kind":"Gizmo","metadata":{"name":"a"}}"#.to_owned()),
        (Warn, r#"{"apiVersion":"zoo.example.com/v1","kind":"Gizmoo","metadata":{"name":"a"}}"#.to_owned()),
        (Warn, r#"{"kind":"Gizmo","metadata":{"name":"a"}}"#.to_owned()),
        (Warn, r#"{"apiVersion":"zoo.example.com/v1","kind":"Gizmo","metadata":{"name":5}}"#.to_owned()),
        (Warn, r#"{"apiVersion":"zoo.example.com/v1","kind":"Gizmo","metadata":"x"}"#.to_owned()),
        (Warn, r#"{"apiVersion":"zoo.example.com/v1","kind":"Gizmo","metadata":{"name":"a","labels":{"x":1}}}"#.to_owned()),
        (Warn, r#"{"apiVersion":"zoo.example.com/v1""#.to_owned()),
    ];
    let gizmos = gizmos();
    let lines: String =
        cases.iter().map(|(validation, body)| format!("{}\n", said(decode(&gizmos, Format::Json, body.as_bytes(), *validation)))).collect();
    expect![[r#"
        400 Gizmo in version "v1" cannot be handled as a Gizmo: strict decoding error: duplicate field "spec.size", unknown field "spec.foo", unknown field "top"
        duplicate field "spec.size"; unknown field "spec.foo"; unknown field "top"
        400 Gizmo in version "v1" cannot be handled as a Gizmo: strict decoding error: unknown field "spec.labels.x.c", unknown field "spec.parts[0].zz"
        400 Gizmo in version "v1" cannot be handled as a Gizmo: strict decoding error: unknown field "metadata.foo"
        400 the API version in the data (zoo.example.com/v2) does not match the expected API version (zoo.example.com/v1)
        422 Gizmoo.zoo.example.com "a" is invalid: kind: Invalid value: "Gizmoo": must be Gizmo
        400 the API version in the data () does not match the expected API version (zoo.example.com/v1)
        400 Gizmo in version "v1" cannot be handled as a Gizmo: json: cannot unmarshal number into Go struct field ObjectMeta.name of type string
        400 Gizmo in version "v1" cannot be handled as a Gizmo: json: cannot unmarshal string into Go value of type v1.ObjectMeta
        400 Gizmo in version "v1" cannot be handled as a Gizmo: json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string
        400 the object provided is unrecognized (must be of type Gizmo): couldn't get version/kind; json parse error: unexpected end of JSON input ({"apiVersion":"zoo.example.com ...)
    "#]].assert_eq(&lines);
    let body = with(r#""spec":{"size":null,"opt":null,"foo":1,"parts":[{"name":"q","zz":1}],"color":5}"#);
    let decoded = decode(&gizmos, Format::Json, body.as_bytes(), FieldValidation::Ignore).expect("decoded");
    assert_eq!(decoded.object["spec"], json!({"opt": null, "parts": [{"name": "q"}], "color": 5}));
    assert!(decoded.warnings.is_empty());
}

#[test]
fn no_bytes_can_break_it() {
    let bodies: Vec<Vec<u8>> = vec![
        vec![0xff, 0xfe],
        b"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"\\ud800\"}}".to_vec(),
        "{\"spec\":".repeat(5_000).into_bytes(),
        format!("{{\"spec\":{}{}}}", "[".repeat(190), "]".repeat(190)).into_bytes(),
        format!("{{\"metadata\":{{\"labels\":{{{}}}}}}}", (0..2_000).map(|n| format!("\"k\":\"{n}\"")).collect::<Vec<_>>().join(","))
            .into_bytes(),
    ];
    for body in bodies {
        for format in [Format::Json, Format::Yaml] {
            for resource in [&**builtin("pods"), &gizmos()] {
                _ = said(decode(resource, format, &body, Strict));
            }
        }
    }
}

#[test]
fn kinds_of_subresources() {
    let body = br#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"a"},"spec":{"replicas":3}}"#;
    let decoded = decode_kind("autoscaling", "v1", "Scale", Format::Json, body, Strict).expect("scale");
    assert_eq!(decoded.object["spec"]["replicas"], 3);
    let options = decode_kind("", "v1", "DeleteOptions", Format::Json, br#"{"propagationPolicy":"Orphan"}"#, Strict).expect("options");
    assert_eq!(options.object["propagationPolicy"], "Orphan");
    let error = said(decode_kind("policy", "v1", "Eviction", Format::Json, b"{\"x\":1}", Strict));
    assert_eq!(error, "400 Eviction in version \"v1\" cannot be handled as a Eviction: strict decoding error: unknown field \"x\"");
}
