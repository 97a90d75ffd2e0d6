//! Every resource that a cluster serves.
//!
//! `resources.txt` lists what kube-apiserver 1.34 serves by default; CustomResourceDefinitions add to it.

use crate::{
    openapi::{self, CustomDocuments},
    resource::{Resource, Subresource},
};
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock},
};

/// The verbs of an ordinary stored resource.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The verbs of `status`, `scale` and their like.
pub const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// The built-in resources and those of CustomResourceDefinitions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scheme {
    custom: Arc<Index>,
}

/// Resources in the order of discovery, found by plural name and by kind.
#[derive(Debug, Default)]
struct Index {
    resources: Vec<Arc<Resource>>,
    by_plural: HashMap<Cow<'static, str>, Vec<usize>>,
    by_kind: HashMap<Cow<'static, str>, Vec<usize>>,
    /// Built when first asked for.
    documents: OnceLock<CustomDocuments>,
}

impl Index {
    fn new(resources: Vec<Arc<Resource>>) -> Self {
        let mut index = Self { resources, ..Self::default() };
        for (at, resource) in index.resources.iter().enumerate() {
            index.by_plural.entry(resource.plural.clone()).or_default().push(at);
            index.by_kind.entry(resource.kind.clone()).or_default().push(at);
        }
        index
    }

    fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let candidates = self.by_plural.get(plural)?;
        candidates.iter().filter_map(|at| self.resources.get(*at)).find(|r| r.group == group && r.version == version)
    }

    fn for_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let candidates = self.by_kind.get(kind)?;
        candidates.iter().filter_map(|at| self.resources.get(*at)).find(|r| r.group == group && r.version == version)
    }
}

static BUILTIN: LazyLock<Index> = LazyLock::new(|| Index::new(parse(include_str!("resources.txt"))));

impl Scheme {
    /// The built-in resources of Kubernetes 1.34, in the order of discovery.
    pub fn builtin() -> &'static [Arc<Resource>] {
        &BUILTIN.resources
    }

    /// A built-in resource by group, version and plural name; lives as long as the program.
    pub fn find_builtin(group: &str, version: &str, plural: &str) -> Option<&'static Arc<Resource>> {
        BUILTIN.find(group, version, plural)
    }

    /// This scheme with `custom` in place of all custom resources.
    pub fn with_custom(custom: Vec<Arc<Resource>>) -> Self {
        Self { custom: Arc::new(Index::new(custom)) }
    }

    /// The resources that CustomResourceDefinitions made.
    pub fn custom(&self) -> &[Arc<Resource>] {
        &self.custom.resources
    }

    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        Self::builtin().iter().chain(self.custom.resources.iter())
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        BUILTIN.find(group, version, plural).or_else(|| self.custom.find(group, version, plural))
    }

    pub fn for_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        BUILTIN.for_kind(group, version, kind).or_else(|| self.custom.for_kind(group, version, kind))
    }

    /// The resource of `group` named `plural` in the version that the server prefers.
    pub fn preferred(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        let version = self.versions(group).into_iter().find(|version| self.find(group, version, plural).is_some())?;
        self.find(group, version, plural)
    }

    /// The OpenAPI documents of the group versions that hold custom resources.
    pub(crate) fn custom_documents(&self) -> &CustomDocuments {
        self.custom.documents.get_or_init(|| openapi::build_custom(self))
    }

    /// Whether a group (empty for the core) comes with the server rather than with a definition.
    pub fn is_builtin(&self, group: &str) -> bool {
        self.resources().any(|resource| resource.custom.is_none() && resource.group == group)
    }

    /// The groups in the order of discovery, the core group (an empty name) first.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for resource in Self::builtin() {
            if groups.last() != Some(&resource.group.as_ref()) {
                groups.push(&resource.group);
            }
        }
        let mut custom: Vec<&str> = self.custom().iter().map(|r| r.group.as_ref()).filter(|g| !groups.contains(g)).collect();
        custom.sort_unstable();
        custom.dedup();
        groups.extend(custom);
        groups
    }

    /// The versions of a group, the preferred one first; empty for a group that is not served.
    pub fn versions(&self, group: &str) -> Vec<&str> {
        let mut versions: Vec<&str> = Vec::new();
        for resource in Self::builtin().iter().filter(|r| r.group == group) {
            if !versions.contains(&resource.version.as_ref()) {
                versions.push(&resource.version);
            }
        }
        let mut custom: Vec<&str> =
            self.custom().iter().filter(|r| r.group == group).map(|r| r.version.as_ref()).filter(|v| !versions.contains(v)).collect();
        custom.sort_unstable_by(|a, b| version_order(a, b));
        custom.dedup();
        versions.extend(custom);
        versions
    }
}

/// Kubernetes' order of versions, the best first: v10, v2, v1, v11beta2, v3beta1, v12alpha1, then the rest by name
/// (k8s.io/apimachinery/pkg/version CompareKubeAwareVersionStrings).
pub fn version_order(a: &str, b: &str) -> std::cmp::Ordering {
    fn rank(version: &str) -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest.get(..digits)?.parse().ok()?;
        let tail = rest.get(digits..)?;
        if tail.is_empty() {
            return Some((2, major, 0));
        }
        let (level, minor) =
            tail.strip_prefix("beta").map(|minor| (1, minor)).or_else(|| tail.strip_prefix("alpha").map(|minor| (0, minor)))?;
        let minor = if minor.is_empty() { 0 } else { minor.parse().ok()? };
        Some((level, major, minor))
    }
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

fn verbs(letters: &str) -> &'static [&'static str] {
    match letters {
        "cdDglpuw" => ALL_VERBS,
        "gpu" => SUBRESOURCE_VERBS,
        "cdglpuw" => &["create", "delete", "get", "list", "patch", "update", "watch"],
        "cdgpu" => &["create", "delete", "get", "patch", "update"],
        "cg" => &["create", "get"],
        "gl" => &["get", "list"],
        "c" => &["create"],
        "g" => &["get"],
        "u" => &["update"],
        _ => &[],
    }
}

/// Reads `resources.txt`; a line that it does not understand is a mistake in that file, which a test looks for.
fn parse(text: &'static str) -> Vec<Arc<Resource>> {
    let mut resources: Vec<Resource> = Vec::new();
    let (mut group, mut version) = ("", "");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["group", name, of] => {
                group = if *name == "\"\"" { "" } else { name };
                version = of;
            }
            [name, kind, letters, own @ ..] if line.starts_with(' ') => {
                let (group, version) = own.first().and_then(|gv| gv.split_once('/')).unwrap_or((group, version));
                if let Some(resource) = resources.last_mut() {
                    resource.subresources.push(Subresource {
                        name: (*name).into(),
                        group: group.into(),
                        version: version.into(),
                        kind: (*kind).into(),
                        verbs: verbs(letters),
                    });
                }
            }
            [plural, singular, kind, scope, letters, options @ ..] => {
                let option = |name: &str| options.iter().find_map(|o| o.strip_prefix(name)?.strip_prefix('='));
                let list = |name| option(name).map(|v| v.split(',').map(Into::into).collect()).unwrap_or_default();
                resources.push(Resource {
                    group: group.into(),
                    version: version.into(),
                    plural: (*plural).into(),
                    singular: (*singular).into(),
                    kind: (*kind).into(),
                    namespaced: *scope == "ns",
                    short_names: list("short"),
                    categories: list("categories"),
                    verbs: verbs(letters),
                    subresources: Vec::new(),
                    storage: option("stored").map(|gv| gv.split_once('/').unwrap_or(("", gv))).map(|(g, v)| (g.into(), v.into())),
                    custom: None,
                });
            }
            _ => {}
        }
    }
    resources.into_iter().map(Arc::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let text = include_str!("resources.txt");
        let count = |with: fn(&str) -> bool| text.lines().filter(|l| !l.starts_with('#') && !l.starts_with("group ") && with(l)).count();
        let all = Scheme::builtin();
        assert_eq!(all.len(), count(|l| !l.starts_with(' ')));
        assert_eq!(all.iter().map(|r| r.subresources.len()).sum::<usize>(), count(|l| l.starts_with(' ')));
        for resource in all {
            assert!(!resource.verbs.is_empty(), "{resource:?}");
            assert!(resource.subresources.iter().all(|s| !s.verbs.is_empty()), "{resource:?}");
            let found = Scheme::default().find(&resource.group, &resource.version, &resource.plural).cloned().expect("found");
            assert!(Arc::ptr_eq(&found, resource));
            let found = Scheme::default().for_kind(&resource.api_version(), &resource.kind).cloned().expect("found");
            assert!(Arc::ptr_eq(&found, resource));
        }
    }

    #[test]
    fn what_resources_say_of_themselves() {
        let scheme = Scheme::default();
        let pods = scheme.find("", "v1", "pods").expect("pods");
        assert_eq!((pods.short_names.as_slice(), pods.categories.as_slice()), (&["po".into()][..], &["all".into()][..]));
        let eviction = pods.subresources.iter().find(|s| s.name == "eviction").expect("eviction");
        assert_eq!((&*eviction.group, &*eviction.version, &*eviction.kind), ("policy", "v1", "Eviction"));
        assert_eq!(scheme.preferred("autoscaling", "horizontalpodautoscalers").expect("hpa").version, "v2");
        let events = scheme.find("events.k8s.io", "v1", "events").expect("events");
        assert_eq!(events.storage, Some(("".into(), "v1".into())));
        assert!(scheme.find("apps", "v1", "pods").is_none());
        assert!(scheme.for_kind("extensions/v1beta1", "Deployment").is_none());
        assert_eq!(scheme.groups()[..3], ["", "apiregistration.k8s.io", "apps"]);
        assert_eq!(scheme.versions("autoscaling"), ["v2", "v1"]);
        assert!(scheme.versions("nope").is_empty());
    }

    #[test]
    fn custom_resources_join() {
        let custom = |group: &'static str, version: &'static str| {
            Arc::new(Resource {
                group: group.into(),
                version: version.into(),
                plural: "widgets".into(),
                kind: "Widget".into(),
                ..(*Scheme::builtin()[2]).clone()
            })
        };
        let scheme = Scheme::with_custom(vec![
            custom("zoo.example.com", "v1"),
            custom("lab.example.com", "v1beta1"),
            custom("lab.example.com", "v1"),
        ]);
        assert!(scheme.groups().ends_with(&["lab.example.com", "zoo.example.com"]));
        assert_eq!(scheme.versions("lab.example.com"), ["v1", "v1beta1"]);
        assert_eq!(scheme.for_kind("lab.example.com/v1beta1", "Widget").expect("widget").version, "v1beta1");
        assert_eq!(scheme.preferred("lab.example.com", "widgets").expect("widget").version, "v1");
    }

    #[test]
    fn versions_in_order() {
        let mut versions = vec!["foo10", "v1alpha1", "v10", "v2beta1", "v1", "foo1", "v3beta1", "v12alpha1", "v11beta2", "v2"];
        versions.sort_unstable_by(|a, b| version_order(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v11beta2", "v3beta1", "v2beta1", "v12alpha1", "v1alpha1", "foo1", "foo10"]);
    }
}
