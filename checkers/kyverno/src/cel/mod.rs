//! Policies in CEL: ValidatingPolicy, MutatingPolicy, GeneratingPolicy, DeletingPolicy, ImageValidatingPolicy with their variants for one
//! namespace, and Kubernetes' own admission policies.
//!
//! ```text
//! policy, Request ──matching──► run: match conditions, exceptions, variables ──machinery::cel, library──► RuleResult
//! ```

mod admission;
mod autogen;
mod deleting;
mod generating;
mod image_ref;
mod image_validating;
mod kinds;
mod library;
mod matching;
mod mutating;
mod policy;
mod request;
mod subrule;
mod template;
#[cfg(test)]
mod tests;
mod validating;

use crate::{evidence::Evidence, result::RuleResult, trigger::Trigger};
pub(crate) use subrule::{Outcome, judge};

use kinds::Kinds;
use request::Request;
use serde_json::Value;

/// Applies the policies to the trigger. `object` is the object as earlier mutations left it, and is left as these policies mutate it.
pub(crate) fn apply(policies: &[Value], trigger: &Trigger, object: &mut Value, evidence: &Evidence) -> Vec<RuleResult> {
    let kinds = Kinds::new(evidence);
    let of = |names: &'static [&'static str]| policies.iter().filter(move |policy| names.iter().any(|name| policy["kind"] == *name));
    let bindings = |name: &'static str| policies.iter().filter(move |policy| policy["kind"] == name).collect::<Vec<_>>();
    let mut results = Vec::new();
    let mutating_bindings = bindings("MutatingAdmissionPolicyBinding");
    for policy in of(&["MutatingAdmissionPolicy"]) {
        let request = Request::new(trigger, object, evidence, &kinds);
        results.extend(admission::mutate(policy, &mutating_bindings, &request, object, evidence, &kinds));
    }
    for policy in of(&["MutatingPolicy", "NamespacedMutatingPolicy"]) {
        let request = Request::new(trigger, object, evidence, &kinds);
        results.extend(mutating::apply(policy, &request, object, evidence, &kinds));
    }
    let request = Request::new(trigger, object, evidence, &kinds);
    let validating_bindings = bindings("ValidatingAdmissionPolicyBinding");
    for policy in of(&["ValidatingAdmissionPolicy"]) {
        results.extend(admission::validate(policy, &validating_bindings, &request, evidence, &kinds));
    }
    for policy in of(&["ValidatingPolicy", "NamespacedValidatingPolicy"]) {
        results.extend(validating::apply(policy, &request, evidence, &kinds));
    }
    for policy in of(&["ImageValidatingPolicy", "NamespacedImageValidatingPolicy"]) {
        results.extend(image_validating::apply(policy, &request, evidence, &kinds));
    }
    for policy in of(&["GeneratingPolicy", "NamespacedGeneratingPolicy"]) {
        results.extend(generating::apply(policy, &request, evidence, &kinds));
    }
    for policy in of(&["DeletingPolicy", "NamespacedDeletingPolicy"]) {
        results.extend(deleting::apply(policy, &request, evidence, &kinds));
    }
    results
}
