//! Every resource that a cluster serves.

use crate::resource::Resource;
use std::sync::Arc;

/// The built-in resources and those of CustomResourceDefinitions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scheme {
    custom: Arc<Vec<Arc<Resource>>>,
}

impl Scheme {
    /// The built-in resources of Kubernetes 1.34.
    pub fn builtin() -> &'static [Arc<Resource>] {
        &[]
    }

    /// This scheme with `custom` in place of all custom resources.
    pub fn with_custom(custom: Vec<Arc<Resource>>) -> Self {
        Self { custom: Arc::new(custom) }
    }

    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        Self::builtin().iter().chain(self.custom.iter())
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources().find(|r| r.plural == plural && r.group == group && r.version == version)
    }

    pub fn for_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.resources().find(|r| r.kind == kind && r.group == group && r.version == version)
    }
}
