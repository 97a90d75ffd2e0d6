//! Field selectors: each kind supports a few fields of its own (`AddFieldLabelConversionFunc` of the API server's types).

use crate::{resource::Resource, status::ApiError};
use serde_json::Value;
use std::borrow::Cow;

/// `metadata.name=a,spec.nodeName!=b`, with the fields that the resource supports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    field: String,
    equal: bool,
    value: String,
}

/// The fields beside `metadata.name` and `metadata.namespace`, and what the API server says of others.
struct Supported {
    fields: &'static [&'static str],
    namespace: bool,
    refusal: fn(&Resource, &str) -> String,
}

fn plain(_: &Resource, field: &str) -> String {
    format!("field label not supported: {field}")
}

fn supported(resource: &Resource) -> Supported {
    let of = |fields, namespace| Supported { fields, namespace, refusal: plain };
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => of(
            &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.podIPs",
                "status.nominatedNodeName",
                "spec.host",
            ],
            true,
        ),
        ("", "nodes") => of(&["spec.unschedulable"], false),
        ("", "replicationcontrollers") => of(&["status.replicas"], true),
        ("", "events") => of(
            &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            true,
        ),
        ("events.k8s.io", "events") => of(
            &[
                "regarding.kind",
                "regarding.namespace",
                "regarding.name",
                "regarding.uid",
                "regarding.apiVersion",
                "regarding.resourceVersion",
                "regarding.fieldPath",
                "reason",
                "reportingController",
                "type",
            ],
            true,
        ),
        ("", "namespaces") => of(&["status.phase"], false),
        ("", "secrets") => of(&["type"], true),
        ("", "services") => of(&["spec.clusterIP", "spec.type"], true),
        ("certificates.k8s.io", "certificatesigningrequests") => of(&["spec.signerName"], false),
        ("batch", "jobs") => Supported {
            fields: &["status.successful"],
            namespace: true,
            refusal: |_, field| format!("field label {field:?} not supported for Job"),
        },
        ("resource.k8s.io", "resourceslices") => Supported {
            fields: &["spec.nodeName", "spec.driver"],
            namespace: false,
            refusal: |resource, field| format!("field label not supported for {}, Kind={}: {field}", resource.api_version(), resource.kind),
        },
        _ if resource.custom.is_some() => of(&[], resource.namespaced),
        _ => Supported {
            fields: &[],
            namespace: true,
            refusal: |_, field| format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
        },
    }
}

impl FieldSelector {
    /// `?fieldSelector=`; errors as the API server words them.
    pub fn parse(resource: &Resource, text: &str) -> Result<Self, ApiError> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let Some((at, operator)) = part.char_indices().find_map(|(at, _)| {
                let rest = part.get(at..)?;
                ["!=", "==", "="].into_iter().find(|operator| rest.starts_with(operator)).map(|operator| (at, operator))
            }) else {
                return Err(ApiError::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            let value = unescape(part.get(at + operator.len()..).unwrap_or_default()).map_err(ApiError::bad_request)?;
            terms.push(Term { field: part.get(..at).unwrap_or_default().to_owned(), equal: operator != "!=", value });
        }
        let supported = supported(resource);
        for term in &mut terms {
            let known = term.field == "metadata.name"
                || (term.field == "metadata.namespace" && supported.namespace)
                || supported.fields.contains(&term.field.as_str())
                || resource.custom.as_ref().is_some_and(|c| c.selectable_fields.iter().any(|f| f.trim_start_matches('.') == term.field));
            // a term without field and value, as `=`, selects everything
            let says_nothing = term.field.is_empty() && term.value.is_empty();
            if !(known || says_nothing) {
                return Err(ApiError::bad_request((supported.refusal)(resource, &term.field)));
            }
            if term.field == "spec.host" {
                term.field = "spec.nodeName".to_owned();
            }
        }
        terms.retain(|term| !term.field.is_empty());
        Ok(Self { terms })
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The one value that `field` must have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| (lookup(object, &term.field) == term.value) == term.equal)
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.extend(text.get(start..));
    terms
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                Some(c) => return Err(format!("invalid field selector: invalid escape sequence: \\{c}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".to_owned()),
            },
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {c}")),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

/// The field as the API server compares it: text, numbers and booleans printed, absent ones as their type's zero value.
fn lookup<'a>(object: &'a Value, field: &str) -> Cow<'a, str> {
    let at = |path: &str| path.split('.').try_fold(object, |value, key| value.get(key));
    let value = match field {
        "status.successful" => at("status.succeeded"),
        "status.podIP" => object["status"]["podIPs"][0].get("ip").or_else(|| at("status.podIP")),
        "source" => at("source.component").or_else(|| at("deprecatedSource.component")),
        // an event may be looked at in either of its two API versions
        "reportingComponent" | "reportingController" => at("reportingComponent").or_else(|| at("reportingController")),
        _ => match field.split_once('.') {
            Some((first @ ("involvedObject" | "regarding"), rest)) => {
                let other = if first == "regarding" { "involvedObject" } else { "regarding" };
                object.get(first).or_else(|| object.get(other)).and_then(|reference| reference.get(rest))
            }
            _ => at(field),
        },
    };
    match value {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Bool(yes)) => Cow::Borrowed(if *yes { "true" } else { "false" }),
        Some(Value::Number(number)) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed(match field {
            "spec.hostNetwork" | "spec.unschedulable" => "false",
            "status.replicas" | "status.successful" => "0",
            _ => "",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::Scheme;
    use serde_json::json;

    #[test]
    fn matching() {
        let pod = json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}});
        let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "a"}, "source": {"component": "kubelet"}, "reason": "Pulled"});
        let node = json!({"metadata": {"name": "n1"}, "spec": {}});
        for (group, plural, object, text, expected) in [
            ("", "pods", &pod, "", true),
            ("", "pods", &pod, "metadata.name=a", true),
            ("", "pods", &pod, "metadata.name==a,metadata.namespace!=c", true),
            ("", "pods", &pod, "spec.nodeName=", false),
            ("", "pods", &pod, "spec.host=n1", true),
            ("", "pods", &pod, "status.phase!=Running", false),
            ("", "pods", &pod, "spec.hostNetwork=false", true),
            ("", "pods", &pod, "status.podIP=10.0.0.1", true),
            ("", "pods", &pod, "metadata.name=a\\,b", false),
            ("", "pods", &pod, ",", true),
            ("", "events", &event, "involvedObject.name=a,reason=Pulled", true),
            ("", "events", &event, "source=kubelet,type=", true),
            ("events.k8s.io", "events", &event, "regarding.kind=Pod", true),
            ("", "nodes", &node, "spec.unschedulable=false", true),
            ("", "nodes", &node, "spec.unschedulable=true", false),
        ] {
            let resource = Scheme::find_builtin(group, "v1", plural).expect(plural);
            let selector = FieldSelector::parse(resource, text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.matches(object), expected, "{plural} {text}");
        }
    }

    /// The answers of kube-apiserver 1.34 to the same selectors.
    #[test]
    fn complaints() {
        for (group, plural, text, expected) in [
            ("", "pods", "foo", "invalid selector: 'foo'; can't understand 'foo'"),
            ("", "pods", "foo=bar", "field label not supported: foo"),
            ("", "pods", "spec.nodeName=a,foo=b", "field label not supported: foo"),
            ("", "pods", "metadata.name=a\\x", "invalid field selector: invalid escape sequence: \\x"),
            ("", "pods", "metadata.name=\\", "invalid field selector: invalid escape sequence: \\"),
            ("", "pods", "metadata.name>1", "invalid selector: 'metadata.name>1'; can't understand 'metadata.name>1'"),
            ("", "pods", "=x", "field label not supported: "),
            ("", "configmaps", "foo=b", "\"foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
            ("", "nodes", "metadata.namespace=b", "field label not supported: metadata.namespace"),
            ("batch", "jobs", "foo=b", "field label \"foo\" not supported for Job"),
            ("resource.k8s.io", "resourceslices", "foo=b", "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: foo"),
        ] {
            let resource = Scheme::find_builtin(group, "v1", plural).expect(plural);
            let error = FieldSelector::parse(resource, text).expect_err(text);
            assert_eq!((error.code, error.message.as_str()), (400, expected), "{text}");
        }
    }
}
