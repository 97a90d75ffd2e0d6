//! /attempts/{id}/files/… : the learner's files for the editor. An `ETag` is a hash of the content, so that two places that edit
//! one file (page and shell) do not overwrite each other unseen.

use crate::app::AppError;
use crate::web::{
    Site,
    error::WebError,
    extract::{Path, SignedInUser, Upload},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..12]))
}

/// GET /attempts/{id}/files/
pub async fn list(State(site): State<Site>, SignedInUser { user, .. }: SignedInUser, Path(id): Path<String>) -> Result<Response, WebError> {
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(site.app.files(&user, &id).await?)).into_response())
}

/// GET /attempts/{id}/files/{path}
pub async fn read(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response, WebError> {
    let bytes = site.app.read_file(&user, &id, &path).await?;
    if std::str::from_utf8(&bytes).is_err() {
        return Err(WebError::BadRequest("it is no UTF-8 text".to_owned()));
    }
    // Never anything that a browser would run.
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::ETAG, tag(&bytes)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, bytes).into_response())
}

/// PUT /attempts/{id}/files/{path}, with `If-Match` or `If-None-Match: *`.
pub async fn write(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path((id, path)): Path<(String, String)>,
    headers: HeaderMap,
    Upload(bytes): Upload,
) -> Result<Response, WebError> {
    let present = match site.app.read_file(&user, &id, &path).await {
        Ok(bytes) => Some(tag(&bytes)),
        Err(AppError::NotFound("file")) => None,
        Err(AppError::Invalid { .. }) => Some(String::new()),
        Err(error) => return Err(error.into()),
    };
    let header = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fits = match (header(header::IF_MATCH), header(header::IF_NONE_MATCH)) {
        (Some(wanted), _) => present.as_deref() == Some(wanted.as_str()),
        (_, Some(star)) if star == "*" => present.is_none(),
        _ => true,
    };
    if !fits {
        return Ok((StatusCode::PRECONDITION_FAILED, Json(serde_json::json!({"error": "it was changed meanwhile"}))).into_response());
    }
    let tag = tag(&bytes);
    site.app.write_file(&user, &id, &path, bytes).await?;
    Ok((StatusCode::NO_CONTENT, [(header::ETAG, tag)]).into_response())
}

/// DELETE /attempts/{id}/files/{path}
pub async fn remove(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path((id, path)): Path<(String, String)>,
    _token: Upload,
) -> Result<Response, WebError> {
    site.app.remove_file(&user, &id, &path).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
