//! Reviews: resources that are asked, not stored. Access reviews, SelfSubjectReview, TokenReview.

use crate::{
    call::Call,
    rbac::{self, Attributes},
    token,
    user::UserInfo,
};
use machinery::{ApiError, Resource, apply, clock::rfc3339};
use serde_json::{Value, json};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

pub(crate) fn is_review(resource: &Resource) -> bool {
    resource.group == AUTHORIZATION || resource.group == AUTHENTICATION
}

/// The answered review, or `None` where `call` is for something that is stored.
pub(crate) fn answer(call: &Call, object: &Value) -> Result<Option<Value>, ApiError> {
    if !is_review(&call.resource) {
        return Ok(None);
    }
    let mut review = object.clone();
    review["kind"] = call.resource.kind.as_ref().into();
    review["apiVersion"] = call.resource.api_version().into();
    if !review["metadata"].is_object() {
        review["metadata"] = json!({});
    }
    if call.resource.plural == "selfsubjectreviews" {
        // What it was sent counts for nothing.
        let metadata = json!({"creationTimestamp": rfc3339(call.now)});
        review = json!({"kind": review["kind"], "apiVersion": review["apiVersion"], "metadata": metadata});
    } else {
        apply::track_update(&call.resource, None, &mut review, &call.manager());
    }
    review["status"] = match &*call.resource.plural {
        "selfsubjectaccessreviews" => access(call, &call.user, &object["spec"])?,
        "subjectaccessreviews" => access(call, &subject(&object["spec"])?, &object["spec"])?,
        "localsubjectaccessreviews" => {
            let given = object["spec"]["resourceAttributes"]["namespace"].as_str().unwrap_or_default();
            if given != call.namespace {
                return Err(refused("spec.resourceAttributes.namespace", &json!(given), "must match metadata.namespace"));
            }
            access(call, &subject(&object["spec"])?, &object["spec"])?
        }
        "selfsubjectrulesreviews" => rules(call, object["spec"]["namespace"].as_str().unwrap_or_default())?,
        "selfsubjectreviews" => json!({"userInfo": user_info(&call.user)}),
        "tokenreviews" => token_review(call, &object["spec"])?,
        _ => return Ok(None),
    };
    Ok(Some(review))
}

fn user_info(user: &UserInfo) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A review that is invalid: it has neither kind nor name in the answer.
fn refused(field: &str, value: &Value, why: &str) -> ApiError {
    ApiError::invalid(AUTHORIZATION, "", "", &[machinery::FieldError::invalid(field, value, why)])
}

fn subject(spec: &Value) -> Result<UserInfo, ApiError> {
    let user = UserInfo {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        uid: spec["uid"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&spec["groups"]),
        ..UserInfo::default()
    };
    if user.name.is_empty() && user.groups.is_empty() {
        return Err(refused("spec.user", &json!(""), "at least one of user or group must be specified"));
    }
    Ok(user)
}

fn access(call: &Call, user: &UserInfo, spec: &Value) -> Result<Value, ApiError> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let problem = match (resource.is_object(), path.is_object()) {
        (true, true) => Some("cannot be specified in combination with resourceAttributes"),
        (false, false) => Some("exactly one of nonResourceAttributes or resourceAttributes must be specified"),
        _ => None,
    };
    if let Some(problem) = problem {
        if resource.is_object() {
            let given = json!({"Path": path["path"].as_str().unwrap_or_default(), "Verb": path["verb"].as_str().unwrap_or_default()});
            return Err(refused("spec.nonResourceAttributes", &given, problem));
        }
        return Err(refused("spec.resourceAttributes", &Value::Null, problem));
    }
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let attributes = if resource.is_object() {
        Attributes {
            verb: text(resource, "verb"),
            is_resource: true,
            group: text(resource, "group"),
            version: text(resource, "version"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            namespace: text(resource, "namespace"),
            name: text(resource, "name"),
            path: String::new(),
        }
    } else {
        Attributes { verb: text(path, "verb"), path: text(path, "path"), ..Attributes::default() }
    };
    Ok(match rbac::authorize(&call.server.state(), user, &attributes) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    })
}

fn rules(call: &Call, namespace: &str) -> Result<Value, ApiError> {
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let (mut resources, mut urls) = (Vec::new(), Vec::new());
    if call.user.groups.iter().any(|group| group == "system:masters") {
        resources.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        urls.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    rbac::visit(&call.server.state(), &call.user, namespace, |rule| {
        let mut one = rule.clone();
        if rule["nonResourceURLs"].as_array().is_some_and(|list| !list.is_empty()) {
            urls.push(json!({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}));
        }
        if rule["resources"].as_array().is_some_and(|list| !list.is_empty()) {
            if let Some(rule) = one.as_object_mut() {
                rule.remove("nonResourceURLs");
            }
            resources.push(one);
        }
    });
    Ok(json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false}))
}

fn token_review(call: &Call, spec: &Value) -> Result<Value, ApiError> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = texts(&spec["audiences"]);
    let wanted = (!audiences.is_empty()).then_some(audiences.as_slice());
    Ok(match token::authenticate(&call.server, token, wanted) {
        Ok(known) => json!({"authenticated": true, "user": user_info(&known.user), "audiences": known.audiences}),
        Err(error) => json!({"user": {}, "error": error}),
    })
}
