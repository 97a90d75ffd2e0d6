//! `/api`, `/apis` and below, legacy and aggregated (`apidiscovery.k8s.io/v2`).
//!
//! kube-apiserver 1.34 offers aggregated discovery in `v2` only; [`aggregated`] has the shape that `v2beta1` had, too, for
//! clients older than 1.30: only the `apiVersion` differs, which the caller chooses with [`aggregated_as`].

use crate::{
    resource::{Resource, Subresource},
    scheme::{ALL_VERBS, Scheme},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Aggregated discovery: `APIGroupDiscoveryList` of the core group (`legacy`) or of all the others.
pub fn aggregated(scheme: &Scheme, legacy: bool) -> Value {
    aggregated_as(scheme, legacy, "apidiscovery.k8s.io/v2")
}

/// [`aggregated`] under another `apiVersion` (`apidiscovery.k8s.io/v2beta1`).
pub fn aggregated_as(scheme: &Scheme, legacy: bool, api_version: &str) -> Value {
    let groups = scheme.groups().into_iter().filter(|group| group.is_empty() == legacy);
    let items: Vec<Value> = groups
        .map(|group| {
            let mut metadata = Map::new();
            if !group.is_empty() {
                metadata.insert("name".to_owned(), group.into());
            }
            let versions: Vec<Value> = scheme
                .versions(group)
                .into_iter()
                .map(|version| {
                    let resources: Vec<Value> = sorted(scheme, group, version).into_iter().map(discovered).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items})
}

fn sorted<'a>(scheme: &'a Scheme, group: &str, version: &str) -> Vec<&'a Resource> {
    let mut resources: Vec<&Resource> =
        scheme.resources().map(AsRef::as_ref).filter(|r: &&Resource| r.group == group && r.version == version).collect();
    resources.sort_by(|a, b| a.plural.cmp(&b.plural));
    resources
}

/// Built-in resources list theirs by name, custom ones as their definition does: status, then scale.
fn ordered_subresources(resource: &Resource) -> Vec<&Subresource> {
    let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
    if resource.custom.is_none() {
        subresources.sort_by(|a, b| a.name.cmp(&b.name));
    }
    subresources
}

/// Built-in resources list their verbs by name; custom ones have an order of their own, which `kubectl api-resources` shows.
fn ordered_verbs(resource: &Resource) -> &'static [&'static str] {
    if resource.custom.is_some() && resource.verbs == ALL_VERBS {
        return &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    }
    resource.verbs
}

/// True where a subresource speaks of a type of another group or version than its resource's.
fn is_foreign(resource: &Resource, subresource: &Subresource) -> bool {
    subresource.group != resource.group || subresource.version != resource.version
}

fn discovered(resource: &Resource) -> Value {
    // built-in resources leave their own group and version out, custom ones spell them
    let kind = |kind: &str, of: Option<(&str, &str)>| {
        let (group, version) = of.unwrap_or(if resource.custom.is_some() { (&resource.group, &resource.version) } else { ("", "") });
        json!({"group": group, "version": version, "kind": kind})
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.kind, None),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": ordered_verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if !resource.subresources.is_empty() {
        let subresources = ordered_subresources(resource).into_iter();
        entry["subresources"] = subresources
            .map(|s| {
                let of = is_foreign(resource, s).then_some((&*s.group, &*s.version));
                json!({"subresource": s.name, "responseKind": kind(&s.kind, of), "verbs": s.verbs})
            })
            .collect();
    }
    entry
}

/// `APIGroupList` for `/apis`.
pub fn group_list(scheme: &Scheme) -> Value {
    let groups: Vec<Value> = scheme.groups().into_iter().filter(|g| !g.is_empty()).map(|group| described(scheme, group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn described(scheme: &Scheme, group: &str) -> Value {
    let versions: Vec<Value> =
        scheme.versions(group).into_iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group, "versions": versions, "preferredVersion": preferred})
}

/// `APIGroup` for `/apis/<group>`.
pub fn group(scheme: &Scheme, group: &str) -> Option<Value> {
    if group.is_empty() || scheme.versions(group).is_empty() {
        return None;
    }
    let mut answer = described(scheme, group);
    answer["kind"] = "APIGroup".into();
    answer["apiVersion"] = "v1".into();
    Some(answer)
}

/// `APIResourceList` for `/api/v1` and `/apis/<group>/<version>`.
pub fn resource_list(scheme: &Scheme, group: &str, version: &str) -> Option<Value> {
    let resources = sorted(scheme, group, version);
    if resources.is_empty() {
        return None;
    }
    let mut entries = Vec::new();
    for resource in resources {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": ordered_verbs(resource),
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        if resource.verbs.contains(&"watch") {
            entry["storageVersionHash"] = storage_version_hash(resource).into();
        }
        entries.push(entry);
        for subresource in ordered_subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "", "namespaced": resource.namespaced,
                "kind": subresource.kind, "verbs": subresource.verbs,
            });
            if is_foreign(resource, subresource) {
                entry["group"] = json!(subresource.group);
                entry["version"] = json!(subresource.version);
            }
            entries.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": entries});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

/// Tells clients when a resource's storage changes: the first eight bytes of a hash of the group, version and kind stored.
fn storage_version_hash(resource: &Resource) -> String {
    let (group, version) = match (&resource.storage, &*resource.group, &*resource.plural) {
        (Some((group, version)), _, _) => (&**group, &**version),
        // what 1.34 still keeps in an older version than it serves
        (None, "storage.k8s.io", "volumeattributesclasses") | (None, "apiextensions.k8s.io", "customresourcedefinitions") => {
            (&*resource.group, "v1beta1")
        }
        (None, "resource.k8s.io", _) => ("resource.k8s.io", "v1beta2"),
        (None, group, _) => (group, &*resource.version),
    };
    let hash = Sha256::digest(format!("{group}/{version}/{}", resource.kind));
    STANDARD.encode(hash.get(..8).unwrap_or_default())
}

/// `APIVersions` for `/api`. `server_address` as `10.0.0.1:6443`.
pub fn versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::CustomDefinition;
    use std::sync::Arc;

    fn with_custom() -> Scheme {
        let template = Scheme::find_builtin("apps", "v1", "deployments").expect("deployments");
        Scheme::with_custom(vec![Arc::new(Resource {
            group: "lab.example.com".into(),
            plural: "gpujobs".into(),
            singular: "gpujob".into(),
            kind: "GPUJob".into(),
            short_names: vec!["gj".into()],
            categories: vec![],
            subresources: template.subresources.iter().filter(|s| s.name == "scale").cloned().collect(),
            custom: Some(Arc::new(CustomDefinition::default())),
            ..(**template).clone()
        })])
    }

    #[test]
    fn the_core_group_stands_alone() {
        let list = aggregated(&Scheme::default(), true);
        assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2");
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(list["items"][0]["metadata"], json!({}));
        let resources = list["items"][0]["versions"][0]["resources"].as_array().expect("resources");
        let services = resources.iter().find(|r| r["resource"] == "services").expect("services");
        assert_eq!(
            services,
            &json!({
                "resource": "services", "responseKind": {"group": "", "version": "", "kind": "Service"}, "scope": "Namespaced",
                "singularResource": "service", "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
                "shortNames": ["svc"], "categories": ["all"],
                "subresources": [
                    {"subresource": "proxy", "responseKind": {"group": "", "version": "", "kind": "ServiceProxyOptions"},
                     "verbs": ["create", "delete", "get", "patch", "update"]},
                    {"subresource": "status", "responseKind": {"group": "", "version": "", "kind": "Service"}, "verbs": ["get", "patch", "update"]},
                ],
            })
        );
    }

    #[test]
    fn custom_resources_are_discovered() {
        let scheme = with_custom();
        let list = aggregated_as(&scheme, false, "apidiscovery.k8s.io/v2beta1");
        assert_eq!(list["apiVersion"], "apidiscovery.k8s.io/v2beta1");
        let last = list["items"].as_array().and_then(|items| items.last()).expect("a group");
        assert_eq!(
            *last,
            json!({"metadata": {"name": "lab.example.com"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [{
                "resource": "gpujobs", "responseKind": {"group": "lab.example.com", "version": "v1", "kind": "GPUJob"}, "scope": "Namespaced",
                "singularResource": "gpujob", "shortNames": ["gj"],
                "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
                "subresources": [{"subresource": "scale", "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                                  "verbs": ["get", "patch", "update"]}],
            }]}]})
        );
        assert_eq!(group(&scheme, "lab.example.com").expect("group")["preferredVersion"]["groupVersion"], "lab.example.com/v1");
        let names = |list: Value| list["resources"].as_array().expect("list").iter().map(|r| r["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(resource_list(&scheme, "lab.example.com", "v1").expect("list")), ["gpujobs", "gpujobs/scale"]);
    }

    #[test]
    fn legacy_lists() {
        let scheme = Scheme::default();
        let list = resource_list(&scheme, "apps", "v1").expect("apps/v1");
        assert_eq!(list["groupVersion"], "apps/v1");
        let entry =
            |name: &str| list["resources"].as_array().and_then(|all| all.iter().find(|r| r["name"] == name)).expect("entry").clone();
        assert_eq!(entry("deployments")["storageVersionHash"], "8aSe+NMegvE=");
        assert_eq!(
            entry("deployments/scale"),
            json!({"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
        );
        for (group, version, plural, hash) in [
            ("events.k8s.io", "v1", "events", "r2yiGXH7wu8="),
            ("autoscaling", "v1", "horizontalpodautoscalers", "qwQve8ut294="),
            ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "jfWCUB31mvA="),
            ("resource.k8s.io", "v1", "resourceslices", "z6Bc9vgk6yE="),
            ("storage.k8s.io", "v1", "volumeattributesclasses", "Bl3MtjZ/n/s="),
        ] {
            assert_eq!(storage_version_hash(Scheme::find_builtin(group, version, plural).expect(plural)), hash, "{plural}");
        }
        assert!(resource_list(&scheme, "apps", "v2").is_none());
        assert!(group(&scheme, "").is_none());
        assert!(group(&scheme, "nope").is_none());
        let list = group_list(&scheme);
        assert_eq!(list["groups"][0]["name"], "apiregistration.k8s.io");
        assert!(list["groups"].as_array().expect("groups").iter().all(|g| g["name"] != ""));
        assert_eq!(versions("10.0.0.1:6443")["versions"], json!(["v1"]));
    }
}
