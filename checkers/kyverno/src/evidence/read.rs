//! Evidence from the files that Kyverno's command line takes: values, user, context, cluster resources, exceptions.

use super::{Evidence, PolicyValues};
use kyverno_jmespath::Env;
use serde_json::{Map, Value};

/// A list of documents, or one alone.
fn documents(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn map(value: &Value, name: &str) -> Map<String, Value> {
    value.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// A mocked answer as a recorded one.
fn mocked_call(mocked: &Value) -> Value {
    let of = |pointer: &str| mocked.pointer(pointer).cloned();
    let status = of("/response/statusCode").filter(|status| *status != 0).unwrap_or(Value::from(200));
    serde_json::json!({
        "method": text(mocked, "method"), "url": of("/url"), "urlPath": of("/urlPath"), "response": of("/response/body"), "statusCode": status,
    })
}

impl Evidence {
    /// Adds what a document says under `variables` or `values`, `userinfo`, `context`, `clusterResources`, `targetResources`, `exceptions`,
    /// `images`, `http` and `globalContext`: the files of Kyverno's command line, by their kind. `paramResources` are parameters of
    /// admission policies, `apiCallResponses` and `globalContextEntries` stand for servers in the tests of Kyverno.
    pub fn add(&mut self, documents_by_kind: &Value) {
        for kind in ["values", "variables"] {
            documents(documents_by_kind.get(kind)).into_iter().for_each(|document| self.add_values(document));
        }
        for document in documents(documents_by_kind.get("userinfo")) {
            self.user = serde_json::from_value(document.clone()).ok();
        }
        for kind in ["context", "clusterResources"] {
            for document in documents(documents_by_kind.get(kind)) {
                self.add_context(document);
            }
        }
        self.targets.extend(documents(documents_by_kind.get("targetResources")).into_iter().cloned());
        self.exceptions.extend(documents(documents_by_kind.get("exceptions")).into_iter().cloned());
        self.images.extend(documents(documents_by_kind.get("images")).into_iter().cloned());
        self.http.extend(documents(documents_by_kind.get("http")).into_iter().cloned());
        self.global.extend(map(documents_by_kind, "globalContext"));
        self.objects.extend(documents(documents_by_kind.get("paramResources")).into_iter().cloned());
        self.http.extend(list(documents_by_kind, "/apiCallResponses").map(mocked_call));
        for entry in list(documents_by_kind, "/globalContextEntries") {
            self.add_mocked_entry(entry);
        }
    }

    /// An entry of the global context: its data or objects, or the projections of them.
    fn add_mocked_entry(&mut self, entry: &Value) {
        let env = Env::new(self.now, self.seed);
        let search = |path: &str, root: &Value| kyverno_jmespath::compile(path).and_then(|query| query.search(root, &env)).ok();
        let root = entry.get("data").or_else(|| entry.get("resources")).cloned().unwrap_or(Value::Null);
        let root = match entry.get("fieldPath").and_then(Value::as_str).filter(|path| !path.is_empty()) {
            Some(path) => search(path, &root),
            None => Some(root),
        };
        let Some(root) = root else { return };
        let projections: Vec<&Value> = list(entry, "/projections").collect();
        let value = match projections.as_slice() {
            [] => root,
            // One that cannot be read is not there, and what asks for it says so.
            named => named.iter().filter_map(|p| Some((text(p, "name"), search(&text(p, "path"), &root)?))).collect(),
        };
        self.global.insert(text(entry, "name"), value);
    }

    fn add_values(&mut self, document: &Value) {
        self.values.global.extend(map(document, "globalValues"));
        for policy in list(document, "/policies") {
            let of_rule = |rule: &Value| {
                let mut values = map(rule, "values");
                // The first value of each list stands for every element.
                for (name, list) in map(rule, "foreachValues") {
                    values.insert(name, list.get(0).cloned().unwrap_or(Value::Null));
                }
                (text(rule, "name"), values)
            };
            self.values.policies.push(PolicyValues {
                name: text(policy, "name"),
                resources: list(policy, "/resources").map(|resource| (text(resource, "name"), map(resource, "values"))).collect(),
                rules: list(policy, "/rules").map(of_rule).collect(),
            });
        }
        for selector in list(document, "/namespaceSelector") {
            let name = text(selector, "name");
            let namespace = serde_json::json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": map(selector, "labels") },
            });
            self.namespaces.entry(name).or_insert(namespace);
        }
        for namespace in list(document, "/namespaces") {
            let name = namespace.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            self.namespaces.insert(name.to_owned(), namespace.clone());
        }
        self.subresources.extend(list(document, "/subresources").cloned());
    }

    fn add_context(&mut self, document: &Value) {
        self.objects.extend(list(document, "/spec/resources").cloned());
        self.images.extend(list(document, "/spec/images").cloned());
        self.http.extend(list(document, "/spec/http").cloned());
        self.global.extend(document.pointer("/spec/globalContext").and_then(Value::as_object).cloned().unwrap_or_default());
    }
}
