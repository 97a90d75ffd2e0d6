//! Who may enter which cluster.

use async_trait::async_trait;
use http::{Request, Response};
use provision::{Body, Cluster, UserInfo};
use std::{fmt::Debug, sync::Arc};

/// A request that may pass.
#[derive(Debug, Clone)]
pub struct Access {
    pub user: UserInfo,
    pub cluster: Arc<dyn Cluster>,
    /// Names the token in limits and audit rows without giving it away.
    pub token_id: String,
    /// The holder is the cluster's learner, not a ServiceAccount of it.
    pub is_learner: bool,
}

/// A request that may not, in words for the person at the other end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, or one that nobody holds.
    #[error("Unauthorized")]
    Unauthorized,
    /// A good token, but not for this cluster; the same answer whether or not the cluster exists.
    #[error("this token does not open this cluster")]
    Forbidden,
    /// The attempt is over.
    #[error("{0}")]
    Over(String),
    /// The cluster cannot answer now.
    #[error("{0}")]
    Unavailable(String),
}

/// Decides; asked once for each request, so it must be cheap.
#[async_trait]
pub trait Admission: Send + Sync + Debug {
    async fn admit(&self, cluster: &str, bearer_token: &str) -> Result<Access, Refusal>;

    /// What somebody without any token may do: nothing, unless whoever runs the cluster lets strangers ask it as a real API server does.
    async fn stranger(&self, _cluster: &str) -> Option<Access> {
        None
    }

    /// The cluster that this token was made for: `kubectl get --raw` leaves out the path of the server's address, so the token must tell.
    ///
    /// It only names a cluster. Whether the request may pass is asked of [`Self::admit`] as ever, with that cluster. Nobody can be led
    /// astray by it: a token is made for one cluster and is stored with it, a path that names a cluster is never overruled, and a
    /// browser adds no bearer token of itself. A ServiceAccount's token tells no cluster, so it needs the path.
    async fn home(&self, bearer_token: &str) -> Option<String>;
}

/// What the gateway answers itself, below `/clusters/<id>/cordon/`, for tools that hold a learner's token.
#[async_trait]
pub trait Extension: Send + Sync + Debug {
    /// `path` as `/cordon/v1/scan`; the request is authenticated, bounded and counted like any other.
    async fn answer(&self, cluster: &str, access: &Access, path: &str, request: Request<Body>) -> Response<Body>;
}
