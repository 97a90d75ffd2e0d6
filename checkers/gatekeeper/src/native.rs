//! The engine K8sNativeValidation: a template's program in CEL, as ValidatingAdmissionPolicies have it.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/validating-admission-policy/>. `variables.params` is the constraint's
//! `spec.parameters`, `variables.anyObject` the object, or the old one where something is deleted.

use crate::{Constraint, Finding, Review, items, text};
use machinery::{
    cel::{Inputs, value},
    policy::{self, Policy},
};
use serde_json::{Value, json};

/// Prefix of the names that Gatekeeper keeps for itself.
const RESERVED: &str = "gatekeeper_internal_";

#[derive(Debug)]
pub(crate) struct Native {
    policy: Policy,
}

impl Native {
    /// Reads a `source`; `field` is where it lies. What does not compile fails when it is asked, as in Gatekeeper, and is advice here.
    pub fn read(field: &str, source: &Value, advice: &mut Vec<Finding>) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut refuse = |part: String, message: String| findings.push(Finding::new(format!("{field}.{part}"), message));
        if !source.is_object() {
            return Err(vec![Finding::new(field, "the source must be an object with `validations`")]);
        }
        for (index, condition) in items(&source["matchCondition"]).iter().enumerate() {
            let name = text(&condition["name"]);
            if name.starts_with(RESERVED) {
                refuse(format!("matchCondition[{index}].name"), format!("{name:?}: names must not begin with {RESERVED:?}"));
            }
        }
        for (index, variable) in items(&source["variables"]).iter().enumerate() {
            let name = text(&variable["name"]);
            if name.starts_with(RESERVED) || matches!(name, "params" | "anyObject") {
                refuse(format!("variables[{index}].name"), format!("{name:?} is reserved: Gatekeeper declares it itself"));
            }
        }
        let failure = source["failurePolicy"].as_str().unwrap_or("Fail");
        if !matches!(failure, "Fail" | "Ignore") {
            refuse("failurePolicy".to_owned(), format!("unrecognized failure policy {failure:?}: Fail or Ignore"));
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        if source["matchConditions"].is_array() {
            let message = "Gatekeeper does not read this field; its name is `matchCondition`";
            advice.push(Finding::new(format!("{field}.matchConditions"), message));
        }
        let mut variables = vec![
            json!({"name": "anyObject", "expression":
                r#"has(request.operation) && request.operation == "DELETE" && object == null ? oldObject : object"#}),
            json!({"name": "params", "expression":
                "dyn(!has(params.spec) ? null : !has(params.spec.parameters) ? null : params.spec.parameters)"}),
        ];
        variables.extend(items(&source["variables"]).iter().cloned());
        let policy = json!({"spec": {
            "paramKind": {"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Constraint"},
            "failurePolicy": failure,
            "variables": variables,
            "matchConditions": source["matchCondition"],
            "validations": source["validations"],
        }});
        for (part, _, message) in policy::errors_of_template(&policy) {
            advice.push(Finding::new(moved(field, &part), message));
        }
        Ok(Self { policy: Policy::compile_template(&policy) })
    }

    /// The messages of what is violated.
    pub fn run(&self, review: &Review, namespace: Option<&Value>, constraint: &Constraint) -> Vec<String> {
        let of = |field: &str| review.request.get(field).unwrap_or(&Value::Null);
        // Unlike Rego, CEL sees nothing in `object` where something is deleted.
        let object = if review.operation() == "DELETE" { &Value::Null } else { of("object") };
        let mut request = review.request.clone();
        for field in ["object", "oldObject", "uid"] {
            request.remove(field);
        }
        for field in ["name", "namespace", "subResource"] {
            request.entry(field.to_owned()).or_insert_with(|| "".into());
        }
        let mut inputs = Inputs::default();
        inputs.set("object", value::of_json(object));
        inputs.set("oldObject", value::of_json(of("oldObject")));
        inputs.set("request", value::of_json(&Value::Object(request)));
        inputs.set("params", value::of_json(&constraint.object));
        inputs.set("namespaceObject", value::of_json(namespace.unwrap_or(&Value::Null)));
        self.policy.evaluate(&inputs).denials.into_iter().map(|denial| denial.message).collect()
    }
}

/// A field of the policy that a source was made into, as a field of the source.
fn moved(field: &str, part: &str) -> String {
    let part = part.strip_prefix("spec.").unwrap_or(part);
    // Two variables stand before those of the source.
    let variable = part.strip_prefix("variables[").and_then(|rest| rest.split_once(']'));
    if let Some((index, rest)) = variable.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?.checked_sub(2)?, rest))) {
        return format!("{field}.variables[{index}]{rest}");
    }
    format!("{field}.{}", part.replacen("matchConditions", "matchCondition", 1))
}
