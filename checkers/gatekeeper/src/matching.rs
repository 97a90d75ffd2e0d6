//! `spec.match` of constraints and mutators: which objects they are about.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/howto/#the-match-field>. All conditions must hold; one that is not
//! there holds. A condition that cannot be judged is an error, which a constraint turns into a violation.

use crate::{group_version, items, text};
use machinery::{object, selector::LabelSelector};
use serde_json::Value;

/// Where an object comes from: a request or an ExpansionTemplate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Original,
    Generated,
    /// Not said: only what matches all sources can be judged.
    Unknown,
}

type Condition = fn(&Match, &Matchable) -> Result<bool, String>;

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Original => "Original",
            Self::Generated => "Generated",
            Self::Unknown => "",
        }
    }
}

/// An object with what a match may ask beside it.
#[derive(Debug, Clone, Copy)]
pub struct Matchable<'a> {
    pub object: &'a Value,
    /// The Namespace that the object is in, where it is known.
    pub namespace: Option<&'a Value>,
    pub origin: Origin,
}

/// A parsed `match`.
#[derive(Debug, Clone, Default)]
pub struct Match {
    kinds: Vec<(Vec<String>, Vec<String>)>,
    scope: String,
    namespaces: Vec<String>,
    excluded: Vec<String>,
    labels: Option<Result<LabelSelector, String>>,
    namespace_labels: Option<Result<LabelSelector, String>>,
    name: String,
    source: String,
}

impl Match {
    /// Reads `spec.match`; null matches everything.
    pub fn read(value: &Value) -> Self {
        let texts = |list: &Value| items(list).iter().map(|one| text(one).to_owned()).collect::<Vec<_>>();
        let selector = |one: &Value| one.is_object().then(|| LabelSelector::from_object(one).map_err(|error| error.message));
        Self {
            kinds: items(&value["kinds"]).iter().map(|kind| (texts(&kind["apiGroups"]), texts(&kind["kinds"]))).collect(),
            scope: text(&value["scope"]).to_owned(),
            namespaces: texts(&value["namespaces"]),
            excluded: texts(&value["excludedNamespaces"]),
            labels: selector(&value["labelSelector"]),
            namespace_labels: selector(&value["namespaceSelector"]),
            name: text(&value["name"]).to_owned(),
            source: text(&value["source"]).to_owned(),
        }
    }

    /// Whether all conditions hold; the error says why one of them cannot be judged.
    pub fn matches(&self, target: &Matchable) -> Result<bool, String> {
        let conditions: [Condition; 8] = [
            Self::kinds,
            Self::scope,
            |this, target| Ok(this.namespaces.is_empty() || this.is_in(&this.namespaces, target).unwrap_or(true)),
            |this, target| Ok(!this.is_in(&this.excluded, target).unwrap_or(false)),
            Self::labels,
            Self::namespace_labels,
            Self::name,
            Self::source,
        ];
        for condition in conditions {
            if !condition(self, target).map_err(|why| format!("failed to run Match criteria: {why}"))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn kinds(&self, target: &Matchable) -> Result<bool, String> {
        let (group, _) = group_version(text(&target.object["apiVersion"]));
        let kind = text(&target.object["kind"]);
        let lists = |names: &[String], wanted: &str| names.is_empty() || names.iter().any(|name| name == "*" || name == wanted);
        Ok(self.kinds.is_empty() || self.kinds.iter().any(|(groups, kinds)| lists(kinds, kind) && lists(groups, group)))
    }

    fn scope(&self, target: &Matchable) -> Result<bool, String> {
        let namespaced = target.namespace.is_some() || !object::namespace(target.object).is_empty();
        let is_namespace = is_namespace(target.object);
        Ok(match self.scope.as_str() {
            "Cluster" => is_namespace || !namespaced,
            "Namespaced" => !is_namespace && namespaced,
            _ => true,
        })
    }

    /// Whether the object's namespace is one of `patterns`; `None` for what is in no namespace.
    fn is_in(&self, patterns: &[String], target: &Matchable) -> Option<bool> {
        let namespace = match target.namespace {
            _ if is_namespace(target.object) => object::name(target.object),
            Some(namespace) => object::name(namespace),
            None => object::namespace(target.object),
        };
        if namespace.is_empty() && target.namespace.is_none() && !is_namespace(target.object) {
            return None;
        }
        Some(patterns.iter().any(|pattern| glob(pattern, namespace)))
    }

    fn labels(&self, target: &Matchable) -> Result<bool, String> {
        match &self.labels {
            None => Ok(true),
            Some(selector) => selector.as_ref().map(|selector| selector.matches(object::labels(target.object))).map_err(Clone::clone),
        }
    }

    fn namespace_labels(&self, target: &Matchable) -> Result<bool, String> {
        let Some(selector) = &self.namespace_labels else { return Ok(true) };
        let is_namespace = is_namespace(target.object);
        if !is_namespace && target.namespace.is_none() && object::namespace(target.object).is_empty() {
            return Ok(true);
        }
        let selector = selector.as_ref().map_err(Clone::clone)?;
        let of = if is_namespace { Some(target.object) } else { target.namespace };
        match of {
            Some(namespace) => Ok(selector.matches(object::labels(namespace))),
            None => Err("namespace selector for namespace-scoped object but missing Namespace".to_owned()),
        }
    }

    fn name(&self, target: &Matchable) -> Result<bool, String> {
        let generated = text(&target.object["metadata"]["generateName"]);
        Ok(self.name.is_empty() || glob(&self.name, object::name(target.object)) || glob_of_prefix(&self.name, generated))
    }

    fn source(&self, target: &Matchable) -> Result<bool, String> {
        match self.source.as_str() {
            "" | "All" => Ok(true),
            wanted @ ("Original" | "Generated") => match target.origin {
                Origin::Unknown => Err(format!("source field not specified for resource {}", object::name(target.object))),
                origin => Ok(origin.name() == wanted),
            },
            other => Err(format!("invalid source field {other:?}")),
        }
    }
}

fn is_namespace(object: &Value) -> bool {
    object["kind"] == "Namespace" && group_version(text(&object["apiVersion"])).0.is_empty()
}

/// A pattern with `*` at its front, its end or both.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => text.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(begin)) => text.starts_with(begin),
        (None, None) => text == pattern,
    }
}

/// The same for a `generateName`, of which only the beginning is known.
fn glob_of_prefix(pattern: &str, text: &str) -> bool {
    pattern.ends_with('*') && glob(pattern, text)
}
