//! Templates as definitions, constraints against their schemas, matching, and enforcement.

use crate::kit::{constraint, document, messages, template};
use expect_test::expect;
use gatekeeper::{Engine, Invalid, Match, Matchable, Origin, Review, Template};
use serde_json::{Value, json};

const ALWAYS: &str = "package p\nviolation[{\"msg\": msg}] { msg := json.marshal(input.parameters) }";

/// What makes a template wrong.
type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn templates_say_what_is_wrong_with_them() {
    let findings = |change: &dyn Fn(&mut Value)| {
        let mut given = template(ALWAYS);
        change(&mut given);
        Template::read(&given).err().into_iter().flatten().map(|finding| finding.to_string()).collect::<Vec<_>>()
    };
    let cases: [(Change, &str); 9] = [
        (&|_| {}, ""),
        (
            &|given| given["apiVersion"] = json!("v1"),
            "apiVersion: not a ConstraintTemplate of templates.gatekeeper.sh/v1, v1beta1 or v1alpha1",
        ),
        (
            &|given| given["metadata"]["name"] = json!("other"),
            "metadata.name: the name \"other\" must be the kind in lower case: \"probe\"",
        ),
        (
            &|given| given["spec"]["crd"] = json!({}),
            "spec.crd.spec.names.kind: the template does not say which kind of constraint it makes",
        ),
        (&|given| given["spec"]["targets"] = json!([]), "spec.targets: a template has exactly one target, not 0"),
        (
            &|given| given["spec"]["targets"][0]["target"] = json!("x"),
            "spec.targets[0].target: target \"x\" is not known; it is \"admission.k8s.gatekeeper.sh\"",
        ),
        (
            &|given| given["spec"]["targets"][0]["rego"] = Value::Null,
            "spec.targets[0].code: no program: give `rego`, or `code` for the engine Rego or K8sNativeValidation",
        ),
        (
            &|given| {
                given["spec"]["crd"]["spec"]["validation"]["openAPIV3Schema"] =
                    json!({"type": "object", "properties": {"a": {"items": {}}}})
            },
            "spec.crd.spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields",
        ),
        (
            &|given| {
                given["spec"]["crd"]["spec"]["validation"]["openAPIV3Schema"] =
                    json!({"type": "object", "properties": {"a": {"type": "text"}}})
            },
            "spec.crd.spec.validation.openAPIV3Schema.properties[a].type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \
             \"integer\", \"number\", \"object\", \"string\"",
        ),
    ];
    for (change, want) in cases {
        let got = findings(change);
        assert_eq!(got.first().map(String::as_str).unwrap_or_default(), want);
    }
}

#[test]
fn constraints_fit_the_schema_of_their_template() {
    let schema = json!({"type": "object", "required": ["labels"], "properties": {
        "labels": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {"key": {"type": "string"}, "allowed": {"type": "string", "default": ".*"}}}},
        "mode": {"type": "string", "enum": ["strict", "loose"], "default": "strict"},
    }});
    let judged = |version: &str, validation: Value, spec: &str| {
        let mut given = template(ALWAYS);
        given["apiVersion"] = format!("templates.gatekeeper.sh/{version}").into();
        given["spec"]["crd"]["spec"]["validation"] = validation;
        let mut engine = Engine::default();
        engine.add_template(&given).expect("a template");
        match engine.add_constraint(&constraint(spec)) {
            Ok(()) => messages(&engine, &document("{apiVersion: v1, kind: Pod, metadata: {name: a}}")).join("; "),
            Err(Invalid::Schema(findings)) => format!("schema: {}", findings[0]),
            Err(Invalid::Other(findings)) => format!("other: {}", findings[0]),
        }
    };
    let strict = || json!({"openAPIV3Schema": schema});
    let cases = [
        judged("v1", strict(), "{parameters: {labels: [{key: a}]}}"),
        judged("v1", strict(), "{parameters: {labels: []}}"),
        judged("v1", strict(), "{parameters: {}}"),
        judged("v1", strict(), "{parameters: {labels: [{key: 1}]}}"),
        judged("v1", strict(), "{parameters: {labels: [{key: a}], mode: weak}}"),
        judged("v1", strict(), "{parameters: {labels: [{key: a}], more: 1}}"),
        judged("v1", strict(), "{}"),
        judged("v1", json!({}), "{parameters: {a: 1}}"),
        judged("v1", Value::Null, "{parameters: {a: 1}}"),
        judged("v1beta1", json!({}), "{parameters: {a: 1}}"),
        judged("v1beta1", strict(), "{parameters: {labels: [{key: a, more: 1}], other: 2}}"),
        judged("v1", strict(), "{match: {kinds: [{apiGroups: a}]}, parameters: {labels: [{key: a}]}}"),
        judged("v1", strict(), "{match: {kind: [Pod]}, parameters: {labels: [{key: a}]}}"),
        judged("v1", strict(), "{match: {namespaces: [Kube_System]}, parameters: {labels: [{key: a}]}}"),
        judged("v1", strict(), "{match: {labelSelector: {matchExpressions: [{key: a, operator: Is}]}}, parameters: {labels: [{key: a}]}}"),
        judged("v1", strict(), "{enforcementAction: scoped, parameters: {labels: [{key: a}]}}"),
    ];
    expect![[r#"
        {"labels":[{"allowed":".*","key":"a"}],"mode":"strict"}
        schema: spec.parameters.labels: Invalid value: 0: spec.parameters.labels in body should have at least 1 items
        schema: spec.parameters.labels: Required value
        schema: spec.parameters.labels[0].key: Invalid value: "integer": spec.parameters.labels[0].key in body must be of type string: "integer"
        schema: spec.parameters.mode: Unsupported value: "weak": supported values: "strict", "loose"
        other: spec: Probe in version "v1beta1" cannot be handled as a Probe: strict decoding error: unknown field "spec.parameters.more"
        {}
        other: spec: Probe in version "v1beta1" cannot be handled as a Probe: strict decoding error: unknown field "spec.parameters"
        other: spec: Probe in version "v1beta1" cannot be handled as a Probe: strict decoding error: unknown field "spec.parameters"
        {"a":1}
        {"labels":[{"allowed":".*","key":"a","more":1}],"mode":"strict","other":2}
        schema: spec.match.kinds[0].apiGroups: Invalid value: "string": spec.match.kinds[0].apiGroups in body must be of type array: "string"
        other: spec: Probe in version "v1beta1" cannot be handled as a Probe: strict decoding error: unknown field "spec.match.kind"
        schema: spec.match.namespaces[0]: Invalid value: "Kube_System": spec.match.namespaces[0] in body should match '^\*?[-:a-z0-9]*\*?$'
        other: spec.match.labelSelector: "Is" is not a valid label selector operator
        other: spec.scopedEnforcementActions: missing required field: the action `scoped` needs spec.scopedEnforcementActions
    "#]].assert_eq(&(cases.join("\n") + "\n"));
}

#[test]
fn matching() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: ml-prod, labels: {app: web}}}";
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: ml-prod, labels: {team: ml}}}";
    let generated = "{apiVersion: apps/v1, kind: Deployment, metadata: {generateName: web-, namespace: other}}";
    for (text, want) in [
        ("{}", "yes yes yes yes"),
        ("{kinds: []}", "yes yes yes yes"),
        ("{kinds: [{apiGroups: [\"\"], kinds: [Pod]}]}", "yes no no no"),
        ("{kinds: [{kinds: [Node]}, {apiGroups: [apps], kinds: [\"*\"]}]}", "no yes no yes"),
        ("{kinds: [{apiGroups: [\"*\"]}]}", "yes yes yes yes"),
        ("{scope: Cluster}", "no yes yes no"),
        ("{scope: Namespaced}", "yes no no yes"),
        ("{scope: cluster}", "yes yes yes yes"),
        ("{namespaces: [ml-prod]}", "yes yes yes no"),
        ("{namespaces: [ml-*]}", "yes yes yes no"),
        ("{namespaces: [\"*-prod\"]}", "yes yes yes no"),
        ("{namespaces: [\"*l-p*\"]}", "yes yes yes no"),
        ("{namespaces: [prod]}", "no yes no no"),
        ("{excludedNamespaces: [ml-*]}", "no yes no yes"),
        ("{excludedNamespaces: [\"*\"]}", "no yes no no"),
        ("{labelSelector: {matchLabels: {app: web}}}", "yes no no no"),
        ("{labelSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}", "no yes yes yes"),
        ("{namespaceSelector: {matchLabels: {team: ml}}}", "yes yes yes error"),
        ("{namespaceSelector: {matchLabels: {team: x}}}", "no yes no error"),
        ("{name: web-1}", "yes no no no"),
        ("{name: web-*}", "yes no no yes"),
        ("{name: \"*-1\"}", "yes no no no"),
        ("{source: All}", "yes yes yes yes"),
        ("{source: Original}", "yes yes yes yes"),
        ("{source: Generated}", "no no no no"),
        ("{source: Other}", "error error error error"),
    ] {
        let matcher = Match::read(&document(text));
        let known = document(namespace);
        let got: Vec<_> = [pod, node, namespace, generated]
            .iter()
            .map(|object| {
                let object = document(object);
                let known = (object["metadata"]["namespace"] == "ml-prod").then_some(&known);
                match matcher.matches(&Matchable { object: &object, namespace: known, origin: Origin::Original }) {
                    Ok(true) => "yes",
                    Ok(false) => "no",
                    Err(_) => "error",
                }
            })
            .collect();
        assert_eq!(got.join(" "), want, "{text}");
    }
}

#[test]
fn what_cannot_be_matched_is_a_violation() {
    let mut engine = Engine::default();
    engine.add_template(&template("package p\nviolation[{\"msg\": \"no\"}] { 1 == 2 }")).expect("a template");
    engine.add_constraint(&constraint("{match: {namespaceSelector: {matchLabels: {a: b}}}}")).expect("a constraint");
    let pod = document("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n}}");
    assert_eq!(
        messages(&engine, &pod),
        ["unable to match constraints: error matching the requested object: a :failed to run Match criteria: namespace selector for \
          namespace-scoped object but missing Namespace"]
    );
    engine.add_data(&document("{apiVersion: v1, kind: Namespace, metadata: {name: n}}")).expect("data");
    assert_eq!(messages(&engine, &pod), Vec::<String>::new());
}

#[test]
fn enforcement_points() {
    let judged = |spec: &str, point: &str| {
        let mut engine = Engine::default();
        engine.add_template(&template("package p\nviolation[{\"msg\": \"a\"}] { true }")).expect("a template");
        engine.add_constraint(&constraint(spec)).expect("a constraint");
        let review = Review::of_object(&document("{apiVersion: v1, kind: Pod, metadata: {name: a}}"), Origin::Original);
        let violations = engine.review(&review, point).expect("judged");
        violations.iter().map(|one| format!("{} {:?}", one.enforcement_action, one.scoped_actions)).collect::<Vec<_>>().join(";")
    };
    let scoped = "{enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: validation.gatekeeper.sh}]}, \
                  {action: warn, enforcementPoints: [{name: \"*\"}]}]}";
    let one =
        "{enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: validation.gatekeeper.sh}]}]}";
    for (spec, point, want) in [
        ("{}", "gator.gatekeeper.sh", "deny []"),
        ("{enforcementAction: dryrun}", "gator.gatekeeper.sh", "dryrun []"),
        (scoped, "validation.gatekeeper.sh", "scoped [\"deny\", \"warn\"]"),
        (scoped, "audit.gatekeeper.sh", "scoped [\"warn\"]"),
        (one, "validation.gatekeeper.sh", "scoped [\"deny\"]"),
        (one, "gator.gatekeeper.sh", ""),
    ] {
        assert_eq!(judged(spec, point), want, "{spec} {point}");
    }
}

#[test]
fn requests() {
    let mut engine = Engine::default();
    let rego = "package p\nviolation[{\"msg\": msg}] { msg := json.marshal(input.review) }";
    engine.add_template(&template(rego)).expect("a template");
    engine.add_constraint(&constraint("{match: {kinds: [{apiGroups: [\"\"], kinds: [Pod]}]}}")).expect("a constraint");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n}}";
    let request = |fields: &str| format!("{{apiVersion: admission.k8s.io/v1, kind: AdmissionReview, request: {{{fields}}}}}");
    let said = [
        pod.to_owned(),
        request(&format!(
            "uid: u, operation: UPDATE, userInfo: {{username: jane}}, name: a, dryRun: false, object: {pod}, oldObject: {pod}"
        )),
        request(&format!("operation: DELETE, oldObject: {pod}")),
        request(&format!("operation: DELETE, object: {pod}")),
        request("operation: CREATE"),
        request(&format!("object: {pod}, more: 1")),
        request("object: {metadata: {name: a}}"),
        "{apiVersion: admission.k8s.io/v1, kind: AdmissionReview}".to_owned(),
    ]
    .map(|text| messages(&engine, &document(&text)).join("; "));
    expect![[r#"
        {"kind":{"group":"","kind":"Pod","version":"v1"},"name":"a","namespace":"n","namespaceObject":{},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}},"oldObject":null,"operation":"","options":null,"resource":{"group":"","resource":"","version":""},"uid":"","userInfo":{}}
        {"dryRun":false,"kind":{"group":"","kind":"","version":""},"name":"a","namespaceObject":{},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}},"oldObject":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}},"operation":"UPDATE","options":null,"resource":{"group":"","resource":"","version":""},"uid":"u","userInfo":{"username":"jane"}}
        {"kind":{"group":"","kind":"","version":""},"namespaceObject":{},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}},"oldObject":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"}},"operation":"DELETE","options":null,"resource":{"group":"","resource":"","version":""},"uid":"","userInfo":{}}
        error: oldObject must be there where something is deleted
        error: AdmissionReview: the request has neither object nor oldObject
        error: AdmissionReview: unknown field "request.more"
        error: AdmissionReview: object has no kind
        error: AdmissionReview: there is no request in it
    "#]].assert_eq(&(said.join("\n") + "\n"));
}
