//! ServiceAccount tokens: JSON Web Tokens that this server signs and knows again.
//!
//! ```text
//! TokenRequest, kubelet ──► issue ──► token, bound to a ServiceAccount and perhaps to a pod, secret or node ──► authenticate
//! Secret of type kubernetes.io/service-account-token ──► issue_legacy ──► token without an end ──────────────────────┘
//! ```
//!
//! A token holds no longer than what it is bound to.

mod authenticate;
mod key;

pub(crate) use authenticate::authenticate;
pub(crate) use key::TokenKey;

use crate::server::Server;
use machinery::{ApiError, object};
use serde_json::{Value, json};

/// Issuer of the tokens in Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// What the admission plug-in writes into a pod, and kube-apiserver recognises it by.
const MOUNTED_SECONDS: i64 = 3607;
/// How long such a token really holds: clients that never read the file again go on working.
const EXTENDED_SECONDS: i64 = 365 * 24 * 60 * 60;

/// Default audience, as kube-apiserver takes it from its issuer.
pub(crate) fn default_audience(server: &Server) -> String {
    server.options().issuer.clone()
}

/// What a token is bound to, beside its ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// `pod`, `secret` or `node`.
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
    /// Name and uid of the node that the pod runs on.
    pub node: Option<(String, String)>,
}

impl Bound {
    /// To a pod, with the node that it is on.
    pub fn to_pod(server: &Server, pod: &Value) -> Self {
        let node = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()).map(|name| {
            let uid = server.stored("", "nodes", "", name).map(|node| object::uid(&node).to_owned());
            (name.to_owned(), uid.unwrap_or_default())
        });
        Self { kind: "pod", name: object::name(pod).to_owned(), uid: object::uid(pod).to_owned(), node }
    }
}

/// Signs a token for a ServiceAccount.
pub(crate) fn issue(
    server: &Server,
    account: &Value,
    audiences: &[String],
    seconds: i64,
    bound: Option<&Bound>,
) -> Result<String, ApiError> {
    let now = server.clock().now().as_second();
    let (namespace, name) = (object::namespace(account), object::name(account));
    let reference = |name: &str, uid: &str| if uid.is_empty() { json!({"name": name}) } else { json!({"name": name, "uid": uid}) };
    let mut kubernetes = json!({"namespace": namespace, "serviceaccount": reference(name, object::uid(account))});
    let mut end = now.saturating_add(seconds);
    if let Some(bound) = bound {
        kubernetes[bound.kind] = reference(&bound.name, &bound.uid);
        if let Some((name, uid)) = &bound.node {
            kubernetes["node"] = reference(name, uid);
        }
        if bound.kind == "pod" && seconds == MOUNTED_SECONDS && audiences.iter().all(|audience| *audience == server.options().issuer) {
            kubernetes["warnafter"] = end.into();
            end = now.saturating_add(EXTENDED_SECONDS);
        }
    }
    let claims = json!({
        "aud": audiences, "exp": end, "iat": now, "nbf": now, "iss": server.options().issuer, "jti": server.new_uid(),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io": kubernetes,
    });
    server.token_key()?.sign(&claims)
}

/// The token of a Secret: without an end, good while the Secret holds it.
pub(crate) fn issue_legacy(server: &Server, account: &Value, secret: &str) -> Result<String, ApiError> {
    let (namespace, name) = (object::namespace(account), object::name(account));
    let claims = json!({
        "iss": LEGACY_ISSUER,
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": object::uid(account),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    server.token_key()?.sign(&claims)
}
