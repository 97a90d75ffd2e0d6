//! Secrets of type `kubernetes.io/service-account-token`: filled in while their ServiceAccount lives, removed with it.

use super::common::{self, concerns, text};
use crate::step::{Context, Controller};
use apiserver::Change;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use machinery::{gvr, object};
use serde_json::{Value, json};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

#[derive(Debug)]
pub struct TokenController {
    certificate_authority: String,
}

impl TokenController {
    pub fn new(certificate_authority: &str) -> Self {
        Self { certificate_authority: certificate_authority.to_owned() }
    }

    fn fill(&self, context: &Context<'_>, secret: &Value, account: &Value) {
        let namespace = object::namespace(secret);
        let present = |key: &str| secret["data"][key].as_str().is_some_and(|value| !value.is_empty());
        if ["token", "ca.crt", "namespace"].into_iter().all(present) {
            return;
        }
        let token = context.client.secret_token(namespace, object::name(account), object::name(secret));
        let Some(token) = common::tolerate("making the token of a secret", token) else { return };
        common::modify(context.client, gvr::SECRETS, secret, |changed| {
            changed["metadata"]["annotations"][ACCOUNT_UID] = object::uid(account).into();
            if !changed["data"].is_object() {
                changed["data"] = json!({});
            }
            for (key, value) in [("token", token.as_str()), ("ca.crt", &self.certificate_authority), ("namespace", namespace)] {
                changed["data"][key] = BASE64_STANDARD.encode(value).into();
            }
        });
    }
}

impl Controller for TokenController {
    fn name(&self) -> &'static str {
        "serviceaccount-token-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        concerns(change, &[gvr::SERVICE_ACCOUNTS]) || (concerns(change, &[gvr::SECRETS]) && change.object["type"] == TYPE)
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        for secret in context.client.list(gvr::SECRETS, None) {
            if text(&secret["type"]) != TYPE || object::is_terminating(&secret) {
                continue;
            }
            let name = object::annotation(&secret, ACCOUNT_NAME).unwrap_or_default();
            let uid = object::annotation(&secret, ACCOUNT_UID).unwrap_or_default();
            let account = context.client.get(gvr::SERVICE_ACCOUNTS, object::namespace(&secret), name);
            match account.filter(|account| uid.is_empty() || uid == object::uid(account)) {
                Some(account) => self.fill(context, &secret, &account),
                None => {
                    common::tolerate(
                        "removing the token of a ServiceAccount that is gone",
                        common::delete(context.client, gvr::SECRETS, &secret),
                    );
                }
            }
        }
    }
}
