//! What is judged: an object, or a request of the API server about one.

use crate::{Origin, group_version, text};
use machinery::object;
use serde_json::{Map, Value, json};

/// Why something cannot be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreviewable {
    #[error("AdmissionReview: unknown field {0:?}")]
    UnknownField(String),
    #[error("AdmissionReview: there is no request in it")]
    NoRequest,
    #[error("AdmissionReview: the request has neither object nor oldObject")]
    NoObject,
    #[error("AdmissionReview: {0} has no kind")]
    NoKind(&'static str),
    #[error("oldObject must be there where something is deleted")]
    NothingDeleted,
}

/// Fields of an AdmissionRequest.
const FIELDS: &[&str] = &[
    "uid",
    "kind",
    "resource",
    "subResource",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "name",
    "namespace",
    "operation",
    "userInfo",
    "object",
    "oldObject",
    "dryRun",
    "options",
];

/// A request to be judged.
#[derive(Debug, Clone)]
pub struct Review {
    /// The AdmissionRequest, with the fields that are always there. What is deleted stands in `object`, too.
    pub(crate) request: Map<String, Value>,
    pub(crate) origin: Origin,
    /// The Namespace of the object, where who asks knows it.
    pub(crate) namespace: Option<Value>,
}

impl Review {
    /// An object as an audit or gator asks about it: no operation, nobody who asks.
    pub fn of_object(reviewed: &Value, origin: Origin) -> Self {
        let (group, version) = group_version(text(&reviewed["apiVersion"]));
        let mut request = empty();
        request.insert("kind".to_owned(), json!({"group": group, "version": version, "kind": reviewed["kind"]}));
        for (field, value) in [("name", object::name(reviewed)), ("namespace", object::namespace(reviewed))] {
            if !value.is_empty() {
                request.insert(field.to_owned(), value.into());
            }
        }
        request.insert("object".to_owned(), reviewed.clone());
        Self { request, origin, namespace: None }
    }

    /// An AdmissionReview of `admission.k8s.io`.
    pub fn of_admission_review(given: &Value) -> Result<Self, Unreviewable> {
        for (field, _) in given.as_object().into_iter().flatten() {
            if !matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "request" | "response") {
                return Err(Unreviewable::UnknownField(field.clone()));
            }
        }
        let Some(asked) = given["request"].as_object() else { return Err(Unreviewable::NoRequest) };
        let mut request = empty();
        for (field, value) in asked {
            if !FIELDS.contains(&field.as_str()) {
                return Err(Unreviewable::UnknownField(format!("request.{field}")));
            }
            // What is written when it is empty is not written by the API server.
            let optional = !matches!(field.as_str(), "uid" | "operation");
            if value.is_null() || (optional && (value == "" || *value == json!({}))) {
                continue;
            }
            request.insert(field.clone(), value.clone());
        }
        for field in ["object", "oldObject"] {
            if request[field].is_object() && text(&request[field]["kind"]).is_empty() {
                return Err(Unreviewable::NoKind(field));
            }
        }
        if request["object"].is_null() && request["oldObject"].is_null() {
            return Err(Unreviewable::NoObject);
        }
        if request["operation"] == "DELETE" {
            let deleted = request["oldObject"].clone();
            if deleted.is_null() {
                return Err(Unreviewable::NothingDeleted);
            }
            request.insert("object".to_owned(), deleted);
        }
        Ok(Self { request, origin: Origin::Original, namespace: None })
    }

    /// Whether a document is an AdmissionReview rather than an object to judge.
    pub fn is_admission_review(given: &Value) -> bool {
        given["kind"] == "AdmissionReview" && group_version(text(&given["apiVersion"])).0 == "admission.k8s.io"
    }

    /// What a document asks: an AdmissionReview what it says, any other object itself.
    pub fn of_document(given: &Value) -> Result<Self, Unreviewable> {
        if Self::is_admission_review(given) { Self::of_admission_review(given) } else { Ok(Self::of_object(given, Origin::Original)) }
    }

    /// With the Namespace that the object is in.
    #[must_use]
    pub fn in_namespace(mut self, namespace: Option<Value>) -> Self {
        self.namespace = namespace;
        self
    }

    pub(crate) fn operation(&self) -> &str {
        self.request.get("operation").map(text).unwrap_or_default()
    }

    pub(crate) fn request_namespace(&self) -> &str {
        self.request.get("namespace").map(text).unwrap_or_default()
    }

    /// The object and the one before it, where they are there.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        ["object", "oldObject"].into_iter().filter_map(|field| self.request.get(field)).filter(|object| object.is_object())
    }

    /// `input.review`.
    pub(crate) fn input(&self, namespace: Option<&Value>) -> Value {
        let mut review = self.request.clone();
        review.insert("namespaceObject".to_owned(), namespace.cloned().unwrap_or_else(|| json!({})));
        Value::Object(review)
    }
}

/// The fields that are there in every request.
fn empty() -> Map<String, Value> {
    let fields = json!({
        "uid": "",
        "kind": {"group": "", "version": "", "kind": ""},
        "resource": {"group": "", "version": "", "resource": ""},
        "operation": "",
        "userInfo": {},
        "object": null,
        "oldObject": null,
        "options": null,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
