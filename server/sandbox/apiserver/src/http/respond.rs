//! Answers: an object, a list, a table or an error in the form that was negotiated.

use super::negotiate::{Accepted, Encoding, Shape};
use crate::{call::Call, convert::Served, verbs::list::Listed};
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
                bytes = ordered::without_markup(bytes);
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
        Shape::Object if accepted.encoding == Encoding::Json && !accepted.pretty => bare(200, "application/json", joined(call, listed)),
        Shape::Object => {
            let items: Vec<_> = listed.items.iter().map(Served::tree).collect();
            let metadata = listed.metadata();
            let list = List {
                kind: call.resource.list_kind(),
                api_version: call.resource.api_version(),
                metadata: ordered::list_metadata(&metadata),
                items: items.iter().map(|item| if has_bare_items(call) { ordered::item(item) } else { ordered::object(item) }).collect(),
            };
            encode(200, accepted, &list)
        }
        Shape::Metadata => {
            let items: Vec<_> = listed.items.iter().map(|object| metadata_only(&object.tree())).collect();
            let list =
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": listed.metadata(), "items": items});
            encode(200, accepted, &ordered::object(&list))
        }
        Shape::Table => {
            let items: Vec<_> = listed.items.iter().map(Served::tree).collect();
            let table = table::render(&call.resource, listed.metadata(), &items, include, true, call.now);
            encode(200, accepted, &ordered::object(&table))
        }
    };
    with_warnings(answer, &call.warnings)
}

/// Items of built-in kinds do not repeat what kind they are.
fn has_bare_items(call: &Call) -> bool {
    call.resource.custom.is_none()
}

/// A list of the texts that the store holds.
fn joined(call: &Call, listed: &Listed) -> String {
    let (kind, version) = (call.resource.list_kind(), call.resource.api_version());
    let metadata = ordered::text(&ordered::list_metadata(&listed.metadata()));
    let mut list = format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata},"items":["#);
    let head = format!(r#"{{"kind":"{}","apiVersion":"{version}","#, call.resource.kind);
    for (index, item) in listed.items.iter().enumerate() {
        if index > 0 {
            list.push(',');
        }
        let text = item.text();
        match text.strip_prefix(&head) {
            Some(rest) if has_bare_items(call) => {
                list.push('{');
                list.push_str(rest);
            }
            _ if has_bare_items(call) => list.push_str(ordered::text(&ordered::item(&item.tree())).get()),
            _ => list.push_str(&text),
        }
    }
    list.push_str("]}\n");
    list
}
