//! Every namespace has a ConfigMap `kube-root-ca.crt` with the certificate authority of the API server.

use super::common::{self, concerns};
use crate::step::{Context, Controller};
use apiserver::{Change, ChangeKind};
use machinery::{gvr, object};
use serde_json::json;

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal \
                           service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

#[derive(Debug)]
pub struct RootCaPublisher {
    certificate_authority: String,
}

impl RootCaPublisher {
    pub fn new(certificate_authority: &str) -> Self {
        Self { certificate_authority: certificate_authority.to_owned() }
    }
}

impl Controller for RootCaPublisher {
    fn name(&self) -> &'static str {
        "root-ca-certificate-publisher-controller"
    }

    fn interested(&self, change: &Change) -> bool {
        (concerns(change, &[gvr::NAMESPACES]) && change.kind == ChangeKind::Added)
            || (concerns(change, &[gvr::CONFIG_MAPS]) && object::name(&change.object) == NAME)
    }

    fn reconcile(&mut self, context: &mut Context<'_>) {
        let data = json!({"ca.crt": self.certificate_authority});
        for namespace in context.client.list(gvr::NAMESPACES, None) {
            if object::is_terminating(&namespace) {
                continue;
            }
            match context.client.get(gvr::CONFIG_MAPS, object::name(&namespace), NAME) {
                Some(present) if present["data"] == data => {}
                Some(present) => {
                    common::modify(context.client, gvr::CONFIG_MAPS, &present, |changed| changed["data"] = data.clone());
                }
                None => {
                    let published = json!({
                        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                        "metadata": {"name": NAME, "namespace": object::name(&namespace), "annotations": {"kubernetes.io/description": DESCRIPTION}},
                    });
                    common::tolerate("publishing the certificate authority", context.client.create(gvr::CONFIG_MAPS, published));
                }
            }
        }
    }
}
