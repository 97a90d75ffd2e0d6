//! Every address of the pages.

use super::{
    Site, api, assets,
    error::WebError,
    live,
    middleware::{
        security::{self, Security},
        visitor,
    },
    pages::{account, catalogue, intro, lab, register, result, sign_in, users},
    terminal,
};
use axum::{
    Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::any::Any;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
};

pub fn router(site: Site) -> Router {
    let attempt = Router::new()
        .route("/", get(lab::lab))
        .route("/check", post(lab::check))
        .route("/hints/{task}", post(lab::hint))
        .route("/reset", post(lab::reset))
        .route("/finish", post(lab::finish))
        .route("/apply", post(lab::apply))
        .route("/kubeconfig", get(lab::kubeconfig))
        .route("/result", get(result::result))
        .route("/receipt", get(result::receipt))
        .route("/events", get(live::events))
        .route("/terminal", get(terminal::terminal))
        .route("/files/", get(api::files::list))
        .route("/files/{*path}", get(api::files::read).put(api::files::write).delete(api::files::remove))
        .route("/openapi/{*path}", get(api::openapi::openapi));
    let security = Security { random: site.app.random.clone(), https: site.cookies.secure };
    Router::new()
        .route("/", get(catalogue::catalogue))
        .route("/labs/{lab}", get(intro::intro))
        .route("/labs/{lab}/start", post(intro::start))
        .nest("/attempts/{id}", attempt)
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/register", get(register::form).post(register::register))
        .route("/join/{link}", get(register::link_form).post(register::register_by_link))
        .route("/account", get(account::account))
        .route("/account/password", post(account::password))
        .route("/admin/users", get(users::users))
        .route("/admin/users/{id}", post(users::change))
        .route("/receipts/public-key", get(result::public_key))
        .fallback(async || WebError::NotFound)
        .method_not_allowed_fallback(async || WebError::NotFound)
        // Within the visitor's layer, which makes a page of it.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(site.clone(), visitor::visitor))
        .route("/assets/{name}", get(assets::asset))
        .route("/healthz", get(async || (StatusCode::OK, "ok\n")))
        .with_state(site)
        .layer(from_fn_with_state(security, security::security))
        // Live events go out as they happen; a compressor would hold them back.
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(1024).and(NotForContentType::const_new("text/event-stream"))))
        .layer(CatchPanicLayer::new())
}

/// A handler's panic is an error of ours; its words go to the log.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    WebError::internal(format!("a handler panicked: {}", words.unwrap_or("without words"))).into_response()
}
