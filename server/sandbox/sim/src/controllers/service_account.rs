//! Every namespace has a ServiceAccount `default`.

use super::common::{self, concerns};
use crate::step::{Context, Controller};
use apiserver::{Change, ChangeKind};
use machinery::{gvr, object};
use serde_json::json;

#[derive(Debug, Default)]
pub struct ServiceAccountController {}

impl Controller for ServiceAccountController {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        match change.kind {
            ChangeKind::Added => concerns(change, &[gvr::NAMESPACES]),
            ChangeKind::Deleted => concerns(change, &[gvr::SERVICE_ACCOUNTS]) && object::name(&change.object) == "default",
            ChangeKind::Modified => false,
        }
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        for namespace in context.client.list(gvr::NAMESPACES, None) {
            let name = object::name(&namespace);
            if object::is_terminating(&namespace) || context.client.get(gvr::SERVICE_ACCOUNTS, name, "default").is_some() {
                continue;
            }
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
            common::tolerate("creating a default ServiceAccount", context.client.create(gvr::SERVICE_ACCOUNTS, account));
        }
    }
}
