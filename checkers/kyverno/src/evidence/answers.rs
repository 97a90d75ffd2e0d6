//! What API calls, HTTP calls and registries answer.

use super::Evidence;
use kyverno_jmespath::image::Image;
use machinery::{Scheme, selector::LabelSelector};
use serde_json::{Value, json};

/// What is known of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Found(Value),
    /// The cluster was asked, and has it not; the server's words.
    Missing(String),
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `pods` for `Pod`: as the scheme has it, or as most kinds are spelled.
pub fn plural_of(kind: &str) -> String {
    if let Some(resource) = Scheme::builtin().iter().find(|r| r.kind == kind) {
        return resource.plural.to_string();
    }
    let lower = kind.to_lowercase();
    match lower.chars().last() {
        Some('s' | 'x') => format!("{lower}es"),
        Some('y') if !lower.ends_with("ay") && !lower.ends_with("ey") => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}

/// Kinds that are not built in are taken for ones that live in namespaces.
pub fn is_namespaced(kind: &str) -> bool {
    !Scheme::builtin().iter().any(|r| r.kind == kind && !r.namespaced)
}

impl Evidence {
    /// Nothing is said of what a cluster holds.
    pub fn knows_no_cluster(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn object(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.iter().chain(&self.targets).find(|object| {
            text(object, "/apiVersion") == api_version
                && text(object, "/kind") == kind
                && text(object, "/metadata/name") == name
                && namespace_of(object) == namespace
        })
    }

    /// What the API server answers to a path such as `/api/v1/namespaces/a/pods?labelSelector=app=b`.
    pub fn api_answer(&self, url_path: &str, method: &str) -> Answer {
        if let found @ Answer::Found(_) = self.recorded("urlPath", url_path, method) {
            return found;
        }
        if self.knows_no_cluster() || method != "GET" {
            return Answer::Missing("nothing is recorded for it".to_owned());
        }
        let (path, query) = url_path.split_once('?').unwrap_or((url_path, ""));
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        let (api_version, rest) = match steps.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return Answer::Missing("the server could not find the requested resource".to_owned()),
        };
        let (namespace, plural, name) = match rest {
            ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
            ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
            [plural, name] => (None, *plural, Some(*name)),
            [plural] => (None, *plural, None),
            _ => return Answer::Missing("the server could not find the requested resource".to_owned()),
        };
        let selector =
            query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).map(|s| s.replace("%3D", "=").replace("%2C", ","));
        let selector = match selector.map(|s| LabelSelector::parse(&s)).transpose() {
            Ok(selector) => selector,
            Err(error) => return Answer::Missing(error.to_string()),
        };
        let found = self.objects.iter().filter(|object| {
            text(object, "/apiVersion") == api_version
                && plural_of(text(object, "/kind")) == plural
                && namespace.is_none_or(|namespace| namespace_of(object) == namespace)
                && name.is_none_or(|name| text(object, "/metadata/name") == name)
                && selector.as_ref().is_none_or(|s| s.matches(object.pointer("/metadata/labels").and_then(Value::as_object)))
        });
        match name {
            Some(name) => match found.into_iter().next() {
                Some(object) => Answer::Found(object.clone()),
                None => Answer::Missing(format!("{plural} \"{name}\" not found")),
            },
            None => {
                let items: Vec<Value> = found.cloned().collect();
                let kind = items.first().map_or("", |item| text(item, "/kind"));
                Answer::Found(json!({ "apiVersion": api_version, "kind": format!("{kind}List"), "metadata": {}, "items": items }))
            }
        }
    }

    pub fn http_answer(&self, url: &str, method: &str) -> Answer {
        self.recorded("url", url, method)
    }

    fn recorded(&self, field: &str, wanted: &str, method: &str) -> Answer {
        let fits = |entry: &&Value| {
            let of_entry = entry.get("method").and_then(Value::as_str).unwrap_or("GET");
            entry.get(field).and_then(Value::as_str) == Some(wanted) && (of_entry.is_empty() || of_entry.eq_ignore_ascii_case(method))
        };
        let status = |entry: &Value| entry.get("statusCode").and_then(Value::as_i64).unwrap_or(200);
        match self.http.iter().find(fits) {
            Some(entry) if !(200..300).contains(&status(entry)) => Answer::Missing(format!("HTTP {}", status(entry))),
            Some(entry) => Answer::Found(entry.get("response").cloned().unwrap_or(Value::Null)),
            None => Answer::Missing("nothing is recorded for it".to_owned()),
        }
    }

    pub fn global(&self, entry: &str, projection: &str) -> Answer {
        match self.global.get(entry) {
            Some(value) if projection.is_empty() => Answer::Found(value.clone()),
            Some(value) => value.get(projection).cloned().map_or_else(|| Answer::Missing("projection not found".to_owned()), Answer::Found),
            None => Answer::Missing(format!("failed to fetch entry key={entry}")),
        }
    }

    /// What a registry says of an image, however its name is written.
    pub fn image(&self, reference: &str) -> Option<&Value> {
        let wanted = Image::parse(reference).ok()?;
        self.images.iter().find(|entry| {
            let Ok(known) = Image::parse(text(entry, "/image")) else { return false };
            let digest = text(entry, "/digest");
            known == wanted
                || known.registry == wanted.registry
                    && known.path == wanted.path
                    && (!wanted.digest.is_empty() && wanted.digest == digest || wanted.digest.is_empty() && known.tag == wanted.tag)
        })
    }
}

/// Objects without a namespace are in `default` where their kind lives in namespaces.
fn namespace_of(object: &Value) -> &str {
    match text(object, "/metadata/namespace") {
        "" => {
            if is_namespaced(text(object, "/kind")) {
                "default"
            } else {
                ""
            }
        }
        namespace => namespace,
    }
}
