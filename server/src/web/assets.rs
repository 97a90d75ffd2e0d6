//! Scripts and styles, bundled by `make web` and embedded in the binary.

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, Response, StatusCode, header},
};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
#[allow_missing = true]
#[exclude = ".*"]
struct Dist;

/// True where the bundle is in this binary. Where it is not, the pages work as plain pages and say what is missing.
pub fn bundled() -> bool {
    Dist::get("page.js").is_some()
}

/// The path of a bundled file; its content's hash makes it safe to keep for ever.
pub fn href(name: &str) -> String {
    match Dist::get(name) {
        Some(file) => format!("/assets/{name}?v={}", hex::encode(&file.metadata.sha256_hash()[..6])),
        None => format!("/assets/{name}"),
    }
}

/// GET /assets/{name}
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    let answer = Response::builder().header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let Some(file) = Dist::get(&name) else {
        let answer = answer.status(StatusCode::NOT_FOUND).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        return answer.body(Body::from("there is no such file; are the pages bundled? run: make web\n")).unwrap_or_default();
    };
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..12]));
    let answer = answer.header(header::ETAG, &tag).header(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|have| have.as_bytes() == tag.as_bytes()) {
        return answer.status(StatusCode::NOT_MODIFIED).body(Body::empty()).unwrap_or_default();
    }
    answer.header(header::CONTENT_TYPE, content_type(&name)).body(Body::from(file.data.into_owned())).unwrap_or_default()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
