//! Verbs over HTTP.

use super::{
    body, endpoints,
    entry::Incoming,
    negotiate::{self, Accepted},
    respond,
    respond::Answer,
    stream, subresource,
};
use crate::{
    call::Call,
    subresources::binding,
    verbs::{
        create, delete, delete_collection, get,
        list::{self, Selection},
        patch::{self, Patch, PatchKind},
        update, watch,
    },
};
use http::{HeaderMap, Method, header};
use machinery::{
    ApiError, Resource,
    strict::{self, Format},
    table::IncludeObject,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Seconds that a watch lasts where the client names no limit: between this and twice this on a real server.
const WATCH_SECONDS: i64 = 1800;

pub(super) async fn serve(incoming: Incoming) -> Answer {
    let pretty = incoming.query.get("pretty");
    let streams = matches!(incoming.path.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy");
    let accepted = match negotiate::accepted(incoming.request.headers(), pretty, true) {
        Ok(accepted) => accepted,
        Err(_) if streams => Accepted::JSON,
        Err(error) => return respond::error(&error, negotiate::plain(incoming.request.headers(), pretty)),
    };
    match route(incoming, accepted).await {
        Ok(answer) => answer,
        Err(error) => respond::error(&error, accepted),
    }
}

/// 404 for what is not served.
pub(super) fn unknown() -> ApiError {
    let mut error = ApiError::new(404, "NotFound", "the server could not find the requested resource");
    error.details = json!({});
    error
}

async fn route(incoming: Incoming, accepted: Accepted) -> Result<Answer, ApiError> {
    let scheme = incoming.server.scheme();
    let path = &incoming.path;
    let Some(resource) = scheme.find(&path.group, &path.version, &path.resource).cloned() else {
        // Of a group that comes with the server a Status says so, of any other a line of text.
        if scheme.is_builtin(&path.group) {
            return Err(unknown());
        }
        return Ok(endpoints::not_found());
    };
    let all_namespaces = path.namespace.is_empty() && path.name.is_empty();
    if resource.namespaced && path.namespace.is_empty() && !(all_namespaces && matches!(incoming.verb, "list" | "watch" | "create")) {
        return Err(if path.name.is_empty() { endpoints::method_not_allowed() } else { unknown() });
    }
    if !resource.namespaced && !path.namespace.is_empty() && resource.plural != "namespaces" {
        return Err(unknown());
    }
    if !path.subresource.is_empty() {
        return subresource::serve(incoming, resource, accepted).await;
    }
    // `watch` of one name is a list with a field selector.
    if !resource.verbs.contains(&incoming.verb) || *incoming.request.method() == Method::HEAD {
        return Err(endpoints::method_not_allowed());
    }
    let misplaced = match incoming.verb {
        "create" => !path.name.is_empty(),
        "update" | "patch" => path.name.is_empty(),
        _ => false,
    };
    if misplaced {
        return Err(endpoints::method_not_allowed());
    }
    let mut call = call(&incoming, resource)?;
    let answer = act(incoming, &mut call, accepted).await;
    // What was warned of before something failed is said as well.
    Ok(answer.unwrap_or_else(|error| respond::with_warnings(respond::error(&error, accepted), &call.warnings)))
}

async fn act(incoming: Incoming, call: &mut Call, accepted: Accepted) -> Result<Answer, ApiError> {
    match incoming.verb {
        "get" => {
            list::not_ahead(call, incoming.query.text("resourceVersion"))?;
            let object = get::get(call)?;
            Ok(respond::object(call, 200, accepted, include(&incoming)?, &object))
        }
        "list" => {
            let listed = list::list(call, &list_options(&incoming, call)?)?;
            Ok(respond::list(call, accepted, include(&incoming)?, &listed))
        }
        "watch" => serve_watch(&incoming, call, accepted),
        "create" => {
            let include = include(&incoming)?;
            if !crate::reviews::is_review(&call.resource) && call.resource.namespaced && call.namespace.is_empty() {
                return Err(endpoints::method_not_allowed());
            }
            let (headers, bytes) = body_of(incoming).await?;
            let object = decode(call, &headers, bytes)?;
            if call.is("", "bindings") {
                // The old way to bind: as the subresource of the pod that the object is called after.
                let pods = call.server.scheme().find("", "v1", "pods").cloned().ok_or_else(unknown)?;
                machinery::object::name(&object).clone_into(&mut call.name);
                call.resource = pods;
                binding::bind(call, &object)?;
                return Ok(subresource::success(call, accepted));
            }
            if let Some(answer) = crate::reviews::answer(call, &object)? {
                return Ok(respond::object(call, 201, accepted, include, &Arc::new(answer)));
            }
            let stored = create::create(call, object)?;
            Ok(respond::object(call, 201, accepted, include, &stored))
        }
        "update" => {
            let include = include(&incoming)?;
            let (headers, bytes) = body_of(incoming).await?;
            let object = decode(call, &headers, bytes)?;
            let (stored, created) = update::update(call, object)?;
            Ok(respond::object(call, if created { 201 } else { 200 }, accepted, include, &stored))
        }
        "patch" => {
            let include = include(&incoming)?;
            let patch = patch_of(incoming).await?;
            let (stored, created) = patch::patch(call, patch)?;
            Ok(respond::object(call, if created { 201 } else { 200 }, accepted, include, &stored))
        }
        "delete" => {
            let include = include(&incoming)?;
            let (options, dry_run) = delete_options(incoming).await?;
            call.dry_run = dry_run;
            let deleted = delete::delete(call, &options)?;
            let (code, answer) = deleted.answer(call, &options);
            if answer["kind"] == "Status" {
                let answer =
                    respond::encode(code, Accepted { shape: negotiate::Shape::Object, ..accepted }, &machinery::ordered::object(&answer));
                return Ok(respond::with_warnings(answer, &call.warnings));
            }
            Ok(respond::object(call, code, accepted, include, &Arc::new(answer)))
        }
        "deletecollection" => {
            let include = include(&incoming)?;
            let selection = list_options(&incoming, call)?.selection;
            let (options, dry_run) = delete_options(incoming).await?;
            call.dry_run = dry_run;
            let items = delete_collection::delete_collection(call, &selection, &options)?;
            let resource_version = call.server.state().resource_version();
            Ok(respond::list(call, accepted, include, &list::Listed { items, resource_version, rest: None }))
        }
        _ => Err(endpoints::method_not_allowed()),
    }
}

/// The call that a request makes.
pub(super) fn call(incoming: &Incoming, resource: Arc<Resource>) -> Result<Call, ApiError> {
    let path = &incoming.path;
    let namespace = if resource.namespaced { path.namespace.as_str() } else { "" };
    let manager = manager(incoming)?;
    let mut call = Call::new(&incoming.server, incoming.user.clone(), &manager, resource, namespace, &path.name);
    path.subresource.clone_into(&mut call.subresource);
    call.warn(deprecation(&call.resource));
    let kind = match incoming.verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        _ => return Ok(call),
    };
    call.dry_run = incoming.query.dry_run(kind)?;
    call.validation = incoming.query.field_validation(kind)?;
    Ok(call)
}

/// What the API server says of kinds that are going away.
fn deprecation(resource: &Resource) -> Option<String> {
    let words = match (&*resource.group, &*resource.kind) {
        ("", "Endpoints") => "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ("", "ComponentStatus") => "v1 ComponentStatus is deprecated in v1.19+",
        _ => return None,
    };
    Some(words.to_owned())
}

/// `?fieldManager=`, else the part of the user agent before its version.
fn manager(incoming: &Incoming) -> Result<String, ApiError> {
    let given = incoming.query.text("fieldManager");
    if given.chars().count() > 128 || given.chars().any(|c| !c.is_ascii_graphic() && c != ' ') {
        let error = if given.chars().count() > 128 {
            machinery::FieldError::too_long("fieldManager", 128)
        } else {
            let (at, odd) = given.char_indices().find(|(_, c)| !c.is_ascii_graphic() && *c != ' ').unwrap_or((0, ' '));
            let message = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
            machinery::FieldError::invalid("fieldManager", &json!(given), message)
        };
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    if !given.is_empty() {
        return Ok(given.to_owned());
    }
    let agent = incoming.request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let name: String = agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(128).collect();
    Ok(if name.is_empty() { "unknown".to_owned() } else { name })
}

pub(super) fn include(incoming: &Incoming) -> Result<IncludeObject, ApiError> {
    match incoming.query.text("includeObject") {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => Err(ApiError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

pub(super) async fn body_of(incoming: Incoming) -> Result<(HeaderMap, bytes::Bytes), ApiError> {
    let limit = incoming.server.limits().body;
    let (parts, body) = incoming.request.into_parts();
    Ok((parts.headers, body::read(body, limit).await?))
}

/// The one object of a body.
pub(super) fn decode(call: &mut Call, headers: &HeaderMap, bytes: bytes::Bytes) -> Result<Value, ApiError> {
    let (format, text) = body::text(headers, bytes)?;
    let decoded = strict::decode(&call.resource, format, &text, call.validation)?;
    call.warn(decoded.warnings);
    Ok(decoded.object)
}

/// Kind and content of a patch.
pub(super) async fn patch_of(incoming: Incoming) -> Result<Patch, ApiError> {
    let force = incoming.query.get("force").map(|text| text == "true");
    let named = !incoming.query.text("fieldManager").is_empty();
    let (headers, bytes) = body_of(incoming).await?;
    let options = |field: &str, message: &str, required: bool| {
        let error =
            if required { machinery::FieldError::required(field, message) } else { machinery::FieldError::forbidden(field, message) };
        ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[error])
    };
    let kind = match negotiate::content_type(&headers).as_str() {
        "application/json-patch+json" => PatchKind::Json,
        "application/merge-patch+json" => PatchKind::Merge,
        "application/strategic-merge-patch+json" => PatchKind::Strategic,
        "application/apply-patch+yaml" => {
            if !named {
                return Err(options("fieldManager", "is required for apply patch", true));
            }
            PatchKind::Apply { force: force.unwrap_or(false) }
        }
        _ => {
            let mut error = ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
            error.details = json!({});
            return Err(error);
        }
    };
    if force.is_some() && !matches!(kind, PatchKind::Apply { .. }) {
        return Err(options("force", "may not be specified for non-apply patch", false));
    }
    if let Some(plain) = kind.plain() {
        let (body, repeated) = machinery::patch::read(plain, &bytes)?;
        return Ok(Patch { kind, body, repeated });
    }
    let (body, repeated) = strict::read_untyped(Format::Yaml, &bytes)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}")))?;
    if !body.is_object() {
        return Err(ApiError::bad_request("the applied configuration must be one object"));
    }
    Ok(Patch { kind, body, repeated })
}

async fn delete_options(incoming: Incoming) -> Result<(crate::client::DeleteOptions, bool), ApiError> {
    let query = incoming.query.clone();
    let (headers, bytes) = body_of(incoming).await?;
    let mut body = body::options(&headers, bytes)?;
    // Clients name the group and version that they delete from, or `v1`, or none.
    if let Some(fields) = body.as_object_mut() {
        let version = fields.remove("apiVersion").and_then(|version| version.as_str().map(str::to_owned)).unwrap_or_default();
        match fields.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned)) {
            Some(kind) if kind != "DeleteOptions" => {
                let message = format!("no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:110\"");
                return Err(ApiError::new(500, "", message));
            }
            _ => {}
        }
        let text = body.to_string();
        let decoded = strict::decode_kind("", "v1", "DeleteOptions", Format::Json, text.as_bytes(), strict::FieldValidation::Ignore);
        body = decoded
            .map_err(|error| {
                let message = error.message.rsplit_once("cannot be handled as a DeleteOptions: ").map(|(_, why)| why.to_owned());
                ApiError::new(500, "", message.unwrap_or(error.message))
            })?
            .object;
    }
    delete::options(&body, |name| query.get(name).map(str::to_owned))
}

fn list_options(incoming: &Incoming, call: &Call) -> Result<list::Options, ApiError> {
    let query = &incoming.query;
    let limit = query.number("limit")?.unwrap_or(0);
    query.number("timeoutSeconds")?;
    Ok(list::Options {
        selection: Selection::parse(call, query.get("labelSelector"), query.get("fieldSelector"))?,
        resource_version: query.text("resourceVersion").to_owned(),
        resource_version_match: query.text("resourceVersionMatch").to_owned(),
        limit: usize::try_from(limit).unwrap_or(0),
        token: query.text("continue").to_owned(),
        send_initial_events: query.get("sendInitialEvents").is_some(),
    })
}

fn serve_watch(incoming: &Incoming, call: &Call, accepted: Accepted) -> Result<Answer, ApiError> {
    let query = &incoming.query;
    let by_name = (!incoming.path.name.is_empty()).then(|| format!("metadata.name={}", incoming.path.name));
    let options = watch::Options {
        selection: Selection::parse(call, query.get("labelSelector"), by_name.as_deref().or_else(|| query.get("fieldSelector")))?,
        resource_version: query.text("resourceVersion").to_owned(),
        resource_version_match: query.text("resourceVersionMatch").to_owned(),
        send_initial_events: query.get("sendInitialEvents").map(|text| text == "true"),
        bookmarks: query.flag("allowWatchBookmarks"),
    };
    let watcher = watch::watch(call, &options)?;
    let seconds = query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).unwrap_or(WATCH_SECONDS);
    let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or_default().min(86_400));
    Ok(stream::follow(call, watcher, accepted, include(incoming)?, options.bookmarks, limit))
}
