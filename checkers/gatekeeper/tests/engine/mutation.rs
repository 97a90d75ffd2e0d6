//! Mutators: what they refuse, and what they make of objects.

use crate::kit::document;
use gatekeeper::{
    Origin,
    mutation::{Mutable, System},
};
use serde_json::Value;

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: ml, labels: {app: web}}, spec: {containers: [{name: main, image: \"nginx:1.27\"}, \
                   {name: side, image: quay.io/a/b@sha256:0123456789012345678901234567890123456789, imagePullPolicy: Never}]}}";

fn mutator(kind: &str, name: &str, spec: &str) -> Value {
    let mut given =
        document(&format!("{{apiVersion: mutations.gatekeeper.sh/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}"));
    if kind != "AssignMetadata" && given["spec"]["applyTo"].is_null() {
        given["spec"]["applyTo"] = document("[{groups: [\"\"], versions: [v1], kinds: [Pod]}]");
    }
    given
}

fn mutate(mutators: &[(&str, &str)], operation: &str) -> Result<Value, String> {
    let mut system = System::default();
    for (index, (kind, spec)) in mutators.iter().enumerate() {
        system.add(&mutator(kind, &format!("m{index}"), spec)).map_err(|finding| finding.to_string())?;
    }
    let mut pod = document(POD);
    let about = Mutable { namespace: None, origin: Origin::Original, operation };
    system.mutate(&mut pod, &about).map_err(|error| error.to_string())?;
    Ok(pod)
}

/// What is at a pointer after one mutator; the words of an error.
fn at(kind: &str, spec: &str, pointer: &str) -> String {
    match mutate(&[(kind, spec)], "CREATE") {
        Ok(pod) => pod.pointer(pointer).map_or_else(|| "nothing".to_owned(), Value::to_string),
        Err(error) => error,
    }
}

#[test]
fn assign() {
    for (spec, pointer, want) in [
        ("{location: spec.hostNetwork, parameters: {assign: {value: false}}}", "/spec/hostNetwork", "false"),
        ("{location: spec.securityContext.runAsUser, parameters: {assign: {value: 7}}}", "/spec/securityContext", r#"{"runAsUser":7}"#),
        ("{location: \"spec.containers[name: main].image\", parameters: {assign: {value: a}}}", "/spec/containers/0/image", r#""a""#),
        ("{location: \"spec.containers[name: *].tty\", parameters: {assign: {value: true}}}", "/spec/containers/1/tty", "true"),
        (
            "{location: \"spec.containers[name: new].image\", parameters: {assign: {value: a}}}",
            "/spec/containers/2",
            r#"{"image":"a","name":"new"}"#,
        ),
        (
            "{location: \"spec.containers[name: new]\", parameters: {assign: {value: {name: new, image: b}}}}",
            "/spec/containers/2/image",
            r#""b""#,
        ),
        (
            "{location: \"spec.containers[name: main]\", parameters: {assign: {value: {name: main}}}}",
            "/spec/containers/0",
            r#"{"name":"main"}"#,
        ),
        ("{location: 'spec.nodeSelector.\"a.b/c\"', parameters: {assign: {value: x}}}", "/spec/nodeSelector", r#"{"a.b/c":"x"}"#),
        ("{location: spec.hostname, parameters: {assign: {fromMetadata: {field: name}}}}", "/spec/hostname", r#""web""#),
        ("{location: spec.subdomain, parameters: {assign: {fromMetadata: {field: namespace}}}}", "/spec/subdomain", r#""ml""#),
        (
            "{location: \"spec.containers[name: *].imagePullPolicy\", parameters: {assign: {value: Always}, \
             pathTests: [{subPath: \"spec.containers[name: *].imagePullPolicy\", condition: MustNotExist}]}}",
            "/spec/containers/1/imagePullPolicy",
            r#""Never""#,
        ),
        (
            "{location: spec.securityContext.runAsUser, parameters: {assign: {value: 7}, pathTests: [{subPath: spec.securityContext, condition: MustExist}]}}",
            "/spec/securityContext",
            "nothing",
        ),
        ("{location: spec.a, match: {namespaces: [other]}, parameters: {assign: {value: 1}}}", "/spec/a", "nothing"),
        ("{location: spec.a, match: {scope: Namespaced, namespaces: [m*]}, parameters: {assign: {value: 1}}}", "/spec/a", "1"),
        (
            "{location: spec.a, applyTo: [{groups: [apps], versions: [v1], kinds: [Pod]}], parameters: {assign: {value: 1}}}",
            "/spec/a",
            "nothing",
        ),
        (
            "{location: spec.a, applyTo: [{groups: [\"\"], versions: [v1], kinds: [Pod], operations: [UPDATE]}], parameters: {assign: {value: 1}}}",
            "/spec/a",
            "nothing",
        ),
        (
            "{location: spec.a, applyTo: [{groups: [\"\"], versions: [v1], kinds: [Pod], operations: [\"*\"]}], parameters: {assign: {value: 1}}}",
            "/spec/a",
            "1",
        ),
        (
            "{location: spec.containers.name, parameters: {assign: {value: 1}}}",
            "/spec",
            "mutator Assign m0 failed: mismatch between path entry (type: object) and received object (type: list). Path: spec.containers.name",
        ),
    ] {
        assert_eq!(at("Assign", spec, pointer), want, "{spec}");
    }
}

#[test]
fn other_mutators() {
    for (kind, spec, pointer, want) in [
        (
            "AssignMetadata",
            "{location: metadata.labels.owner, parameters: {assign: {value: me}}}",
            "/metadata/labels",
            r#"{"app":"web","owner":"me"}"#,
        ),
        ("AssignMetadata", "{location: metadata.labels.app, parameters: {assign: {value: me}}}", "/metadata/labels", r#"{"app":"web"}"#),
        (
            "AssignMetadata",
            "{location: 'metadata.annotations.\"a/b\"', parameters: {assign: {value: me}}}",
            "/metadata/annotations",
            r#"{"a/b":"me"}"#,
        ),
        (
            "ModifySet",
            "{location: spec.finals, parameters: {operation: merge, values: {fromList: [a, b]}}}",
            "/spec/finals",
            r#"["a","b"]"#,
        ),
        (
            "ModifySet",
            "{location: \"spec.containers[name: *].args\", parameters: {values: {fromList: [a]}}}",
            "/spec/containers/1/args",
            r#"["a"]"#,
        ),
        ("ModifySet", "{location: spec.gone.list, parameters: {operation: prune, values: {fromList: [a]}}}", "/spec/gone", "{}"),
        (
            "ModifySet",
            "{location: spec.containers, parameters: {operation: prune, values: {fromList: [{name: main, image: \"nginx:1.27\"}]}}}",
            "/spec/containers/0/name",
            r#""side""#,
        ),
        (
            "ModifySet",
            "{location: metadata.labels, parameters: {values: {fromList: [a]}}}",
            "",
            "spec.location: ModifySet can't change metadata; AssignMetadata adds labels and annotations",
        ),
        (
            "AssignImage",
            "{location: \"spec.containers[name: main].image\", parameters: {assignDomain: mirror.io}}",
            "/spec/containers/0/image",
            r#""mirror.io/nginx:1.27""#,
        ),
        (
            "AssignImage",
            "{location: \"spec.containers[name: side].image\", parameters: {assignTag: \":2\"}}",
            "/spec/containers/1/image",
            r#""quay.io/a/b:2""#,
        ),
        (
            "AssignImage",
            "{location: \"spec.containers[name: side].image\", parameters: {assignPath: c/d, assignDomain: \"localhost:5000\"}}",
            "/spec/containers/1/image",
            r#""localhost:5000/c/d@sha256:0123456789012345678901234567890123456789""#,
        ),
        (
            "AssignImage",
            "{location: \"spec.containers[name: new].image\", parameters: {assignPath: a}}",
            "/spec/containers/2/image",
            r#""a""#,
        ),
    ] {
        assert_eq!(at(kind, spec, pointer), want, "{spec}");
    }
}

#[test]
fn what_mutators_refuse() {
    let refused = |kind: &str, spec: &str, want: &str| assert_eq!(at(kind, spec, "/none"), want, "{spec}");
    let value = "parameters: {assign: {value: 1}}";
    for (location, want) in [
        ("a..b", "invalid location format `a..b`: unexpected token: expected field name or eof, got: \".\""),
        ("a.", "invalid location format `a.`: trailing separators are forbidden"),
        ("a[b]", "invalid location format `a[b]`: unexpected token: expected ':' following keyField b, got: \"]\""),
        ("a[b: c", "invalid location format `a[b: c`: unexpected token: expected ']' following listSpec, got: EOF"),
        ("a[b: c]d", "invalid location format `a[b: c]d`: unexpected token: expected '.' or eof, got: \"d\""),
        ("a$", "invalid location format `a$`: error at position 1: invalid character: '$'"),
        ("metadata.name", "Assign can't change metadata; AssignMetadata adds labels and annotations"),
        ("a[name: b].name", "invalid path format: changing the item key is not allowed"),
        ("", "empty path"),
    ] {
        refused("Assign", &format!("{{location: '{location}', {value}}}"), &format!("spec.location: {want}"));
    }
    refused("Assign", "{location: a}", "spec.parameters.assign: assign must set one of `externalData`, `value` or `fromMetadata`");
    refused(
        "Assign",
        "{location: a, parameters: {assign: {value: 1, fromMetadata: {field: name}}}}",
        "spec.parameters.assign: assign must only set one of `externalData`, `value` or `fromMetadata`",
    );
    refused(
        "Assign",
        "{location: a, parameters: {assign: {fromMetadata: {field: uid}}}}",
        "spec.parameters.assign.fromMetadata.field: field uid is not recognized: name or namespace",
    );
    refused(
        "Assign",
        "{location: 'a[b: c]', parameters: {assign: {value: {b: d}}}}",
        "spec.parameters.assign.value: adding object to list with different key b: object key \"d\"",
    );
    refused("Assign", "{location: 'a[b: *]', parameters: {assign: {value: {b: d}}}}", "spec.location: can't append to a globbed list");
    refused(
        "Assign",
        &format!("{{location: a, applyTo: [], {value}}}"),
        "spec.applyTo: applyTo is required: groups, versions and kinds that the mutator changes",
    );
    refused(
        "Assign",
        &format!("{{location: a, applyTo: [{{kinds: [Pod]}}], {value}}}"),
        "spec.applyTo[0]: invalid applyTo: all of groups, versions and kinds must be specified",
    );
    refused(
        "Assign",
        &format!("{{location: a, applyTo: [{{groups: [a], versions: [b], kinds: [c], operations: [DELETE]}}], {value}}}"),
        "spec.applyTo[0].operations: invalid operation \"DELETE\": must be one of CREATE, UPDATE, *",
    );
    refused(
        "Assign",
        "{location: a.b, parameters: {assign: {value: 1}, pathTests: [{subPath: c, condition: MustExist}]}}",
        "spec.parameters.pathTests[0].subPath: all subpaths must be a prefix of the `location` value of the mutation: c",
    );
    refused(
        "AssignMetadata",
        "{location: metadata.name, parameters: {assign: {value: a}}}",
        "spec.location: invalid location for AssignMetadata: metadata.name: metadata.labels.NAME or metadata.annotations.NAME",
    );
    refused(
        "AssignMetadata",
        "{location: metadata.labels.a, parameters: {assign: {value: 1}}}",
        "spec.parameters.assign.value: the value must be a string for AssignMetadata",
    );
    refused(
        "ModifySet",
        "{location: 'a[b: c]', parameters: {values: {fromList: [1]}}}",
        "spec.location: final node in a modifyset location cannot be a keyed list",
    );
    refused("AssignImage", "{location: a}", "spec.parameters: at least one of assignDomain, assignPath, assignTag must be set");
    refused(
        "AssignImage",
        "{location: a, parameters: {assignDomain: nodots}}",
        "spec.parameters.assignDomain: assignDomain \"nodots\" is no domain: a host with a dot or localhost, with a port if need be",
    );
    refused(
        "AssignImage",
        "{location: a, parameters: {assignTag: latest}}",
        "spec.parameters.assignTag: assignTag \"latest\" is neither `:tag` nor `@algorithm:digest`",
    );
    refused(
        "AssignImage",
        "{location: a, parameters: {assignPath: gcr.io/a}}",
        "spec.parameters.assignPath: assignDomain must be set if the path \"gcr.io/a\" begins with what could be taken for a domain",
    );
}

#[test]
fn mutators_together() {
    let first = ("Assign", "{location: spec.a, parameters: {assign: {value: 1}}}");
    let second = ("Assign", "{location: spec.a, parameters: {assign: {value: 2}}}");
    // By name, the last one wins in every round, and so the object comes to rest.
    assert_eq!(mutate(&[first, second], "CREATE").map(|pod| pod["spec"]["a"].clone()), Ok(2.into()));
    // What one adds the other removes: no rest.
    let grows = ("ModifySet", "{location: spec.l, parameters: {operation: merge, values: {fromList: [a]}}}");
    let shrinks = ("ModifySet", "{location: spec.l, parameters: {operation: prune, values: {fromList: [a]}}}");
    assert_eq!(mutate(&[grows, shrinks], "CREATE").map(|pod| pod["spec"]["l"].clone()), Ok(Value::Array(Vec::new())));
    // A list and an object at one place: neither is applied.
    let list = ("Assign", "{location: 'spec.b[name: x].y', parameters: {assign: {value: 1}}}");
    let object = ("Assign", "{location: spec.b.y, parameters: {assign: {value: 1}}}");
    let mut system = System::default();
    for (index, (kind, spec)) in [list, object, first].iter().enumerate() {
        system.add(&mutator(kind, &format!("m{index}"), spec)).expect("a mutator");
    }
    assert_eq!(system.conflicts().map(|mutator| mutator.name.as_str()).collect::<Vec<_>>(), ["m0", "m1"]);
    assert_eq!(
        mutate(&[list, object, first], "CREATE").map(|pod| (pod["spec"]["b"].clone(), pod["spec"]["a"].clone())),
        Ok((Value::Null, 1.into()))
    );
    // Without an operation only what is for all operations is applied.
    let updates = (
        "Assign",
        "{location: spec.c, applyTo: [{groups: [\"\"], versions: [v1], kinds: [Pod], operations: [UPDATE]}], parameters: {assign: {value: 1}}}",
    );
    for (operation, want) in [("CREATE", Value::Null), ("UPDATE", 1.into()), ("", Value::Null), ("DELETE", Value::Null)] {
        assert_eq!(mutate(&[updates], operation).map(|pod| pod["spec"]["c"].clone()), Ok(want), "{operation}");
    }
}
