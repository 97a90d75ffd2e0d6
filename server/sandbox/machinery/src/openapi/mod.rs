//! OpenAPI v3 documents, one for each group version, for `kubectl explain`, `kubectl apply` and validation in editors.
//!
//! ```text
//! types.txt ──schemas──┐
//! k8s-openapi ─prose───┼──► document, as bytes: built once and shared by all clusters; a cluster's own for custom resources
//! scheme ──────paths───┘
//! ```
//!
//! kubectl since 1.28 asks for `/openapi/v3` and its documents, as JSON. It asks for version 2 only for kinds that nobody can patch,
//! and then as protobuf ([`version_two_binary`]); [`version_two`] is there for other clients.

mod binary;
mod custom;
mod descriptions;
mod paths;
mod schemas;
mod two;

use crate::scheme::Scheme;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, OnceLock},
};

/// A document ready to be sent.
#[derive(Debug)]
pub struct Document {
    /// JSON.
    pub body: Arc<[u8]>,
    /// Changes with the content: the `hash` of the index, and a good `ETag`.
    pub hash: String,
}

/// The documents of a cluster's own resources, by path. Held by its [`Scheme`].
pub(crate) type CustomDocuments = HashMap<String, Arc<Document>>;

/// The built-in documents by path, each built when it is first asked for.
static BUILTIN: LazyLock<BTreeMap<String, OnceLock<Arc<Document>>>> = LazyLock::new(|| {
    let scheme = Scheme::default();
    let paths = scheme.resources().map(|resource| path(&resource.group, &resource.version));
    paths.map(|path| (path, OnceLock::new())).collect()
});

/// What the built-in documents follow from.
static FACTS: LazyLock<Sha256> = LazyLock::new(|| {
    Sha256::new().chain_update(include_str!("../types/types.txt")).chain_update(include_str!("../scheme/resources.txt")).chain_update("2")
});

/// `api/v1`, `apis/apps/v1`.
fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn group_version(path: &str) -> Option<(&str, &str)> {
    match path.strip_prefix("apis/") {
        Some(rest) => rest.split_once('/'),
        None => path.strip_prefix("api/").map(|version| ("", version)),
    }
}

fn builtin_hash(path: &str) -> String {
    hex::encode_upper(FACTS.clone().chain_update(path).finalize())
}

/// `/openapi/v3`: the index of paths, each with the hash of its document.
pub fn index(scheme: &Scheme) -> Value {
    let mut paths = Map::new();
    let mut add = |path: &str, hash: &str| {
        paths.insert(path.to_owned(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}));
    };
    let custom = scheme.custom_documents();
    for path in BUILTIN.keys().filter(|path| !custom.contains_key(*path)) {
        add(path, &builtin_hash(path));
    }
    for (path, document) in custom {
        add(path, &document.hash);
    }
    json!({"paths": paths})
}

/// `/openapi/v3/api/v1`, `/openapi/v3/apis/apps/v1`, …: one document, ready to be sent. `path` as in the index.
pub fn document_bytes(scheme: &Scheme, path: &str) -> Option<Arc<Document>> {
    if let Some(document) = scheme.custom_documents().get(path) {
        return Some(document.clone());
    }
    let slot = BUILTIN.get(path)?;
    let document = slot.get_or_init(|| {
        let value = build(&Scheme::default(), path);
        Arc::new(Document { body: value.to_string().into_bytes().into(), hash: builtin_hash(path) })
    });
    Some(document.clone())
}

/// One document as a value, read anew from its bytes: for tests and tools; a server sends [`document_bytes`].
pub fn document(scheme: &Scheme, path: &str) -> Option<Arc<Value>> {
    let document = document_bytes(scheme, path)?;
    serde_json::from_slice(&document.body).ok().map(Arc::new)
}

/// The documents of every group version that has a custom resource.
pub(crate) fn build_custom(scheme: &Scheme) -> CustomDocuments {
    let mut documents = CustomDocuments::new();
    for resource in scheme.custom() {
        let path = path(&resource.group, &resource.version);
        if documents.contains_key(&path) {
            continue;
        }
        let body = build(scheme, &path).to_string().into_bytes();
        let hash = hex::encode_upper(Sha256::digest(&body));
        documents.insert(path, Arc::new(Document { body: body.into(), hash }));
    }
    documents
}

fn build(scheme: &Scheme, path: &str) -> Value {
    let (group, version) = group_version(path).unwrap_or_default();
    let mut collected = schemas::Collector::new("#/components/schemas/");
    let mut paths = Map::new();
    for resource in scheme.resources().filter(|r| r.group == group && r.version == version) {
        if let Some(definition) = &resource.custom {
            custom::add(&mut collected, resource, definition);
        }
        paths::add(&mut paths, &mut collected, resource);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.34"},
        "paths": paths,
        "components": {
            "schemas": collected.finish(),
            "securitySchemes": {"BearerToken": {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}},
        },
    })
}

/// `/openapi/v2`: everything in one Swagger 2.0 document. Rarely asked for, so it is built each time.
pub fn version_two(scheme: &Scheme) -> Value {
    let mut collected = schemas::Collector::new("#/definitions/");
    let mut paths = Map::new();
    for resource in scheme.resources() {
        if let Some(definition) = &resource.custom {
            custom::add(&mut collected, resource, definition);
        }
        paths::add(&mut paths, &mut collected, resource);
    }
    let paths: Map<String, Value> = paths.into_iter().map(|(path, operations)| (path, two::path(operations))).collect();
    let definitions = match collected.finish() {
        Value::Object(schemas) => schemas.into_iter().map(|(name, schema)| (name, two::schema(schema))).collect(),
        _ => Map::new(),
    };
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.34.4"},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}},
        "security": [{"BearerToken": []}],
    })
}

/// The same in protobuf (`application/com.github.proto-openapi.spec.v2.v1.0+protobuf`).
pub fn version_two_binary(scheme: &Scheme) -> Vec<u8> {
    binary::document(&version_two(scheme))
}

#[cfg(test)]
mod tests;
