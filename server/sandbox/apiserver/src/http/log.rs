//! `pods/log`.

use super::{query::Query, respond, respond::Answer};
use crate::{call::Call, node::LogOptions, subresources::container, verbs::get};
use axum::body::Body;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use machinery::{ApiError, FieldError};
use serde_json::json;
use std::convert::Infallible;
use tokio_stream::wrappers::ReceiverStream;

pub(super) async fn serve(query: &Query, call: &Call) -> Result<Answer, ApiError> {
    let pod = get::get(call)?;
    let options = options(query, call)?;
    let container = container::choose(&pod, &options.container)?;
    // The server asks nobody while no kubelet has the pod.
    if pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
        let mut nothing = respond::bare(204, "text/plain", "");
        nothing.headers_mut().remove(http::header::CONTENT_TYPE);
        return Ok(nothing);
    }
    container::check_node(call, &pod)?;
    let Some(runtime) = call.server.node_runtime() else { return Err(super::session::no_runtime()) };
    let chunks = runtime.logs(pod, LogOptions { container, ..options }).await?;
    let body = Body::from_stream(ReceiverStream::new(chunks).map(Ok::<_, Infallible>));
    Ok(respond::bare(200, "text/plain", body))
}

fn options(query: &Query, call: &Call) -> Result<LogOptions, ApiError> {
    let mut errors = Vec::new();
    let mut number = |field: &str, least: i64| -> Result<Option<i64>, ApiError> {
        let value = query.number(field)?;
        if let Some(value) = value.filter(|value| *value < least) {
            let detail = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            errors.push(FieldError::invalid(field, &json!(value), detail));
        }
        Ok(value)
    };
    let tail_lines = number("tailLines", 0)?;
    let limit_bytes = number("limitBytes", 1)?;
    let seconds = number("sinceSeconds", 1)?;
    let time = match query.get("sinceTime").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(
            text.parse::<Timestamp>()
                .map_err(|_| ApiError::bad_request(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse")))?,
        ),
    };
    if seconds.is_some() && time.is_some() {
        errors.push(FieldError::forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if query.get("stream").is_some_and(|stream| !stream.is_empty()) {
        errors.push(FieldError::forbidden("stream", "may not be specified"));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid("", "PodLogOptions", &call.name, &errors));
    }
    let since = match seconds {
        Some(seconds) => call.now.checked_sub(SignedDuration::from_secs(seconds)).ok(),
        None => time,
    };
    Ok(LogOptions {
        container: query.text("container").to_owned(),
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines,
        limit_bytes,
        since,
    })
}
