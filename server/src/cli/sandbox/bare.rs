//! The embedded cluster of `sandbox up`.

use super::up::Arguments;
use anyhow::Context;
use apiserver::{Options, Server};
use async_trait::async_trait;
use http::{Request, Response};
use machinery::Clock;
use provision::{Body, Cluster, Probe, ProbeOutcome, ProvisionError, UserInfo};
use std::{path::Path, sync::Arc, time::Duration};
use tower::ServiceExt;

/// Just the API, until the behaviour lands.
#[derive(Debug)]
struct Bare {
    server: Server,
    router: apiserver::Router,
}

pub(super) async fn open(
    arguments: &Arguments,
    data: &Path,
    certificate_authority: String,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Cluster>> {
    let journal = arguments.data_kept().then(|| data.join("sandbox.journal"));
    let issuer = "https://kubernetes.default.svc.cluster.local".to_owned();
    let server = Server::open(Options { clock, seed: 1, journal, issuer, certificate_authority }).context("cannot open the cluster")?;
    let router = server.router();
    Ok(Arc::new(Bare { server, router }))
}

#[async_trait]
impl Cluster for Bare {
    fn id(&self) -> &str {
        "sandbox"
    }

    async fn serve(&self, user: UserInfo, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(user);
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn authenticate(&self, bearer_token: &str) -> Option<UserInfo> {
        self.server.authenticate(bearer_token)
    }

    async fn probe(&self, _probe: &Probe) -> ProbeOutcome {
        ProbeOutcome::Unknown { reason: "this cluster runs no pods".to_owned() }
    }

    async fn snapshot(&self, _name: &str) -> Result<(), ProvisionError> {
        Err(ProvisionError::Unavailable("no snapshots".to_owned()))
    }

    async fn restore(&self, _name: &str) -> Result<(), ProvisionError> {
        Err(ProvisionError::Unavailable("no snapshots".to_owned()))
    }

    async fn settle(&self, _limit: Duration) {}

    async fn sleep(&self) -> Result<(), ProvisionError> {
        Ok(())
    }
}
