//! GeneratingPolicy and NamespacedGeneratingPolicy.

use super::{
    kinds::Kinds,
    library::Library,
    matching::{matches, rules},
    policy::{Exempt, Judge, annotations, conditions, exceptions, exempt, holds, invalid, program, run_of, text},
    request::{Request, text_at},
    template,
};
use crate::{Evidence, RuleResult, RuleType, Status};
use machinery::cel::Run;
use serde_json::Value;

pub(super) fn apply(policy: &Value, request: &Request, evidence: &Evidence, kinds: &Kinds<'_>) -> Vec<RuleResult> {
    let kind = if text(policy, "kind") == "NamespacedGeneratingPolicy" { "NamespacedGeneratingPolicy" } else { "GeneratingPolicy" };
    let judge = Judge { policy, kind, rule_type: RuleType::Generation, request };
    let spec = &policy["spec"];
    let namespace = text_at(policy, "/metadata/namespace");
    if !spec["matchConstraints"].is_object() || (!namespace.is_empty() && namespace != request.namespace) {
        return Vec::new();
    }
    let name = text_at(policy, "/metadata/name");
    match matches(&spec["matchConstraints"], request) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(error) => return vec![judge.result(name, Status::Error, format!("failed to execute matching: {error}"))],
    }
    match judge.generate(spec, evidence, kinds) {
        Ok(result) => result.into_iter().collect(),
        Err(error) => vec![judge.result(name, Status::Error, format!("failed to evaluate policy: {error}"))],
    }
}

impl Judge<'_> {
    /// Nothing where the conditions do not hold.
    fn generate(&self, spec: &Value, evidence: &Evidence, kinds: &Kinds<'_>) -> Result<Option<RuleResult>, String> {
        let library = Library::new(evidence, kinds, text_at(self.policy, "/metadata/namespace"));
        let mut run = run_of(&library, self.request, spec)?;
        match exempt(&mut run, &exceptions(evidence, self.kind, self.policy))? {
            Exempt::Whole { exceptions, pass } => return Ok(Some(self.exempted(exceptions, pass))),
            Exempt::Part(allowed) => run.set("exceptions", allowed),
        }
        let conditions = conditions(&spec["matchConditions"], "spec.matchConditions")?;
        if !holds(&mut run, &conditions)? {
            return Ok(None);
        }
        for (index, generation) in rules(&spec["generate"]).iter().enumerate() {
            if generation["template"].is_object() {
                self.made_from_template(&mut run, &library, &generation["template"])?;
                continue;
            }
            let program = program(text(generation, "expression")).map_err(|error| invalid("spec.generate", index, "expression", &error))?;
            run.run(&program)?;
        }
        annotations(&mut run, spec)?;
        let generated = library.generated.take();
        let result = self.result(text_at(self.policy, "/metadata/name"), Status::Pass, "policy evaluated successfully");
        Ok(Some(RuleResult { generated, ..result }))
    }

    /// Objects of a policy in a namespace are in that namespace.
    fn made_from_template(&self, run: &mut Run<'_>, library: &Library<'_>, template: &Value) -> Result<(), String> {
        let objects = template::render(template, run).map_err(|error| format!("failed to render generation template: {error}"))?;
        let own = text_at(self.policy, "/metadata/namespace");
        for object in objects {
            let namespace = match (own, text_at(&object, "/metadata/namespace")) {
                ("", namespace) => namespace.to_owned(),
                (own, "") => own.to_owned(),
                (own, namespace) if own == namespace => own.to_owned(),
                (own, namespace) => {
                    return Err(format!(
                        "cross-namespace generation denied: a policy in namespace {own:?} cannot generate resources into namespace {namespace:?}"
                    ));
                }
            };
            library.add(&namespace, std::iter::once(object))?;
        }
        Ok(())
    }
}
