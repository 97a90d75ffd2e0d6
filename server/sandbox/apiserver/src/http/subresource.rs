//! Subresources over HTTP.

use super::{
    body, endpoints,
    entry::Incoming,
    log,
    negotiate::Accepted,
    port_forward, proxy,
    resource::{body_of, call, decode, include, patch_of, unknown},
    respond,
    respond::Answer,
    session,
};
use crate::{
    call::Call,
    subresources::{binding, eviction, scale, status, token},
    verbs::{get, patch},
};
use machinery::{ApiError, Resource};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn serve(incoming: Incoming, resource: Arc<Resource>, accepted: Accepted) -> Result<Answer, ApiError> {
    let name = incoming.path.subresource.clone();
    let Some(described) = resource.subresources.iter().find(|subresource| subresource.name == name) else { return Err(unknown()) };
    let streams = matches!(name.as_str(), "exec" | "attach" | "portforward" | "proxy");
    if !streams && !described.verbs.contains(&incoming.verb) {
        return Err(endpoints::method_not_allowed());
    }
    let mut call = call(&incoming, resource)?;
    let answer = act(incoming, &name, &mut call, accepted).await;
    // What was warned of before something failed is said as well.
    Ok(answer.unwrap_or_else(|error| respond::with_warnings(respond::error(&error, accepted), &call.warnings)))
}

async fn act(incoming: Incoming, name: &str, call: &mut Call, accepted: Accepted) -> Result<Answer, ApiError> {
    match (name, incoming.verb) {
        ("binding", "create") => {
            let (headers, bytes) = body_of(incoming).await?;
            binding::bind(call, &body::typed(&headers, bytes, ("", "v1", "Binding"))?)?;
            Ok(success(call, accepted))
        }
        ("token", "create") => {
            let (headers, bytes) = body_of(incoming).await?;
            let answer = token::request(call, &body::options(&headers, bytes)?)?;
            Ok(respond::object(call, 201, accepted, machinery::table::IncludeObject::Metadata, &Arc::new(answer)))
        }
        ("eviction", "create") => {
            let (headers, bytes) = body_of(incoming).await?;
            eviction::evict(call, &body::typed(&headers, bytes, ("policy", "v1", "Eviction"))?)?;
            Ok(success(call, accepted))
        }
        ("log", "get") => {
            let query = incoming.query.clone();
            drop(incoming);
            log::serve(&query, call).await
        }
        ("exec", "get" | "create") => session::serve(incoming, call, false).await,
        ("attach", "get" | "create") => session::serve(incoming, call, true).await,
        ("portforward", "get" | "create") => port_forward::serve(incoming, call).await,
        ("proxy", _) => proxy::serve(incoming, call).await,
        ("scale", "get") => {
            let answer = scale::read(call)?;
            Ok(respond::object(call, 200, accepted, include(&incoming)?, &Arc::new(answer)))
        }
        ("scale", "update") => {
            let include = include(&incoming)?;
            let (headers, bytes) = body_of(incoming).await?;
            let answer = scale::replace(call, body::typed(&headers, bytes, ("autoscaling", "v1", "Scale"))?)?;
            Ok(respond::object(call, 200, accepted, include, &Arc::new(answer)))
        }
        ("scale", "patch") => {
            let include = include(&incoming)?;
            let patch = patch_of(incoming).await?;
            let answer = scale::patch(call, patch.kind, &patch.body)?;
            Ok(respond::object(call, 200, accepted, include, &Arc::new(answer)))
        }
        (_, "get") => {
            let object = get::get(call)?;
            Ok(respond::object(call, 200, accepted, include(&incoming)?, &object))
        }
        (_, "update") => {
            let include = include(&incoming)?;
            let (headers, bytes) = body_of(incoming).await?;
            let object = decode(call, &headers, bytes)?;
            let stored = status::update(call, object)?;
            Ok(respond::object(call, 200, accepted, include, &stored))
        }
        (_, "patch") => {
            let include = include(&incoming)?;
            let patch = patch_of(incoming).await?;
            let (stored, _) = patch::patch(call, patch)?;
            Ok(respond::object(call, 200, accepted, include, &stored))
        }
        _ => Err(endpoints::method_not_allowed()),
    }
}

pub(super) fn success(call: &Call, accepted: Accepted) -> Answer {
    let status: Value = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    respond::with_warnings(respond::encode(201, accepted, &machinery::ordered::object(&status)), &call.warnings)
}
