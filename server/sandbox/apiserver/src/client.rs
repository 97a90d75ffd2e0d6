//! The API as the simulator sees it: in process, synchronous, past HTTP and RBAC, through the same defaulting, admission,
//! validation and storage as everybody else's requests.

use crate::server::Server;
use crate::user::UserInfo;
use machinery::{ApiError, Gvr};
use serde_json::Value;
use std::sync::Arc;

/// A client that acts as one user (usually a controller's ServiceAccount, or the kubelet `system:node:<name>`). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) server: Server,
    pub(crate) user: Arc<UserInfo>,
    /// Field manager, as `kube-controller-manager`.
    pub(crate) manager: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One committed write.
#[derive(Debug, Clone)]
pub struct Change {
    pub resource_version: u64,
    pub kind: ChangeKind,
    /// Storage group and plural: `apps`, `deployments`.
    pub group: Arc<str>,
    pub resource: Arc<str>,
    /// As it is now; as it last was, when deleted.
    pub object: Arc<Value>,
}

/// What happened after some resource version.
#[derive(Debug, Clone)]
pub enum Changes {
    Since(Vec<Change>),
    /// The history no longer reaches back so far: list everything anew.
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// `None`: the kind's default (30 seconds for pods, unless the pod says otherwise).
    pub grace_period_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    /// Precondition.
    pub uid: Option<String>,
}

impl Client {
    /// `namespace` is empty for cluster-scoped resources, here and below.
    pub fn get(&self, gvr: Gvr, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let _ = (gvr, namespace, name);
        None
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self, gvr: Gvr, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let _ = (gvr, namespace);
        Vec::new()
    }

    pub fn create(&self, gvr: Gvr, object: Value) -> Result<Arc<Value>, ApiError> {
        let _ = (gvr, object);
        Err(ApiError::internal("not built yet"))
    }

    /// A `metadata.resourceVersion` in the object makes it conditional (409 Conflict).
    pub fn update(&self, gvr: Gvr, object: Value) -> Result<Arc<Value>, ApiError> {
        let _ = (gvr, object);
        Err(ApiError::internal("not built yet"))
    }

    /// The `status` subresource.
    pub fn update_status(&self, gvr: Gvr, object: Value) -> Result<Arc<Value>, ApiError> {
        let _ = (gvr, object);
        Err(ApiError::internal("not built yet"))
    }

    pub fn delete(&self, gvr: Gvr, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), ApiError> {
        let _ = (gvr, namespace, name, options);
        Err(ApiError::internal("not built yet"))
    }

    /// The `binding` subresource of a pod.
    pub fn bind(&self, namespace: &str, pod: &str, node: &str) -> Result<(), ApiError> {
        let _ = (namespace, pod, node);
        Err(ApiError::internal("not built yet"))
    }

    pub fn changes_since(&self, resource_version: u64) -> Changes {
        let _ = resource_version;
        Changes::Since(Vec::new())
    }

    /// The same server as another user.
    pub fn as_user(&self, user: UserInfo, manager: &str) -> Self {
        Self { server: self.server.clone(), user: Arc::new(user), manager: manager.into() }
    }
}
