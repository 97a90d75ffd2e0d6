//! Every request's way in: limits, who asks, what for, may they.

use super::{
    endpoints, negotiate,
    path::{self, RequestPath},
    query::Query,
    resource, respond,
    respond::Answer,
};
use crate::{
    rbac::{self, Attributes},
    server::{Load, Server},
    user::UserInfo,
};
use axum::extract::Request;
use http::{HeaderMap, Method};
use machinery::ApiError;
use std::sync::Arc;

/// A request taken apart; its body is still to be read.
#[derive(Debug)]
pub(super) struct Incoming {
    pub server: Server,
    pub user: Arc<UserInfo>,
    pub path: RequestPath,
    pub query: Query,
    /// Kubernetes' verb, not HTTP's.
    pub verb: &'static str,
    pub request: Request,
}

pub(super) async fn handle(server: Server, request: Request) -> Answer {
    let path = path::parse(request.uri().path());
    let query = Query::parse(request.uri().query());
    let verb = verb(&request, &path, &query);
    let load = load(verb, &path, &query);
    let plain = negotiate::plain(request.headers(), query.get("pretty"));
    let Some(place) = server.enter(load) else {
        let mut error = ApiError::new(429, "TooManyRequests", "Too many requests, please try again later.");
        error.details = serde_json::json!({"retryAfterSeconds": 1});
        return respond::error(&error, plain);
    };
    let answer = match prepare(&server, request, path, query, verb) {
        Ok(incoming) if incoming.path.is_resource => resource::serve(incoming).await,
        Ok(incoming) => endpoints::serve(incoming),
        Err(error) => respond::error(&error, plain),
    };
    // A stream goes on after this: it keeps its place until its body is dropped.
    if load == Load::Request { answer } else { hold(answer, place) }
}

fn hold(answer: Answer, place: crate::server::Place) -> Answer {
    use futures::StreamExt;
    if answer.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        // Upgraded sessions take a place of their own for as long as they last.
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let body = axum::body::Body::from_stream(body.into_data_stream().map(move |chunk| {
        let _held = &place;
        chunk
    }));
    Answer::from_parts(parts, body)
}

fn prepare(server: &Server, request: Request, path: RequestPath, query: Query, verb: &'static str) -> Result<Incoming, ApiError> {
    let user = request.extensions().get::<UserInfo>().cloned();
    let Some(user) = user else { return Err(ApiError::new(401, "Unauthorized", "Unauthorized")) };
    let user = Arc::new(impersonate(server, user, request.headers())?);
    authorize(server, &user, &path, verb)?;
    Ok(Incoming { server: server.clone(), user, path, query, verb, request })
}

fn load(verb: &str, path: &RequestPath, query: &Query) -> Load {
    match path.subresource.as_str() {
        "exec" | "attach" | "portforward" => Load::Session,
        "log" if query.flag("follow") => Load::Session,
        _ if verb == "watch" => Load::Watch,
        _ => Load::Request,
    }
}

fn verb(request: &Request, path: &RequestPath, query: &Query) -> &'static str {
    if !path.is_resource {
        return match *request.method() {
            Method::GET => "get",
            Method::HEAD => "head",
            Method::POST => "post",
            Method::PUT => "put",
            Method::DELETE => "delete",
            Method::PATCH => "patch",
            Method::OPTIONS => "options",
            _ => "",
        };
    }
    let watching = query.flag("watch") || request.uri().path().split('/').nth(3) == Some("watch");
    match *request.method() {
        Method::GET | Method::HEAD if watching && path.subresource.is_empty() => "watch",
        Method::GET | Method::HEAD if path.name.is_empty() => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if path.name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
}

fn authorize(server: &Server, user: &UserInfo, path: &RequestPath, verb: &str) -> Result<(), ApiError> {
    let attributes = Attributes {
        verb: verb.to_owned(),
        is_resource: path.is_resource,
        group: path.group.clone(),
        version: path.version.clone(),
        resource: path.resource.clone(),
        subresource: path.subresource.clone(),
        namespace: path.namespace.clone(),
        name: path.name.clone(),
        path: path.path.clone(),
    };
    if !path.is_resource && endpoints::is_public(&path.path) {
        return Ok(());
    }
    if rbac::authorize(&server.state(), user, &attributes).is_some() {
        return Ok(());
    }
    let why = rbac::refusal(user, &attributes);
    if path.is_resource {
        Err(ApiError::forbidden(&path.group, &path.resource, &path.name, &why))
    } else {
        let mut error = ApiError::new(403, "Forbidden", format!("forbidden: {why}"));
        error.details = serde_json::json!({});
        Err(error)
    }
}

/// `Impersonate-*` headers: another user, if the asker may speak for them.
fn impersonate(server: &Server, user: UserInfo, headers: &HeaderMap) -> Result<UserInfo, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    let groups: Vec<String> =
        headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    let extras: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((path::decode(name.as_str().strip_prefix("impersonate-extra-")?), value.to_str().ok()?.to_owned()))
        })
        .collect();
    let Some(name) = text("impersonate-user") else {
        if !groups.is_empty() || !extras.is_empty() || text("impersonate-uid").is_some() {
            let message = "Internal error occurred: requested [] without impersonating a user";
            return Err(ApiError::internal(message));
        }
        return Ok(user);
    };
    let mut other = UserInfo { name: name.to_owned(), groups: groups.clone(), ..UserInfo::default() };
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let may = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            verb: "impersonate".to_owned(),
            is_resource: true,
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        if rbac::authorize(&server.state(), &user, &attributes).is_some() {
            return Ok(());
        }
        Err(ApiError::forbidden(group, resource, name, &rbac::refusal(&user, &attributes)))
    };
    match account {
        Some((namespace, account)) => {
            may("", "serviceaccounts", "", namespace, account)?;
            if groups.is_empty() {
                other = UserInfo::service_account(namespace, account);
            }
        }
        None => may("", "users", "", "", name)?,
    }
    for group in &groups {
        may("", "groups", "", "", group)?;
    }
    for (key, value) in extras {
        may("authentication.k8s.io", "userextras", &key, "", &value)?;
        other.extra.entry(key).or_default().push(value);
    }
    if let Some(uid) = text("impersonate-uid") {
        may("authentication.k8s.io", "uids", "", "", uid)?;
        uid.clone_into(&mut other.uid);
    }
    let everybody = if name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !other.groups.iter().any(|group| group == everybody) {
        other.groups.push(everybody.to_owned());
    }
    Ok(other)
}
