//! Which resource a kind is: `Pod` is `pods`. Kinds that are not built in are asked of the definitions in the evidence, else guessed as
//! client-go guesses.

use crate::{Evidence, trigger::KindOf};
use machinery::{Resource, Scheme};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static BUILT_IN: LazyLock<Scheme> = LazyLock::new(Scheme::default);

#[derive(Debug)]
pub(super) struct Kinds<'a> {
    evidence: &'a Evidence,
}

impl<'a> Kinds<'a> {
    pub fn new(evidence: &'a Evidence) -> Self {
        Self { evidence }
    }

    pub fn built_in(kind: &KindOf) -> Option<&'static Arc<Resource>> {
        let api_version = if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) };
        BUILT_IN.for_kind(&api_version, &kind.kind)
    }

    pub fn resource_of(&self, kind: &KindOf) -> String {
        if let Some(resource) = Self::built_in(kind) {
            return resource.plural.to_string();
        }
        let defined = self.evidence.objects.iter().find(|object| {
            object["kind"] == "CustomResourceDefinition"
                && object["spec"]["group"] == kind.group.as_str()
                && object["spec"]["names"]["kind"] == kind.kind.as_str()
        });
        match defined.and_then(|object| object["spec"]["names"]["plural"].as_str()) {
            Some(plural) => plural.to_owned(),
            None => guess(&kind.kind),
        }
    }
}

/// The namespace of an object; objects of built-in kinds that must have one and name none are in `default`.
pub(super) fn namespace_of(kind: &KindOf, object: &Value) -> String {
    match object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default() {
        "" if Kinds::built_in(kind).is_none_or(|resource| resource.namespaced) => "default".to_owned(),
        namespace => namespace.to_owned(),
    }
}

fn guess(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.chars().last() {
        _ if lower == "endpoints" => lower,
        Some('s') => format!("{lower}es"),
        Some('y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}
