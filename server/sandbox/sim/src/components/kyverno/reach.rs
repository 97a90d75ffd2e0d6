//! What Kyverno's controllers have in common that look at the whole cluster: which objects are theirs to look at, and how they write.

use super::super::in_cluster::{InCluster, Refused};
use apiserver::Client;
use kyverno::Evidence;
use machinery::{Gvr, gvr, object};
use serde_json::Value;
use std::sync::Arc;

/// Changes of whatever group.
pub const EVERY_GROUP: &[&str] = &["*"];

/// `resourceFilters` of Kyverno's ConfigMap: `[kind,namespace,name]`, again and again.
#[derive(Debug, Default)]
pub struct Filters(Vec<[String; 3]>);

impl Filters {
    pub fn read(client: &Client, namespace: &str) -> Self {
        let map = client.get(gvr::CONFIG_MAPS, namespace, "kyverno");
        Self::parse(map.as_ref().and_then(|map| map["data"]["resourceFilters"].as_str()).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let entries = text.split('[').filter_map(|entry| entry.split(']').next()).filter(|entry| !entry.trim().is_empty());
        let parts = |entry: &str| {
            let mut parts = entry.split(',').map(|part| part.trim().to_owned());
            [(); 3].map(|()| parts.next().filter(|part| !part.is_empty()).unwrap_or_else(|| "*".to_owned()))
        };
        Self(entries.map(parts).collect())
    }

    /// Whether Kyverno looks away.
    pub fn hide(&self, held: &Value) -> bool {
        let (of_group, of_version) = object::api_version(held).split_once('/').unwrap_or(("", object::api_version(held)));
        // A Namespace is filtered by its own name.
        let namespace = if object::kind(held) == "Namespace" { object::name(held) } else { object::namespace(held) };
        self.0.iter().any(|[kinds, namespaces, names]| {
            let [group, version, kind, subresource] = kyverno::kind_selector(kinds);
            matches!(subresource, "" | "*")
                && kyverno::wildcard(group, of_group)
                && kyverno::wildcard(version, of_version)
                && kyverno::wildcard(kind, object::kind(held))
                && kyverno::wildcard(namespaces, namespace)
                && kyverno::wildcard(names, object::name(held))
        })
    }
}

/// Every object that there is.
pub fn everything(client: &Client) -> Vec<Arc<Value>> {
    client.everything().into_iter().map(|(_, _, object)| object).collect()
}

/// The cluster as evidence, as nobody in particular sees it.
pub fn evidence(client: &Client, now: jiff::Timestamp, exceptions: Vec<Value>) -> Evidence {
    Evidence {
        now,
        namespaces: super::policies::namespaces(client),
        objects: everything(client).iter().map(|object| Value::clone(object)).collect(),
        exceptions,
        ..Evidence::default()
    }
}

/// The path of an object's collection, if its kind is served.
pub fn collection(client: &Client, held: &Value) -> Option<String> {
    let scheme = client.scheme();
    let resource = scheme.for_kind(object::api_version(held), object::kind(held))?;
    let root = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let namespace = if object::namespace(held).is_empty() { "default" } else { object::namespace(held) };
    let within = if resource.namespaced { format!("namespaces/{namespace}/") } else { String::new() };
    Some(format!("{root}/{}/{within}{}", resource.version, resource.plural))
}

/// Makes an object, or changes it where it says something else.
pub async fn write(api: &InCluster<'_>, client: &Client, wanted: &Value) -> Result<(), Refused> {
    let unserved = || {
        let (kind, version) = (object::kind(wanted), object::api_version(wanted));
        Refused { code: 404, message: format!("no matches for kind {kind:?} in version {version:?}") }
    };
    let collection = collection(client, wanted).ok_or_else(unserved)?;
    match api.get(&format!("{collection}/{}", object::name(wanted))).await {
        Ok(held) if says(&held, wanted) => Ok(()),
        Err(refused) if refused.code != 404 => Err(refused),
        _ => api.put(&collection, wanted).await.map(drop),
    }
}

pub async fn delete(api: &InCluster<'_>, client: &Client, held: &Value, options: Option<&Value>) -> Result<(), Refused> {
    let Some(collection) = collection(client, held) else { return Ok(()) };
    match api.call("DELETE", &format!("{collection}/{}", object::name(held)), options).await {
        Err(refused) if refused.code != 404 => Err(refused),
        _ => Ok(()),
    }
}

/// Whether an object says all that is wanted of it; the server's defaults and what the server writes itself count for nothing. Lists,
/// and data, which has no defaults, are the same on both sides.
fn says(held: &Value, wanted: &Value) -> bool {
    let Some(fields) = wanted.as_object() else { return held == wanted };
    fields.iter().all(|(name, wanted)| match name.as_str() {
        "data" | "stringData" | "binaryData" | "rules" | "subjects" => held[name] == *wanted,
        "resourceVersion" | "uid" | "managedFields" | "generation" | "status" => true,
        _ => holds(&held[name], wanted),
    })
}

fn holds(held: &Value, wanted: &Value) -> bool {
    match (held, wanted) {
        (Value::Object(_), Value::Object(_)) => says(held, wanted),
        (Value::Array(held), Value::Array(wanted)) => {
            held.len() == wanted.len() && held.iter().zip(wanted).all(|(held, wanted)| holds(held, wanted))
        }
        _ => held == wanted,
    }
}

/// Of each kind the first version that is served and has objects.
pub fn newest(client: &Client, kinds: &[&[Gvr]]) -> Vec<(Gvr, Arc<Value>)> {
    kinds.iter().flat_map(|versions| super::policies::newest(client, versions)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_hide_kinds_namespaces_and_names() {
        let filters = Filters::parse("[Event,*,*] [*/*,kube-system,*]\n[ReplicaSet/?*,*,*] [Secret,*,sh.helm.*] []");
        for (kind, namespace, name, hidden) in [
            ("Event", "a", "e", true),
            ("Pod", "kube-system", "p", true),
            ("Namespace", "", "kube-system", true),
            ("ReplicaSet", "a", "r", false),
            ("Secret", "a", "sh.helm.x", true),
            ("Secret", "a", "x", false),
        ] {
            let held = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
            assert_eq!(filters.hide(&held), hidden, "{held}");
        }
    }

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let held = json!({"metadata": {"name": "a", "uid": "1", "labels": {"x": "y", "z": ""}}, "spec": {"ports": [{"port": 1, "protocol": "TCP"}]}, "data": {"k": "v"}});
        for (wanted, same) in [
            (json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"ports": [{"port": 1}]}}), true),
            (json!({"metadata": {"labels": {"x": "n"}}}), false),
            (json!({"data": {"k": "v"}}), true),
            (json!({"data": {}}), false),
            (json!({"spec": {"ports": []}}), false),
        ] {
            assert_eq!(says(&held, &wanted), same, "{wanted}");
        }
    }
}
