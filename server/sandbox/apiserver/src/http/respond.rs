//! Answers: an object, a list, a table or an error in the form that was negotiated.

use super::negotiate::{Accepted, Encoding, Shape};
use crate::{call::Call, verbs::list::Listed};
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use machinery::{
    ApiError,
    ordered::{self, Ordered},
    table,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) type Answer = Response<Body>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: String,
    api_version: String,
    metadata: Ordered<'a>,
    items: Vec<Ordered<'a>>,
}

/// Any serializable value in the negotiated encoding.
pub(super) fn encode(code: u16, accepted: Accepted, value: &impl Serialize) -> Answer {
    let (kind, bytes) = match accepted.encoding {
        Encoding::Json if accepted.pretty => ("application/json", serde_json::to_vec_pretty(value).map_err(|error| error.to_string())),
        Encoding::Json => ("application/json", serde_json::to_vec(value).map_err(|error| error.to_string())),
        Encoding::Yaml => {
            // YAML is written from a map, whose names are in order.
            let text = serde_json::to_value(value)
                .map_err(|error| error.to_string())
                .and_then(|value| serde_saphyr::to_string(&value).map_err(|error| error.to_string()));
            ("application/yaml", text.map(String::into_bytes))
        }
    };
    match bytes {
        Ok(mut bytes) => {
            if matches!(accepted.encoding, Encoding::Json) {
                bytes = without_markup(bytes);
            }
            // Indented JSON ends without an end of line.
            let indented = accepted.pretty && matches!(accepted.encoding, Encoding::Json);
            if bytes.last() != Some(&b'\n') && !indented {
                bytes.push(b'\n');
            }
            bare(code, kind, bytes)
        }
        Err(message) => bare(500, "text/plain; charset=utf-8", message.into_bytes()),
    }
}

/// `<`, `>` and `&`, which stand in texts only, as Go's encoder writes them.
fn without_markup(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.iter().any(|byte| matches!(byte, b'<' | b'>' | b'&')) {
        return bytes;
    }
    let mut escaped = Vec::with_capacity(bytes.len() + 64);
    for byte in bytes {
        match byte {
            b'<' => escaped.extend_from_slice(b"\\u003c"),
            b'>' => escaped.extend_from_slice(b"\\u003e"),
            b'&' => escaped.extend_from_slice(b"\\u0026"),
            other => escaped.push(other),
        }
    }
    escaped
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
    let mut answer = encode(error.code, Accepted { shape: Shape::Object, ..accepted }, &ordered::object(&error.to_status()));
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
        Shape::Object => encode(code, accepted, &ordered::object(object)),
        Shape::Metadata => encode(code, accepted, &ordered::object(&metadata_only(object))),
        Shape::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            // A Scale has columns of its own, whatever it scales.
            let of = if object["kind"] == "Scale" { &crate::subresources::scale::own_kind(call) } else { &*call.resource };
            let table = table::render(of, metadata, std::slice::from_ref(object), include, true, call.now);
            encode(code, accepted, &ordered::object(&table))
        }
    };
    with_warnings(answer, &call.warnings)
}

pub(super) fn list(call: &Call, accepted: Accepted, include: table::IncludeObject, listed: &Listed) -> Answer {
    let answer = match accepted.shape {
        Shape::Object => {
            let bare = call.resource.custom.is_none();
            let metadata = listed.metadata();
            let list = List {
                kind: call.resource.list_kind(),
                api_version: call.resource.api_version(),
                metadata: ordered::list_metadata(&metadata),
                items: listed.items.iter().map(|item| if bare { ordered::item(item) } else { ordered::object(item) }).collect(),
            };
            encode(200, accepted, &list)
        }
        Shape::Metadata => {
            let items: Vec<_> = listed.items.iter().map(|object| metadata_only(object)).collect();
            let list =
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": listed.metadata(), "items": items});
            encode(200, accepted, &ordered::object(&list))
        }
        Shape::Table => {
            let table = table::render(&call.resource, listed.metadata(), &listed.items, include, true, call.now);
            encode(200, accepted, &ordered::object(&table))
        }
    };
    with_warnings(answer, &call.warnings)
}
