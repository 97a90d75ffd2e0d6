//! The paths of a resource: which verbs it has, what they take and give, and under which kind.

use super::schemas::{Collector, meta};
use crate::{resource::Resource, types};
use serde_json::{Map, Value, json};

const LIST: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const WRITE: &[(&str, &str)] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const PATCH: &[(&str, &str)] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

/// Which objects a collection's deletion takes, beside how.
const DELETE_COLLECTION: &[(&str, &str)] = &[
    ("continue", "string"),
    ("dryRun", "string"),
    ("fieldSelector", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
];

fn parameters(list: &[(&str, &str)]) -> Vec<Value> {
    list.iter().map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})).collect()
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
}

/// `Apps` + `V1`: the group and version within an operation's id.
fn camel(group: &str, version: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    let group = group.strip_suffix(".k8s.io").unwrap_or(group);
    let group: String = if group.is_empty() { "Core".to_owned() } else { group.split(['.', '-']).map(upper).collect() };
    format!("{group}{}", upper(version))
}

/// One operation under construction.
struct Operation<'a> {
    id: String,
    action: &'a str,
    says: String,
    kind: Value,
    tag: &'a str,
    parameters: &'a [(&'a str, &'a str)],
    body: Option<Value>,
    answer: Value,
    codes: &'a [(&'a str, &'a str)],
}

const OK: &[(&str, &str)] = &[("200", "OK")];
const CREATED: &[(&str, &str)] = &[("200", "OK"), ("201", "Created")];
const ACCEPTED: &[(&str, &str)] = &[("200", "OK"), ("202", "Accepted")];

impl Operation<'_> {
    fn build(self) -> Value {
        let content = |schema: &Value| json!({"application/json": {"schema": schema}, "application/yaml": {"schema": schema}});
        let mut responses: Map<String, Value> = self
            .codes
            .iter()
            .map(|(code, text)| ((*code).to_owned(), json!({"description": text, "content": content(&self.answer)})))
            .collect();
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        let mut operation = json!({
            "tags": [self.tag], "description": self.says, "operationId": self.id, "responses": responses,
            "x-kubernetes-action": self.action, "x-kubernetes-group-version-kind": self.kind,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = parameters(self.parameters).into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

fn reference(collected: &mut Collector, resource: &Resource, group: &str, version: &str, kind: &str) -> Value {
    if let Some(id) = types::of_kind(group, version, kind) {
        return collected.reference(id);
    }
    match &resource.custom {
        Some(_) if group == resource.group => collected.reference_to(&super::custom::name(group, version, kind)),
        _ => json!({"type": "string"}),
    }
}

fn meta_reference(collected: &mut Collector, short: &str) -> Value {
    meta(short).map_or_else(|| json!({"type": "object"}), |id| collected.reference(id))
}

pub(super) fn add(paths: &mut Map<String, Value>, collected: &mut Collector, resource: &Resource) {
    let (group, version, kind) = (&*resource.group, &*resource.version, &*resource.kind);
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let scoped = if resource.namespaced { "Namespaced" } else { "" };
    let tag = {
        let camel = camel(group, version);
        let mut letters = camel.chars();
        let lower: String = letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default();
        lower.replacen(&capital(version), &format!("_{version}"), 1)
    };
    let id = |verb: &str, rest: &str| format!("{verb}{}{rest}", camel(group, version));
    let own_kind = json!({"group": group, "version": version, "kind": kind});
    let own = reference(collected, resource, group, version, kind);
    let list = reference(collected, resource, group, version, &resource.list_kind());
    let status = meta_reference(collected, "Status");
    let options = meta_reference(collected, "DeleteOptions");
    let patch = meta_reference(collected, "Patch");
    let has = |verb: &str| resource.verbs.contains(&verb);
    let takes = |schema: &Value, required: bool| {
        let mut body = json!({"content": {"*/*": {"schema": schema}}});
        if required {
            body["required"] = true.into();
        }
        Some(body)
    };
    let patch_types: &[&str] = if resource.custom.is_some() {
        &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
    } else {
        &[
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ]
    };
    let patch_body = || {
        let content: Map<String, Value> = patch_types.iter().map(|of| ((*of).to_owned(), json!({"schema": patch}))).collect();
        Some(json!({"content": content, "required": true}))
    };
    let operation = |verb: &str, rest: String, action, says: String, parameters, body, answer: &Value, codes| {
        let (kind, answer) = (own_kind.clone(), answer.clone());
        Operation { id: id(verb, &rest), action, says, kind, tag: &tag, parameters, body, answer, codes }.build()
    };

    let mut collection = Map::new();
    if has("list") {
        let says = format!("list or watch objects of kind {kind}");
        collection.insert("get".to_owned(), operation("list", format!("{scoped}{kind}"), "list", says, LIST, None, &list, OK));
    }
    if has("create") {
        let says = format!("create a {kind}");
        collection.insert(
            "post".to_owned(),
            operation("create", format!("{scoped}{kind}"), "post", says, WRITE, takes(&own, true), &own, CREATED),
        );
    }
    if has("deletecollection") {
        let says = format!("delete collection of {kind}");
        let rest = format!("Collection{scoped}{kind}");
        collection.insert(
            "delete".to_owned(),
            operation("delete", rest, "deletecollection", says, DELETE_COLLECTION, takes(&options, false), &status, OK),
        );
    }
    let mut item = Map::new();
    if has("get") {
        let says = format!("read the specified {kind}");
        item.insert("get".to_owned(), operation("read", format!("{scoped}{kind}"), "get", says, &[], None, &own, OK));
    }
    if has("update") {
        let says = format!("replace the specified {kind}");
        item.insert(
            "put".to_owned(),
            operation("replace", format!("{scoped}{kind}"), "put", says, WRITE, takes(&own, true), &own, CREATED),
        );
    }
    if has("delete") {
        let says = format!("delete a {kind}");
        item.insert(
            "delete".to_owned(),
            operation("delete", format!("{scoped}{kind}"), "delete", says, DELETE, takes(&options, false), &status, ACCEPTED),
        );
    }
    if has("patch") {
        let says = format!("partially update the specified {kind}");
        item.insert("patch".to_owned(), operation("patch", format!("{scoped}{kind}"), "patch", says, PATCH, patch_body(), &own, CREATED));
    }
    let mut place = Vec::new();
    if resource.namespaced {
        place.push(path_parameter("namespace"));
    }
    place.extend(parameters(&[("pretty", "string")]));
    let named: Vec<Value> = std::iter::once(path_parameter("name")).chain(place.iter().cloned()).collect();

    if resource.namespaced && has("list") {
        let says = format!("list or watch objects of kind {kind}");
        let everywhere = operation("list", format!("{kind}ForAllNamespaces"), "list", says, LIST, None, &list, OK);
        paths.insert(format!("{root}/{}", resource.plural), json!({"get": everywhere, "parameters": parameters(&[("pretty", "string")])}));
    }
    let mut put = |path: String, mut operations: Map<String, Value>, parameters: &[Value]| {
        if !operations.is_empty() {
            operations.insert("parameters".to_owned(), parameters.into());
            paths.insert(path, Value::Object(operations));
        }
    };
    put(format!("{root}{scope}/{}", resource.plural), collection, &place);
    put(format!("{root}{scope}/{}/{{name}}", resource.plural), item, &named);

    for subresource in &resource.subresources {
        let answer = reference(collected, resource, &subresource.group, &subresource.version, &subresource.kind);
        let kind_of = json!({"group": subresource.group, "version": subresource.version, "kind": subresource.kind});
        let connects = matches!(&*subresource.name, "attach" | "exec" | "portforward" | "proxy");
        let suffix = capital(&subresource.name);
        let mut operations = Map::new();
        for verb in subresource.verbs {
            let (method, word, action, parameters, body, codes): (_, _, _, &[(&str, &str)], _, _) = match *verb {
                "get" => ("get", "read", "get", &[], None, OK),
                "create" => ("post", "create", "post", WRITE, takes(&answer, true), CREATED),
                "update" => ("put", "replace", "put", WRITE, takes(&answer, true), CREATED),
                "patch" => ("patch", "patch", "patch", PATCH, patch_body(), CREATED),
                "delete" => ("delete", "delete", "delete", &[], None, OK),
                _ => continue,
            };
            let (word, action, body) = if connects { ("connect", "connect", None) } else { (word, action, body) };
            let parameters = if connects { &[] } else { parameters };
            let built = Operation {
                id: format!(
                    "{word}{}{}{scoped}{kind}{suffix}",
                    camel(group, version),
                    if connects { capital(method) } else { String::new() }
                ),
                action,
                says: format!("{word} {} of the specified {kind}", subresource.name),
                kind: kind_of.clone(),
                tag: &tag,
                parameters,
                body,
                answer: answer.clone(),
                codes,
            };
            operations.insert(method.to_owned(), built.build());
        }
        put(format!("{root}{scope}/{}/{{name}}/{}", resource.plural, subresource.name), operations, &named);
    }
}

/// A word with a capital first letter.
fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
