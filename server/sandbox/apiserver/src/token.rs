//! ServiceAccount tokens: JSON Web Tokens that this server signs and knows again, bound to a ServiceAccount and perhaps to a pod,
//! secret or node. A token holds no longer than what it is bound to.

use crate::{server::Server, store::State, user::UserInfo};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use machinery::{ApiError, object};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt;

/// Default audience, as kube-apiserver takes it from its issuer.
pub(crate) fn default_audience(server: &Server) -> String {
    server.options().issuer.clone()
}

/// Secret of one cluster's tokens (HMAC-SHA256). Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenKey([u8; 32]);

impl TokenKey {
    pub fn derive(seed: u64, issuer: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"cordon service account tokens\0");
        hash.update(seed.to_le_bytes());
        hash.update(issuer);
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// What a token is bound to, beside its ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// `pod`, `secret` or `node`.
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
}

#[derive(Debug)]
pub(crate) struct Authenticated {
    pub user: UserInfo,
    pub audiences: Vec<String>,
}

pub(crate) struct Issue<'a> {
    pub namespace: &'a str,
    pub service_account: &'a str,
    pub service_account_uid: &'a str,
    pub audiences: &'a [String],
    pub seconds: i64,
    pub bound: Option<&'a Bound>,
    /// Node that the bound pod runs on.
    pub node: Option<(&'a str, &'a str)>,
}

/// Signs a token; answers it with the second since 1970 at which it ends.
pub(crate) fn issue(server: &Server, issue: &Issue<'_>) -> Result<(String, i64), ApiError> {
    let now = server.clock().now().as_second();
    let end = now.saturating_add(issue.seconds);
    let mut kubernetes = json!({
        "namespace": issue.namespace,
        "serviceaccount": {"name": issue.service_account, "uid": issue.service_account_uid},
    });
    if let Some(bound) = issue.bound {
        kubernetes[bound.kind] = json!({"name": bound.name, "uid": bound.uid});
    }
    if let Some((name, uid)) = issue.node {
        kubernetes["node"] = json!({"name": name, "uid": uid});
    }
    let claims = json!({
        "aud": issue.audiences, "exp": end, "iat": now, "nbf": now, "iss": server.options().issuer, "jti": server.new_uid(),
        "sub": format!("system:serviceaccount:{}:{}", issue.namespace, issue.service_account),
        "kubernetes.io": kubernetes,
    });
    let key = EncodingKey::from_secret(&server.token_key().0);
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| ApiError::internal(format!("failed to sign token: {error}")))?;
    Ok((token, end))
}

/// Who a token speaks for; the error says why it is refused, as TokenReview reports it.
pub(crate) fn authenticate(server: &Server, token: &str, audiences: Option<&[String]>) -> Result<Authenticated, String> {
    const INVALID: &str = "invalid bearer token";
    let mut validation = Validation::new(Algorithm::HS256);
    // Time comes from the server's own clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(&server.token_key().0);
    let claims: Value = jsonwebtoken::decode(token, &key, &validation).map_err(|_| INVALID.to_owned())?.claims;
    let now = server.clock().now().as_second();
    if claims["iss"] != server.options().issuer.as_str() {
        return Err(INVALID.to_owned());
    }
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return Err(format!("[{INVALID}, service account token has expired]"));
    }
    let own: Vec<String> =
        claims["aud"].as_array().map(|list| list.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect()).unwrap_or_default();
    let default = [default_audience(server)];
    let wanted = audiences.unwrap_or(&default);
    let common: Vec<String> = wanted.iter().filter(|audience| own.contains(audience)).cloned().collect();
    if common.is_empty() {
        return Err(format!("[{INVALID}, token audiences {own:?} is invalid for the target audiences {wanted:?}]"));
    }
    let user = user(&server.state(), &claims["kubernetes.io"], &claims["jti"])?;
    Ok(Authenticated { user, audiences: common })
}

/// The user, if all that the token is bound to still exists.
fn user(state: &State, claims: &Value, id: &Value) -> Result<UserInfo, String> {
    let namespace = claims["namespace"].as_str().unwrap_or_default();
    let name = claims["serviceaccount"]["name"].as_str().unwrap_or_default();
    let account = state
        .get("", "serviceaccounts", namespace, name)
        .ok_or_else(|| format!("[invalid bearer token, serviceaccounts {name:?} not found]"))?;
    if object::uid(account) != claims["serviceaccount"]["uid"].as_str().unwrap_or_default() {
        return Err("[invalid bearer token, service account UID does not match claim]".to_owned());
    }
    let mut user = UserInfo::service_account(namespace, name);
    object::uid(account).clone_into(&mut user.uid);
    if let Some(id) = id.as_str() {
        user.extra.insert("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("JTI={id}")]);
    }
    for (kind, resource) in [("pod", "pods"), ("secret", "secrets"), ("node", "nodes")] {
        let bound = &claims[kind];
        let (Some(name), Some(uid)) = (bound["name"].as_str(), bound["uid"].as_str()) else { continue };
        let space = if kind == "node" { "" } else { namespace };
        let found = state.get("", resource, space, name).is_some_and(|found| object::uid(found) == uid);
        // The node of a pod-bound token only informs.
        if !found && (kind != "node" || claims["pod"].is_null()) {
            return Err(format!("[invalid bearer token, {kind} {name:?} that the token is bound to is gone]"));
        }
        if kind != "secret" {
            user.extra.insert(format!("authentication.kubernetes.io/{kind}-name"), vec![name.to_owned()]);
            user.extra.insert(format!("authentication.kubernetes.io/{kind}-uid"), vec![uid.to_owned()]);
        }
    }
    Ok(user)
}
