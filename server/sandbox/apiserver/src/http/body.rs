//! Reading a request's body: bounded, and decoded by its media type.

use super::{negotiate, protobuf};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use machinery::{
    ApiError,
    strict::{self, Format},
};
use serde_json::Value;

/// Nesting that a body may have at most, as the limit of encoding/json's fast path guards a real server.
const DEPTH: usize = 500;

pub(super) async fn read(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_request(format!("unable to read the body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len().saturating_add(data.len()) > limit {
            return Err(ApiError::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}")));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// The body as JSON or YAML text; anything but these and protobuf is 415.
pub(super) fn text(headers: &HeaderMap, body: Bytes) -> Result<(Format, Bytes), ApiError> {
    match negotiate::content_type(headers).as_str() {
        "application/json" => Ok((Format::Json, body)),
        "application/yaml" => Ok((Format::Yaml, body)),
        "application/vnd.kubernetes.protobuf" => {
            let text = protobuf::decode(&body)?.to_string();
            Ok((Format::Json, text.into()))
        }
        _ => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        )),
    }
}

/// A body that no schema describes, by its media type.
pub(super) fn options(headers: &HeaderMap, body: Bytes) -> Result<Value, ApiError> {
    let (format, body) = text(headers, body)?;
    value(format, &body)
}

/// What a subresource or a delete takes: one object of a built-in kind. Empty reads as null.
pub(super) fn typed(headers: &HeaderMap, body: Bytes, (group, version, kind): (&str, &str, &str)) -> Result<Value, ApiError> {
    let (format, body) = text(headers, body)?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    Ok(strict::decode_kind(group, version, kind, format, &body, strict::FieldValidation::Ignore)?.object)
}

/// A body that no schema describes: options, patches, reviews. Empty reads as null.
pub(super) fn value(format: Format, body: &[u8]) -> Result<Value, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    let value: Value = match format {
        Format::Json => serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("error decoding JSON: {error}")))?,
        Format::Yaml => {
            let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("yaml: control characters are not allowed"))?;
            serde_saphyr::from_str(text).map_err(|error| ApiError::bad_request(format!("error converting YAML to JSON: {error}")))?
        }
    };
    if depth(&value, 0) > DEPTH {
        return Err(ApiError::bad_request("the body is nested too deeply"));
    }
    Ok(value)
}

fn depth(value: &Value, above: usize) -> usize {
    if above > DEPTH {
        return above;
    }
    match value {
        Value::Array(list) => list.iter().map(|item| depth(item, above + 1)).max().unwrap_or(above),
        Value::Object(map) => map.values().map(|item| depth(item, above + 1)).max().unwrap_or(above),
        _ => above,
    }
}
