//! The shapes compared here were compared with kube-apiserver 1.34's documents as a whole: schemas agree but for the order of
//! `required` and for words.

use super::*;
use crate::resource::{CustomDefinition, Resource};

fn apps() -> Arc<Value> {
    document(&Scheme::default(), "apis/apps/v1").expect("apps/v1")
}

#[test]
fn fields_and_their_merging() {
    let apps = apps();
    let schemas = &apps["components"]["schemas"];
    let field = |of: &str, field: &str| {
        let mut schema = schemas[of]["properties"][field].clone();
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 10), "{of} {field}");
        schema.as_object_mut().expect("a schema").remove("description");
        schema
    };
    for (of, name, expected) in [
        ("io.k8s.api.apps.v1.DeploymentSpec", "replicas", json!({"type": "integer", "format": "int32"})),
        (
            "io.k8s.api.apps.v1.DeploymentSpec",
            "strategy",
            json!({"default": {}, "allOf": [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}], "x-kubernetes-patch-strategy": "retainKeys"}),
        ),
        (
            "io.k8s.api.core.v1.PodSpec",
            "containers",
            json!({"type": "array", "items": {"default": {}, "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]},
                   "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"}),
        ),
        (
            "io.k8s.api.core.v1.PodSpec",
            "nodeSelector",
            json!({"type": "object", "additionalProperties": {"type": "string", "default": ""}, "x-kubernetes-map-type": "atomic"}),
        ),
        ("io.k8s.api.core.v1.ContainerPort", "protocol", json!({"type": "string", "default": "TCP", "enum": ["SCTP", "TCP", "UDP"]})),
        (
            "io.k8s.api.core.v1.ResourceRequirements",
            "limits",
            json!({"type": "object", "additionalProperties": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"}}),
        ),
        (
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            "finalizers",
            json!({"type": "array", "items": {"type": "string", "default": ""}, "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}),
        ),
    ] {
        assert_eq!(field(of, name), expected, "{of} {name}");
    }
    assert_eq!(schemas["io.k8s.api.apps.v1.DeploymentSpec"]["required"], json!(["selector", "template"]));
    assert_eq!(
        schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "version": "v1", "kind": "Deployment"}])
    );
    let quantity = &schemas["io.k8s.apimachinery.pkg.api.resource.Quantity"];
    assert_eq!(quantity["oneOf"], json!([{"type": "string"}, {"type": "number"}]));
}

/// Every reference of a document leads somewhere, and every type has words.
#[test]
fn documents_are_complete() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(entries) => {
                found.extend(entries.get("$ref").and_then(Value::as_str));
                entries.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let scheme = Scheme::default();
    let index = index(&scheme);
    assert_eq!(index["paths"].as_object().map(Map::len), Some(22));
    for (path, entry) in index["paths"].as_object().expect("paths") {
        let document = document_bytes(&scheme, path).expect(path);
        assert_eq!(entry["serverRelativeURL"], format!("/openapi/v3/{path}?hash={}", document.hash));
        let value: Value = serde_json::from_slice(&document.body).expect("JSON");
        let mut found = Vec::new();
        references(&value, &mut found);
        assert!(!found.is_empty(), "{path}");
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").expect(reference);
            assert!(value["components"]["schemas"][name].is_object(), "{path}: {reference}");
        }
        for (name, schema) in value["components"]["schemas"].as_object().expect("schemas") {
            assert!(schema["description"].is_string() || name.ends_with("Source") || name.ends_with("Patch"), "{path}: {name}");
        }
        assert!(Arc::ptr_eq(&document, &document_bytes(&scheme, path).expect("cached")));
    }
    assert!(document_bytes(&scheme, "apis/nope/v1").is_none());
    assert!(document_bytes(&scheme, "").is_none());
}

#[test]
fn operations_say_what_they_take() {
    let apps = apps();
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "apps", "version": "v1", "kind": "Deployment"}));
    let names: Vec<&str> = patch["parameters"].as_array().expect("parameters").iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    let types: Vec<&String> = patch["requestBody"]["content"].as_object().expect("content").keys().collect();
    assert_eq!(types.len(), 4);
    let scale = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["get"];
    assert_eq!(scale["operationId"], "readAppsV1NamespacedDeploymentScale");
    assert_eq!(scale["x-kubernetes-group-version-kind"]["group"], "autoscaling");
    let core = document(&Scheme::default(), "api/v1").expect("api/v1");
    let exec = &core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["get"];
    assert_eq!((&exec["operationId"], &exec["x-kubernetes-action"]), (&json!("connectCoreV1GetNamespacedPodExec"), &json!("connect")));
    assert!(core["paths"]["/api/v1/nodes/{name}"]["delete"].is_object());
    assert!(core["paths"]["/api/v1/pods"]["get"].is_object());
}

#[test]
fn custom_resources_have_documents_too() {
    let template = Scheme::find_builtin("apps", "v1", "deployments").expect("deployments");
    let gizmo = |schema: Value| {
        Arc::new(Resource {
            group: "zoo.example.com".into(),
            plural: "gizmos".into(),
            singular: "gizmo".into(),
            kind: "Gizmo".into(),
            custom: Some(Arc::new(CustomDefinition::new(schema, Vec::new(), false, Vec::new()))),
            ..(**template).clone()
        })
    };
    let schema = json!({"type": "object", "description": "A gizmo.", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer"}, "port": {"x-kubernetes-int-or-string": true}}}}});
    let scheme = Scheme::with_custom(vec![gizmo(schema)]);
    let path = "apis/zoo.example.com/v1";
    let hash = &document_bytes(&scheme, path).expect("document").hash;
    assert_eq!(index(&scheme)["paths"][path]["serverRelativeURL"], format!("/openapi/v3/{path}?hash={hash}"));
    let value = document(&scheme, path).expect("document");
    let schema = &value["components"]["schemas"]["com.example.zoo.v1.Gizmo"];
    assert_eq!(schema["x-kubernetes-group-version-kind"], json!([{"group": "zoo.example.com", "version": "v1", "kind": "Gizmo"}]));
    assert_eq!(
        schema["properties"]["spec"]["properties"]["port"],
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})
    );
    assert_eq!(
        schema["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    let post = &value["paths"]["/apis/zoo.example.com/v1/namespaces/{namespace}/gizmos"]["post"];
    assert_eq!(post["operationId"], "createZooExampleComV1NamespacedGizmo");
    let patch = &value["paths"]["/apis/zoo.example.com/v1/namespaces/{namespace}/gizmos/{name}"]["patch"];
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_null());
    // no schema at all, another hash; the built-in documents stay the same
    let other = Scheme::with_custom(vec![gizmo(Value::Null)]);
    assert_ne!(hash, &document_bytes(&other, path).expect("document").hash);
    assert!(Arc::ptr_eq(&document_bytes(&scheme, "api/v1").expect("core"), &document_bytes(&other, "api/v1").expect("core")));
}

#[test]
fn the_old_document() {
    let two = version_two(&Scheme::default());
    assert_eq!(two["swagger"], "2.0");
    let spec = &two["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"];
    assert_eq!(spec["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
    assert_eq!(two["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"], "string");
    assert!(two["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"].is_object());
}
