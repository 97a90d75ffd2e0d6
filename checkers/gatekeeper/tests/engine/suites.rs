//! gator's suites and ExpansionTemplates.

use crate::kit::{constraint, document, documents, template};
use expect_test::expect;
use gatekeeper::{
    expansion::Expander,
    mutation::System,
    suite::{Outcome, Suite},
};
use serde_json::Value;

const EXPANSION: &str = "
apiVersion: expansion.gatekeeper.sh/v1beta1
kind: ExpansionTemplate
metadata: {name: pods}
spec:
  applyTo: [{groups: [apps], versions: [v1], kinds: [Deployment]}]
  templateSource: spec.template
  generatedGVK: {group: '', version: v1, kind: Pod}
  enforcementAction: warn
---
apiVersion: mutations.gatekeeper.sh/v1
kind: Assign
metadata: {name: host}
spec: {applyTo: [{groups: [''], versions: [v1], kinds: [Pod]}], location: spec.hostname, parameters: {assign: {value: from-mutator}}}
";

fn files(name: &str) -> Result<Vec<Value>, String> {
    let rego = "package p\nviolation[{\"msg\": msg}] { input.review.object.spec.hostname; msg := sprintf(\"%v: %v\", \
                [input.review.object.metadata.name, input.review.object.spec.hostname]) }\n\
                violation[{\"msg\": \"taken\"}] { data.inventory.namespace[_][_].Pod[_].spec.hostname == input.review.object.spec.hostname }";
    let mut strict = template(rego);
    strict["spec"]["crd"]["spec"]["validation"]["openAPIV3Schema"] = document("{type: object, properties: {a: {type: string}}}");
    Ok(match name {
        "template.yaml" => vec![strict],
        "constraint.yaml" => vec![constraint("{match: {kinds: [{kinds: [Pod]}]}}")],
        "wrong.yaml" => vec![constraint("{parameters: {a: 1}}")],
        "unknown.yaml" => vec![constraint("{parameters: {b: 1}}")],
        "pod.yaml" => vec![document("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n}, spec: {hostname: h}}")],
        "deployment.yaml" => documents(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n}, spec: {template: {metadata: {labels: {a: b}}, spec: {}}}}",
        ),
        "expansion.yaml" => documents(EXPANSION),
        other => return Err(format!("{other}: no such file")),
    })
}

fn run(text: &str) -> String {
    let suite = match Suite::read(&document(text)) {
        Ok(suite) => suite,
        Err(error) => return error,
    };
    let mut lines = Vec::new();
    let word = |outcome: &Outcome| match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Skipped => "skipped".to_owned(),
        Outcome::Failed(why) => format!("failed: {why}"),
    };
    for test in &suite.tests {
        let outcome = test.run(&files, &|_, _| true);
        lines.push(format!("{}: {}", outcome.name, word(&outcome.outcome)));
        lines.extend(outcome.cases.iter().map(|(name, outcome)| format!("  {name}: {}", word(outcome))));
    }
    lines.join("\n") + "\n"
}

#[test]
fn tests_and_cases() {
    let text = "
apiVersion: test.gatekeeper.sh/v1alpha1
kind: Suite
tests:
- name: cases
  template: template.yaml
  constraint: constraint.yaml
  cases:
  - {name: some, object: pod.yaml, assertions: [{}]}
  - {name: yes, object: pod.yaml, assertions: [{violations: yes}]}
  - {name: no, object: pod.yaml, assertions: [{violations: no}]}
  - {name: number, object: pod.yaml, assertions: [{violations: 1}, {violations: 1, message: \"^a: h$\"}, {violations: 0, message: taken}]}
  - {name: wrong number, object: pod.yaml, assertions: [{violations: 2, message: h}]}
  - {name: inventory, object: pod.yaml, inventory: [pod.yaml], assertions: [{violations: 2}, {message: taken}]}
  - {name: other kind, object: deployment.yaml, assertions: [{violations: no}]}
  - {name: no assertions, object: pod.yaml}
  - {name: no object, assertions: [{}]}
  - {name: no file, object: other.yaml, assertions: [{}]}
  - {name: bad regex, object: pod.yaml, assertions: [{message: \"(\"}]}
  - {name: left out, object: other.yaml, skip: true}
- {name: expanded, template: template.yaml, constraint: constraint.yaml, expansion: expansion.yaml, cases: [
    {name: pod, object: deployment.yaml, assertions: [{violations: 1, message: \"^.Implied by pods. web-pod: from-mutator$\"}]}]}
- {name: invalid, template: template.yaml, constraint: wrong.yaml, invalid: true}
- {name: valid, template: template.yaml, constraint: constraint.yaml, invalid: true}
- {name: unknown field, template: template.yaml, constraint: unknown.yaml, invalid: true}
- {name: broken, template: template.yaml, constraint: wrong.yaml}
- {name: nothing, constraint: wrong.yaml}
- {name: left out, skip: true}
";
    expect![[r#"
        cases: passed
          some: passed
          yes: passed
          no: failed: unexpected number of violations: got 1 violations but want none: got messages ["a: h"]
          number: passed
          wrong number: failed: unexpected number of violations: got 1 violations containing "h" but want exactly 2: got messages ["a: h"]
          inventory: passed
          other kind: passed
          no assertions: failed: a case must have assertions
          no object: failed: a case must define its object
          no file: failed: other.yaml: no such file
          bad regex: failed: message contains invalid regular expression: regex parse error:
            (
            ^
        error: unclosed group
          left out: skipped
        expanded: passed
          pod: passed
        invalid: passed
        valid: failed: constraint should have failed schema validation
        unknown field: failed: constraint should have failed schema validation, but: adding constraint: spec: Probe in version "v1beta1" cannot be handled as a Probe: strict decoding error: unknown field "spec.parameters.b"
        broken: failed: adding constraint: spec.parameters.a: Invalid value: "integer": spec.parameters.a in body must be of type string: "integer"
        nothing: failed: invalid Suite: missing template
        left out: skipped
    "#]].assert_eq(&run(text));
}

#[test]
fn suites_have_no_other_fields() {
    for (text, want) in [
        ("{tests: [{nam: a}]}", "tests[0].nam: a suite has no such field"),
        ("{tests: [{cases: [{asserts: []}]}]}", "tests[0].cases[0].asserts: a suite has no such field"),
        (
            "{tests: [{cases: [{assertions: [{violations: maybe}]}]}]}",
            "tests[0].cases[0].assertions[0].violations: must be a nonnegative integer, \"yes\", or \"no\", not \"maybe\"",
        ),
        (
            "{tests: [{cases: [{assertions: [{violations: -1}]}]}]}",
            "tests[0].cases[0].assertions[0].violations: must be a nonnegative integer, \"yes\", or \"no\", not -1",
        ),
    ] {
        assert_eq!(run(text), want);
    }
}

#[test]
fn expansion() {
    let given = documents(EXPANSION);
    let (mut expander, mut mutators) = (Expander::default(), System::default());
    expander.add(&given[0]).expect("a template");
    mutators.add(&given[1]).expect("a mutator");
    let object = files("deployment.yaml").expect("a file").remove(0);
    let made = expander.expand(&object, None, &mutators).expect("expanded");
    expect![[r#"{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":"b"},"name":"web-pod","namespace":"n","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":""}]},"spec":{"hostname":"from-mutator"}}"#]].assert_eq(&made[0].object.to_string());
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut changed = given[0].clone();
        change(&mut changed);
        Expander::default().add(&changed).expect_err("refused").field
    };
    assert_eq!(refused(&|template| template["metadata"]["name"] = "".into()), "metadata.name");
    assert_eq!(refused(&|template| template["spec"]["templateSource"] = "".into()), "spec.templateSource");
    assert_eq!(refused(&|template| template["spec"]["generatedGVK"] = Value::Null), "spec.generatedGVK");
    assert_eq!(refused(&|template| template["spec"]["applyTo"] = Value::Null), "spec.applyTo");
    assert_eq!(
        refused(&|template| template["spec"]["generatedGVK"] = document("{group: apps, version: v1, kind: Deployment}")),
        "spec.generatedGVK"
    );
    let without = document("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}");
    let error = expander.expand(&without, None, &mutators).expect_err("no source");
    assert_eq!(error.to_string(), "could not find source field \"spec.template\" in resource web");
}
