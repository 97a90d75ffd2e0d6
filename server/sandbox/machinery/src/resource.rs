//! What is served under one plural name in one group and version.

use crate::validation::rules::Rules;
use serde_json::Value;
use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

type Text = Cow<'static, str>;

/// A resource as discovery lists it. Built-in ones are constants of [`crate::scheme`]; a CustomResourceDefinition makes more.
#[derive(Debug, Clone)]
pub struct Resource {
    pub group: Text,
    pub version: Text,
    /// Plural, as in the request path.
    pub plural: Text,
    pub singular: Text,
    pub kind: Text,
    pub namespaced: bool,
    pub short_names: Vec<Text>,
    pub categories: Vec<Text>,
    pub verbs: &'static [&'static str],
    pub subresources: Vec<Subresource>,
    /// Group and version that objects are stored in, where it differs from what is served here
    /// (`events.k8s.io/v1` and `v1` share storage). `None`: stored as served.
    pub storage: Option<(Text, Text)>,
    /// Set for kinds that a CustomResourceDefinition made.
    pub custom: Option<Arc<CustomDefinition>>,
}

/// `status`, `scale`, `log`, `exec`, …
#[derive(Debug, Clone)]
pub struct Subresource {
    pub name: Text,
    /// Group, version and kind of what it takes and gives, where that is not the resource's own.
    pub group: Text,
    pub version: Text,
    pub kind: Text,
    pub verbs: &'static [&'static str],
}

/// The part of one CRD version that serving it needs.
#[derive(Debug, Default)]
pub struct CustomDefinition {
    /// `openAPIV3Schema` of this version; null where the CRD names none.
    pub schema: Value,
    /// `additionalPrinterColumns` of this version.
    pub columns: Vec<Value>,
    pub preserve_unknown_fields: bool,
    /// `selectableFields` of this version, as JSON paths: `.spec.color`.
    pub selectable_fields: Vec<String>,
    /// Compiled when the first object is judged.
    rules: OnceLock<Option<Rules>>,
}

impl CustomDefinition {
    pub fn new(schema: Value, columns: Vec<Value>, preserve_unknown_fields: bool, selectable_fields: Vec<String>) -> Self {
        Self { schema, columns, preserve_unknown_fields, selectable_fields, rules: OnceLock::new() }
    }

    /// The rules that the schema states in CEL.
    pub fn rules(&self) -> Option<&Rules> {
        self.rules.get_or_init(|| Rules::compile(&self.schema)).as_ref()
    }
}

impl Resource {
    /// `v1` or `apps/v1`, as in `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// `deployments.apps`, or `pods` in the core group.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|s| s.name == name)
    }
}
