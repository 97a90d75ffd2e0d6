//! Objects of a cluster, written and found by kind: what manifests hold, and what a learner made.

use crate::kind::api::{Api, ApiError};
use http::Method;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Where objects of one kind live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `/api/v1`, `/apis/apps/v1`.
    pub prefix: String,
    pub plural: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl Place {
    /// The path of the collection, of one namespace or of the cluster.
    pub fn collection(&self, namespace: &str) -> String {
        if self.namespaced && !namespace.is_empty() {
            format!("{}/namespaces/{namespace}/{}", self.prefix, self.plural)
        } else {
            format!("{}/{}", self.prefix, self.plural)
        }
    }
}

/// Discovery of one cluster, remembered.
#[derive(Debug)]
pub struct Places<'a> {
    api: &'a Api,
    known: Mutex<HashMap<(String, String), Place>>,
}

impl<'a> Places<'a> {
    pub fn new(api: &'a Api) -> Self {
        Self { api, known: Mutex::default() }
    }

    /// Where this object lives.
    pub async fn path(&self, object: &Value) -> Result<String, ApiError> {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let place = self.find(version, kind).await?;
        let namespace = match text(object, "/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        };
        Ok(format!("{}/{}", place.collection(if place.namespaced { namespace } else { "" }), text(object, "/metadata/name")))
    }

    async fn find(&self, version: &str, kind: &str) -> Result<Place, ApiError> {
        let key = (version.to_owned(), kind.to_owned());
        if let Some(place) = self.known.lock().get(&key) {
            return Ok(place.clone());
        }
        for (kind, place) in places(version, &self.api.get(&prefix(version)).await?) {
            self.known.lock().insert((version.to_owned(), kind), place);
        }
        self.known
            .lock()
            .get(&key)
            .cloned()
            .ok_or_else(|| ApiError::Refused { code: 404, message: format!("no matches for kind {kind:?} in version {version:?}") })
    }

    /// Server-side apply, as the engine.
    pub async fn apply(&self, object: &Value) -> Result<Value, ApiError> {
        let path = format!("{}?fieldManager=cordon&force=true", self.path(object).await?);
        self.api.call(Method::PATCH, &path, "application/apply-patch+yaml", object.to_string().into_bytes()).await
    }
}

pub fn prefix(version: &str) -> String {
    if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") }
}

/// The kinds of an `APIResourceList`, subresources left out.
pub fn places(version: &str, list: &Value) -> Vec<(String, Place)> {
    let resources = list["resources"].as_array().into_iter().flatten();
    let own = resources.filter(|resource| !text(resource, "/name").contains('/'));
    own.map(|resource| {
        let verbs = resource["verbs"].as_array().into_iter().flatten().filter_map(|verb| verb.as_str().map(str::to_owned));
        let place = Place {
            prefix: prefix(version),
            plural: text(resource, "/name").to_owned(),
            namespaced: resource["namespaced"] == true,
            verbs: verbs.collect(),
        };
        (text(resource, "/kind").to_owned(), place)
    })
    .collect()
}

/// A string below `pointer`, or nothing.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The documents of a manifest out of the node image, with what kind fills in.
pub fn manifest(yaml: &str, pod_subnet: &str) -> Result<Vec<Value>, String> {
    let filled = yaml.replace("{{ .PodSubnet }}", pod_subnet).replace("{{.PodSubnet}}", pod_subnet);
    let documents = serde_saphyr::from_multiple::<Document>(&filled).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().map(|Document(value)| value).filter(|value| value.is_object()).collect())
}

/// An empty document is none.
#[derive(Deserialize)]
#[serde(transparent)]
struct Document(Value);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn manifests() {
        let yaml =
            "# comment\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {subnet: \"{{ .PodSubnet }}\"}\n---\n---\nkind: B\n";
        let documents = manifest(yaml, "10.244.0.0/16").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0]["data"]["subnet"], "10.244.0.0/16");
        assert!(manifest("a: [", "").is_err());
    }

    #[test]
    fn discovery() {
        let list = json!({"resources": [
            {"name": "pods", "kind": "Pod", "namespaced": true, "verbs": ["list", "create"]},
            {"name": "pods/exec", "kind": "PodExecOptions", "namespaced": true, "verbs": ["create"]},
            {"name": "nodes", "kind": "Node", "namespaced": false, "verbs": ["list"]},
        ]});
        let found = places("v1", &list);
        assert_eq!(found.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["Pod", "Node"]);
        assert_eq!(found[0].1.collection("ml"), "/api/v1/namespaces/ml/pods");
        assert_eq!(found[0].1.collection(""), "/api/v1/pods");
        assert_eq!(found[1].1.collection("ml"), "/api/v1/nodes");
        assert_eq!(prefix("apps/v1"), "/apis/apps/v1");
    }
}
