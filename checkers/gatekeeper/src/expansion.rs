//! ExpansionTemplates: judging a workload by the objects that it would create.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/expansion/>. What an object is expanded to is mutated, and expanded in its
//! turn.

use crate::{
    Finding, Origin, group_version, items,
    mutation::{ApplyTo, Mutable, MutationError, System},
    text,
};
use machinery::object;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const GROUP: &str = "expansion.gatekeeper.sh";
/// How often what came of an expansion may be expanded again.
const DEEPEST: usize = 30;
/// Most objects that one object is expanded to.
const MOST: usize = 1_000;

/// Why an object could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    #[error("could not find source field {1:?} in resource {0}")]
    NoSource(String, String),
    #[error("maximum recursion depth of {DEEPEST} reached, or more than {MOST} objects made")]
    TooMany,
    #[error("failed to mutate resultant resource {0}: {1}")]
    Mutation(String, #[source] MutationError),
}

/// An object that another one would create.
#[derive(Debug, Clone)]
pub struct Resultant {
    pub object: Value,
    /// Name of the ExpansionTemplate.
    pub template: String,
    /// Takes the place of the constraints' actions, where it is not empty.
    pub enforcement_action: String,
}

/// All ExpansionTemplates of a cluster.
#[derive(Debug, Default)]
pub struct Expander {
    templates: BTreeMap<String, Template>,
}

#[derive(Debug)]
struct Template {
    apply_to: Vec<ApplyTo>,
    source: Vec<String>,
    /// Group, version and kind of what is made.
    group: String,
    version: String,
    kind: String,
    enforcement_action: String,
}

/// Whether an object is an ExpansionTemplate.
pub fn is_expansion_template(given: &Value) -> bool {
    group_version(text(&given["apiVersion"])).0 == GROUP && given["kind"] == "ExpansionTemplate"
}

impl Expander {
    /// Adds a template, or says what is wrong with it.
    pub fn add(&mut self, given: &Value) -> Result<(), Finding> {
        let name = object::name(given);
        if name.is_empty() || name.len() >= 64 {
            return Err(Finding::new("metadata.name", "an ExpansionTemplate needs a name of less than 64 characters"));
        }
        let spec = &given["spec"];
        if text(&spec["templateSource"]).is_empty() {
            return Err(Finding::new("spec.templateSource", "the source must be given, such as spec.template"));
        }
        let generated = &spec["generatedGVK"];
        let of = |field: &str| text(&generated[field]).to_owned();
        let (group, version, kind) = (of("group"), of("version"), of("kind"));
        if group.is_empty() && version.is_empty() && kind.is_empty() {
            return Err(Finding::new("spec.generatedGVK", "the kind that is made must be given"));
        }
        let apply_to: Vec<_> = items(&spec["applyTo"]).iter().map(ApplyTo::read).collect();
        if apply_to.is_empty() {
            return Err(Finding::new("spec.applyTo", "an ExpansionTemplate must say which kinds it expands"));
        }
        if apply_to.iter().any(|one| one.covers(&group, &version, &kind)) {
            let message = format!("the template makes {kind}, and expands it too");
            return Err(Finding::new("spec.generatedGVK", message));
        }
        let source = text(&spec["templateSource"]).split('.').map(str::to_owned).collect();
        let enforcement_action = text(&spec["enforcementAction"]).to_owned();
        let template = Template { apply_to, source, group, version, kind, enforcement_action };
        self.templates.insert(name.to_owned(), template);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// What `object` would create, with what that would create in front of it.
    pub fn expand(&self, object: &Value, namespace: Option<&Value>, mutators: &System) -> Result<Vec<Resultant>, ExpansionError> {
        let mut all = Vec::new();
        self.expand_into(object, namespace, mutators, &mut all, 0)?;
        Ok(all)
    }

    fn expand_into(
        &self,
        object: &Value,
        namespace: Option<&Value>,
        mutators: &System,
        all: &mut Vec<Resultant>,
        depth: usize,
    ) -> Result<(), ExpansionError> {
        if depth >= DEEPEST {
            return Err(ExpansionError::TooMany);
        }
        let mut made = Vec::new();
        for (name, template) in &self.templates {
            if template.apply_to.iter().any(|one| one.is_about(object)) {
                let mut resultant = template.expand(object, namespace)?;
                let about = Mutable { namespace, origin: Origin::Generated, operation: "" };
                let mutated = mutators.mutate(&mut resultant, &about);
                mutated.map_err(|error| ExpansionError::Mutation(object::name(&resultant).to_owned(), error))?;
                made.push(Resultant { object: resultant, template: name.clone(), enforcement_action: template.enforcement_action.clone() });
            }
        }
        for resultant in &made {
            self.expand_into(&resultant.object, namespace, mutators, all, depth + 1)?;
        }
        all.extend(made);
        if all.len() > MOST { Err(ExpansionError::TooMany) } else { Ok(()) }
    }
}

impl Template {
    fn expand(&self, parent: &Value, namespace: Option<&Value>) -> Result<Value, ExpansionError> {
        let source = self.source.iter().try_fold(parent, |held, step| held.get(step)).filter(|source| source.is_object());
        let name = object::name(parent);
        let Some(source) = source else { return Err(ExpansionError::NoSource(name.to_owned(), self.source.join("."))) };
        let mut made = source.clone();
        let group_version = if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) };
        made["apiVersion"] = group_version.into();
        made["kind"] = self.kind.clone().into();
        if !made["metadata"].is_object() {
            made["metadata"] = json!({});
        }
        let namespace = namespace.map_or_else(|| object::namespace(parent), object::name);
        let metadata = &mut made["metadata"];
        match namespace {
            "" => drop(metadata.as_object_mut().map(|metadata| metadata.remove("namespace"))),
            namespace => metadata["namespace"] = namespace.into(),
        }
        let dash = if self.kind.is_empty() { "" } else { "-" };
        metadata["name"] = format!("{name}{dash}{}", self.kind).to_lowercase().into();
        let (version, kind) = (object::api_version(parent), object::kind(parent));
        if !version.is_empty() && !kind.is_empty() && !name.is_empty() {
            let mut owners = items(&metadata["ownerReferences"]).to_vec();
            let is_parent = |owner: &Value| owner["apiVersion"] == version && owner["kind"] == kind && owner["name"] == name;
            if !owners.iter().any(is_parent) {
                owners.push(json!({"apiVersion": version, "kind": kind, "name": name, "uid": ""}));
            }
            metadata["ownerReferences"] = owners.into();
        }
        Ok(made)
    }
}
