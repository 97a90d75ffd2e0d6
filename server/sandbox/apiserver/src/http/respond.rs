//! Answers: an object, a list, a table or an error in the form that was negotiated.

use super::negotiate::{Accepted, Encoding, Shape};
use crate::{call::Call, verbs::list::Listed};
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use machinery::{ApiError, table};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) type Answer = Response<Body>;

/// A list item: kinds of the built-in API do not repeat their kind in each item.
struct Item<'a>(&'a Value, bool);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Some(object), true) = (self.0.as_object(), self.1) else { return self.0.serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in object {
            if key != "kind" && key != "apiVersion" {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: String,
    api_version: String,
    metadata: Value,
    items: Vec<Item<'a>>,
}

/// Any serializable value in the negotiated encoding.
pub(super) fn encode(code: u16, accepted: Accepted, value: &impl Serialize) -> Answer {
    let (kind, bytes) = match accepted.encoding {
        Encoding::Json if accepted.pretty => ("application/json", serde_json::to_vec_pretty(value).map_err(|error| error.to_string())),
        Encoding::Json => ("application/json", serde_json::to_vec(value).map_err(|error| error.to_string())),
        Encoding::Yaml => ("application/yaml", serde_saphyr::to_string(value).map(String::into_bytes).map_err(|error| error.to_string())),
    };
    match bytes {
        Ok(mut bytes) => {
            if bytes.last() != Some(&b'\n') {
                bytes.push(b'\n');
            }
            bare(code, kind, bytes)
        }
        Err(message) => bare(500, "text/plain; charset=utf-8", message.into_bytes()),
    }
}

/// Bytes with their media type.
pub(super) fn bare(code: u16, content_type: &'static str, bytes: impl Into<Body>) -> Answer {
    let mut answer = Response::new(bytes.into());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// A Status; shapes do not apply to errors.
pub(super) fn error(error: &ApiError, accepted: Accepted) -> Answer {
    let mut answer = encode(error.code, Accepted { shape: Shape::Object, ..accepted }, &error.to_status());
    let seconds = error.details["retryAfterSeconds"].as_u64().or_else(|| (error.code == 429).then_some(1));
    if let Some(seconds) = seconds {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// `Warning: 299 - "…"`, once each. What no header can hold is left out.
pub(super) fn with_warnings(mut answer: Answer, warnings: &[String]) -> Answer {
    for warning in warnings {
        let text: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            answer.headers_mut().append(header::WARNING, value);
        }
    }
    answer
}

/// `PartialObjectMetadata` of an object.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

pub(super) fn object(call: &Call, code: u16, accepted: Accepted, include: table::IncludeObject, object: &Arc<Value>) -> Answer {
    let answer = match accepted.shape {
        Shape::Object => encode(code, accepted, &**object),
        Shape::Metadata => encode(code, accepted, &metadata_only(object)),
        Shape::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            // A Scale has columns of its own, whatever it scales.
            let of = if object["kind"] == "Scale" {
                &crate::subresources::scale::own_kind(call)
            } else {
                &*call.resource
            };
            let table = table::render(of, metadata, std::slice::from_ref(object), include, true, call.now);
            encode(code, accepted, &table)
        }
    };
    with_warnings(answer, &call.warnings)
}

pub(super) fn list(call: &Call, accepted: Accepted, include: table::IncludeObject, listed: &Listed) -> Answer {
    let answer = match accepted.shape {
        Shape::Object => {
            let bare = call.resource.custom.is_none();
            let list = List {
                kind: call.resource.list_kind(),
                api_version: call.resource.api_version(),
                metadata: listed.metadata(),
                items: listed.items.iter().map(|object| Item(object, bare)).collect(),
            };
            encode(200, accepted, &list)
        }
        Shape::Metadata => {
            let items: Vec<_> = listed.items.iter().map(|object| metadata_only(object)).collect();
            let list =
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": listed.metadata(), "items": items});
            encode(200, accepted, &list)
        }
        Shape::Table => {
            let table = table::render(&call.resource, listed.metadata(), &listed.items, include, true, call.now);
            encode(200, accepted, &table)
        }
    };
    with_warnings(answer, &call.warnings)
}
