//! Who a token speaks for, and why it is refused, in the words of kube-apiserver
//! (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>).

use super::{LEGACY_ISSUER, default_audience};
use crate::{server::Server, store::State, user::UserInfo};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use machinery::object;
use serde_json::Value;

/// Clocks may differ by this many seconds; what is being deleted counts for as long.
const LEEWAY: i64 = 60;
const INVALIDATED: &str = "service account token has been invalidated";

#[derive(Debug)]
pub(crate) struct Authenticated {
    pub user: UserInfo,
    pub audiences: Vec<String>,
    /// Namespace and name of the Secret that holds the token.
    pub secret: Option<(String, String)>,
}

/// Who a token speaks for; the error is what a TokenReview says.
pub(crate) fn authenticate(server: &Server, token: &str, audiences: Option<&[String]>) -> Result<Authenticated, String> {
    const INVALID: &str = "invalid bearer token";
    let Some(issuer) = issuer(token).filter(|issuer| *issuer == server.options().issuer || issuer == LEGACY_ISSUER) else {
        return Err(INVALID.to_owned());
    };
    known(server, token, &issuer, audiences).map_err(|why| format!("[{INVALID}, {why}]"))
}

/// What the token says before anybody has looked at its signature.
fn issuer(token: &str) -> Option<String> {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

fn known(server: &Server, token: &str, issuer: &str, audiences: Option<&[String]>) -> Result<Authenticated, String> {
    let claims = server.token_key().map_err(|error| error.message)?.open(token)?;
    let default = [default_audience(server)];
    let own: Vec<String> = claims["aud"].as_array().into_iter().flatten().filter_map(|a| a.as_str().map(str::to_owned)).collect();
    // Only the API server's own audiences are meant by a token that names none.
    let own = if own.is_empty() { default.to_vec() } else { own };
    let wanted = audiences.unwrap_or(&default);
    let common: Vec<String> = own.iter().filter(|audience| wanted.contains(audience)).cloned().collect();
    if common.is_empty() {
        return Err(format!("token audiences {} is invalid for the target audiences {}", quoted(&own), quoted(wanted)));
    }
    let state = server.state();
    if issuer == LEGACY_ISSUER {
        let (user, secret) = legacy_user(&state, &claims, token)?;
        return Ok(Authenticated { user, audiences: common, secret: Some(secret) });
    }
    let user = user(&state, &claims, server.clock().now())?;
    Ok(Authenticated { user, audiences: common, secret: None })
}

/// As Go's `%q` prints a list of strings.
fn quoted(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" "))
}

fn is_deleted(object: &Value, before: i64) -> bool {
    let at = object["metadata"]["deletionTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    at.is_some_and(|at| at.as_second() < before)
}

/// The user, if the token's time has not passed and all that it is bound to still exists.
fn user(state: &State, claims: &Value, now: Timestamp) -> Result<UserInfo, String> {
    let now = now.as_second();
    let time = |claim: &str| claims[claim].as_i64();
    if time("nbf").is_some_and(|from| now + LEEWAY < from) {
        return Err("service account token is not valid yet".to_owned());
    }
    if time("exp").is_some_and(|end| now - LEEWAY > end) {
        return Err("service account token has expired".to_owned());
    }
    if time("iat").is_some_and(|at| now + LEEWAY < at) {
        return Err("service account token is issued in the future".to_owned());
    }
    let private = &claims["kubernetes.io"];
    let namespace = private["namespace"].as_str().unwrap_or_default();
    let name = private["serviceaccount"]["name"].as_str().unwrap_or_default();
    let account = state.get("", "serviceaccounts", namespace, name).ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
    let claimed = private["serviceaccount"]["uid"].as_str().unwrap_or_default();
    if object::uid(&account) != claimed {
        return Err(format!("service account UID ({}) does not match claim ({claimed})", object::uid(&account)));
    }
    if is_deleted(&account, now - LEEWAY) {
        return Err(format!("service account {namespace}/{name} has been deleted"));
    }
    let mut user = UserInfo::service_account(namespace, name);
    object::uid(&account).clone_into(&mut user.uid);
    let mut extra = |key: &str, value: &str| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    if let Some(id) = claims["jti"].as_str() {
        extra("credential-id", &format!("JTI={id}"));
    }
    for (kind, resource) in [("secret", "secrets"), ("pod", "pods"), ("node", "nodes")] {
        let bound = &private[kind];
        let Some(name) = bound["name"].as_str() else { continue };
        let uid = bound["uid"].as_str().unwrap_or_default();
        // The node of a token that is bound to a pod only informs.
        if kind != "node" || private["pod"].is_null() {
            let space = if kind == "node" { "" } else { namespace };
            let found = state.get("", resource, space, name).ok_or(INVALIDATED)?;
            if object::uid(&found) != uid {
                let (title, words) = match kind {
                    "secret" => ("secret", "service account secret ref claim"),
                    "pod" => ("pod", "service account pod ref claim"),
                    _ => ("node", "service account node ref claim"),
                };
                return Err(format!("{title} UID ({}) does not match {words} ({uid})", object::uid(&found)));
            }
            if is_deleted(&found, now - LEEWAY) {
                return Err(INVALIDATED.to_owned());
            }
        }
        if kind != "secret" {
            extra(&format!("{kind}-name"), name);
            extra(&format!("{kind}-uid"), uid);
        }
    }
    Ok(user)
}

/// The user of a token that a Secret holds, and that Secret.
fn legacy_user(state: &State, claims: &Value, token: &str) -> Result<(UserInfo, (String, String)), String> {
    let claim = |name: &str, key: &str| {
        let text = claims[key].as_str().unwrap_or_default();
        if text.is_empty() { Err(format!("{name} claim is missing")) } else { Ok(text.to_owned()) }
    };
    let subject = claim("sub", "sub")?;
    let namespace = claim("namespace", "kubernetes.io/serviceaccount/namespace")?;
    let secret_name = claim("secretName", "kubernetes.io/serviceaccount/secret.name")?;
    let name = claim("serviceAccountName", "kubernetes.io/serviceaccount/service-account.name")?;
    let uid = claim("serviceAccountUID", "kubernetes.io/serviceaccount/service-account.uid")?;
    if subject != format!("system:serviceaccount:{namespace}:{name}") {
        return Err("sub claim is invalid".to_owned());
    }
    let secret = state.get("", "secrets", &namespace, &secret_name).filter(|secret| !object::is_terminating(secret));
    let secret = secret.ok_or("Token has been invalidated")?;
    let held = BASE64_STANDARD.decode(secret["data"]["token"].as_str().unwrap_or_default()).unwrap_or_default();
    // The signature has been checked: nobody learns anything from how long this takes.
    if held != token.as_bytes() {
        return Err("Token does not match server's copy".to_owned());
    }
    let account = state.get("", "serviceaccounts", &namespace, &name).ok_or_else(|| format!("serviceaccounts {name:?} not found"))?;
    if object::is_terminating(&account) {
        return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
    }
    if object::uid(&account) != uid {
        return Err(format!("ServiceAccount UID ({}) does not match claim ({uid})", object::uid(&account)));
    }
    let mut user = UserInfo::service_account(&namespace, &name);
    user.uid = uid;
    Ok((user, (namespace, secret_name)))
}
