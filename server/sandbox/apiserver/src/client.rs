//! The API as the simulator sees it: in process, synchronous, past HTTP and RBAC, through the same defaulting, admission,
//! validation and storage as everybody else's requests.

use crate::{
    call::Call,
    convert,
    server::Server,
    store::Stored,
    subresources::{binding, status},
    user::UserInfo,
    verbs::{create, delete, patch, update},
};
use machinery::{ApiError, Gvr, object};
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
    /// Precondition.
    pub resource_version: Option<String>,
}

impl Client {
    fn call(&self, gvr: Gvr, namespace: &str, name: &str) -> Result<Call, ApiError> {
        let resource = self.server.resource(gvr)?;
        Ok(Call { in_process: true, ..Call::new(&self.server, self.user.clone(), &self.manager, resource, namespace, name) })
    }

    fn call_for(&self, gvr: Gvr, object: &Value) -> Result<Call, ApiError> {
        self.call(gvr, object::namespace(object), object::name(object))
    }

    /// `namespace` is empty for cluster-scoped resources, here and below.
    pub fn get(&self, gvr: Gvr, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = self.server.resource(gvr).ok()?;
        let stored = self.server.stored(crate::call::storage_group(&resource), &resource.plural, namespace, name)?;
        Some(convert::served(&resource, stored))
    }

    /// As it is stored, in the form in which the store holds it.
    pub fn stored(&self, gvr: Gvr, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let resource = self.server.resource(gvr).ok()?;
        self.server.state().stored(crate::call::storage_group(&resource), &resource.plural, namespace, name)
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self, gvr: Gvr, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let Ok(resource) = self.server.resource(gvr) else { return Vec::new() };
        let state = self.server.state();
        state
            .list(crate::call::storage_group(&resource), &resource.plural, namespace)
            .map(|object| convert::served(&resource, object))
            .collect()
    }

    pub fn create(&self, gvr: Gvr, object: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.call_for(gvr, &object)?;
        create::create(&mut call, object)
    }

    /// A `metadata.resourceVersion` in the object makes it conditional (409 Conflict).
    pub fn update(&self, gvr: Gvr, object: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.call_for(gvr, &object)?;
        update::update(&mut call, object).map(|(stored, _)| stored)
    }

    /// The `status` subresource.
    pub fn update_status(&self, gvr: Gvr, object: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.call_for(gvr, &object)?.subresource("status");
        status::update(&mut call, object)
    }

    /// A JSON merge patch (RFC 7386) of the object.
    pub fn merge_patch(&self, gvr: Gvr, namespace: &str, name: &str, patch: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.call(gvr, namespace, name)?;
        patch::patch(&mut call, patch::Patch::merge(patch)).map(|(stored, _)| stored)
    }

    /// A JSON merge patch (RFC 7386) of the `status` subresource.
    pub fn merge_patch_status(&self, gvr: Gvr, namespace: &str, name: &str, patch: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.call(gvr, namespace, name)?.subresource("status");
        patch::patch(&mut call, patch::Patch::merge(patch)).map(|(stored, _)| stored)
    }

    pub fn delete(&self, gvr: Gvr, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), ApiError> {
        let mut call = self.call(gvr, namespace, name)?;
        delete::delete(&mut call, options).map(drop)
    }

    /// The `binding` subresource of a pod.
    pub fn bind(&self, namespace: &str, pod: &str, node: &str) -> Result<(), ApiError> {
        let mut call = self.call(machinery::gvr::PODS, namespace, pod)?.subresource("binding");
        let target = serde_json::json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "namespace": namespace},
                                        "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
        binding::bind(&mut call, &target)
    }

    /// The `finalize` subresource of a namespace: its controller takes `kubernetes` out of `spec.finalizers` when it is empty.
    pub fn finalize_namespace(&self, object: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.call_for(machinery::gvr::NAMESPACES, &object)?.subresource("finalize");
        status::update(&mut call, object)
    }

    /// A token for a pod, as the kubelet asks for one to mount. An empty audience is the API server.
    pub fn pod_token(&self, pod: &Value, audience: &str, seconds: i64) -> Result<String, ApiError> {
        crate::subresources::token::mint(&self.server, pod, audience, seconds)
    }

    /// The token that a Secret of type `kubernetes.io/service-account-token` is to hold.
    pub fn secret_token(&self, namespace: &str, account: &str, secret: &str) -> Result<String, ApiError> {
        crate::subresources::token::mint_legacy(&self.server, namespace, account, secret)
    }

    /// Everything that is served at the moment.
    pub fn scheme(&self) -> Arc<machinery::Scheme> {
        self.server.scheme()
    }

    /// The newest committed resource version.
    pub fn resource_version(&self) -> u64 {
        self.server.state().resource_version()
    }

    /// Group and plural, as stored, of every resource that has objects: what a namespace controller or garbage collector walks.
    pub fn stored_resources(&self) -> Vec<(String, String)> {
        self.server.state().resources().map(|(group, resource)| (group.to_owned(), resource.to_owned())).collect()
    }

    /// Every object of every kind with its group and plural, as stored. Costs no copy of anything.
    pub fn everything(&self) -> Vec<(Arc<str>, Arc<str>, Arc<Value>)> {
        self.server.state().everything().map(|(group, resource, object)| (group.clone(), resource.clone(), object.clone())).collect()
    }

    /// Deletes an object of any stored resource, custom ones included, by storage group and plural.
    pub fn delete_stored(&self, group: &str, plural: &str, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), ApiError> {
        let mut call = self.stored_call(group, plural, namespace, name)?;
        delete::delete(&mut call, options).map(drop)
    }

    /// A JSON merge patch of an object of any stored resource, by storage group and plural.
    pub fn merge_patch_stored(&self, group: &str, plural: &str, namespace: &str, name: &str, patch: Value) -> Result<Arc<Value>, ApiError> {
        let mut call = self.stored_call(group, plural, namespace, name)?;
        patch::patch(&mut call, patch::Patch::merge(patch)).map(|(stored, _)| stored)
    }

    fn stored_call(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Result<Call, ApiError> {
        let scheme = self.server.scheme();
        let resource = scheme
            .resources()
            .find(|resource| resource.plural == plural && crate::call::storage_group(resource) == group && resource.storage.is_none());
        let resource = resource.or_else(|| scheme.resources().find(|r| r.plural == plural && crate::call::storage_group(r) == group));
        let resource = resource.cloned().ok_or_else(|| ApiError::not_found(group, plural, name))?;
        Ok(Call { in_process: true, ..Call::new(&self.server, self.user.clone(), &self.manager, resource, namespace, name) })
    }

    pub fn changes_since(&self, resource_version: u64) -> Changes {
        self.server.changes_since(resource_version).map_or(Changes::Expired, Changes::Since)
    }

    /// The same server as another user.
    pub fn as_user(&self, user: UserInfo, manager: &str) -> Self {
        Self { server: self.server.clone(), user: Arc::new(user), manager: manager.into() }
    }
}
