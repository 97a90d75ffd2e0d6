//! The engine K8sNativeValidation: programs in CEL.

use crate::kit::{constraint, document, messages, template};
use gatekeeper::{Engine, Template};
use serde_json::{Value, json};

fn native(source: Value) -> Value {
    let mut given = template("");
    given["spec"]["targets"][0] = json!({
        "target": "admission.k8s.gatekeeper.sh",
        // Rego stands beside it in many templates; CEL is asked.
        "code": [{"engine": "Rego", "source": {"rego": "package p\nviolation[{\"msg\": \"rego\"}] { true }"}}, {"engine": "K8sNativeValidation", "source": source}],
    });
    given
}

const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n}, spec: {replicas: 5}}";

fn judge(source: Value, spec: &str, object: &str) -> String {
    let mut engine = Engine::default();
    if let Err(findings) = engine.add_template(&native(source)) {
        return findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    }
    engine.add_constraint(&constraint(spec)).expect("a constraint");
    messages(&engine, &document(object)).join("; ")
}

#[test]
fn expressions() {
    let deleted =
        format!("{{apiVersion: admission.k8s.io/v1, kind: AdmissionReview, request: {{operation: DELETE, oldObject: {DEPLOYMENT}}}}}");
    let one = |expression: &str| json!({"validations": [{"expression": expression, "message": "no"}]});
    let cases = [
        (one("variables.anyObject.spec.replicas < 3"), "{}", DEPLOYMENT, "no"),
        (one("object.spec.replicas < 9"), "{}", DEPLOYMENT, ""),
        (one("variables.anyObject.spec.replicas <= variables.params.most"), "{parameters: {most: 5}}", DEPLOYMENT, ""),
        (one("variables.anyObject.spec.replicas <= variables.params.most"), "{parameters: {most: 4}}", DEPLOYMENT, "no"),
        (one("variables.params == null"), "{}", DEPLOYMENT, ""),
        (one("params.spec.parameters.most == 4"), "{parameters: {most: 4}}", DEPLOYMENT, ""),
        (one("variables.anyObject.spec.replicas == 5 && object == null && oldObject != null"), "{}", &deleted, ""),
        (one("request.operation == 'DELETE'"), "{}", &deleted, ""),
        (one("request.kind.kind == 'Deployment' && request.namespace == 'n' && request.operation == ''"), "{}", DEPLOYMENT, ""),
        (
            json!({"variables": [{"name": "most", "expression": "2 + 1"}, {"name": "held", "expression": "object.spec.replicas"}],
                "validations": [{"expression": "variables.held <= variables.most",
                    "messageExpression": "'at most ' + string(variables.most) + ', not ' + string(variables.held)"}]}),
            "{}",
            DEPLOYMENT,
            "at most 3, not 5",
        ),
        (
            json!({"validations": [{"expression": "object.spec.replicas < 3"}]}),
            "{}",
            DEPLOYMENT,
            "failed expression: object.spec.replicas < 3",
        ),
        (
            json!({"validations": [{"expression": "false", "message": "no"}],
                "matchCondition": [{"name": "few", "expression": "variables.anyObject.spec.replicas < 3"}]}),
            "{}",
            DEPLOYMENT,
            "",
        ),
        // A field of another name is not read.
        (
            json!({"validations": [{"expression": "false", "message": "no"}], "matchConditions": [{"name": "few", "expression": "false"}]}),
            "{}",
            DEPLOYMENT,
            "no",
        ),
        (
            one("object.spec.paused == true"),
            "{}",
            DEPLOYMENT,
            "expression 'object.spec.paused == true' resulted in error: no such key: paused",
        ),
        (json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.spec.paused == true"}]}), "{}", DEPLOYMENT, ""),
    ];
    for (source, spec, object, want) in cases {
        assert_eq!(judge(source.clone(), spec, object), want, "{source}");
    }
}

#[test]
fn what_is_wrong_with_a_source() {
    let field = "spec.targets[0].code[1].source";
    for (source, want) in [
        (json!({"failurePolicy": "Sometimes"}), "failurePolicy: unrecognized failure policy \"Sometimes\": Fail or Ignore"),
        (
            json!({"variables": [{"name": "params", "expression": "1"}]}),
            "variables[0].name: \"params\" is reserved: Gatekeeper declares it itself",
        ),
        (
            json!({"matchCondition": [{"name": "gatekeeper_internal_a", "expression": "true"}]}),
            "matchCondition[0].name: \"gatekeeper_internal_a\": names must not begin with \"gatekeeper_internal_\"",
        ),
    ] {
        assert_eq!(judge(source, "{}", DEPLOYMENT), format!("{field}.{want}"));
    }
    // What does not compile is accepted, and fails when it is asked.
    let source = json!({"variables": [{"name": "a", "expression": "1 +"}], "validations": [{"expression": "1"}], "matchConditions": []});
    let advice = Template::read(&native(source)).expect("a template").advice;
    let fields: Vec<_> = advice.iter().map(|finding| finding.field.as_str()).collect();
    assert_eq!(
        fields,
        [format!("{field}.matchConditions"), format!("{field}.variables[0].expression"), format!("{field}.validations[0].expression")]
    );
}
