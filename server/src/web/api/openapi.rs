//! GET /attempts/{id}/openapi/{path} : the cluster's own OpenAPI v3, for the editor's checks.

use crate::web::{
    Site,
    error::WebError,
    extract::{Path, SignedInUser},
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

pub async fn openapi(
    State(site): State<Site>,
    SignedInUser { user, .. }: SignedInUser,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response, WebError> {
    // `api/v1` or `apis/<group>/<version>`, nothing else of the cluster's API.
    let plain = |part: &str| {
        !part.is_empty() && part != ".." && part.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'))
    };
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["api", version] if plain(version) => {}
        ["apis", group, version] if plain(group) && plain(version) => {}
        _ => return Err(WebError::NotFound),
    }
    let body = site.app.cluster_get(&user, &id, &format!("/openapi/v3/{path}")).await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "private, max-age=300")], body).into_response())
}
