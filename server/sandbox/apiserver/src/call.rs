//! One request for objects of one resource, past authentication and authorization, whoever sent it.

use crate::{server::Server, user::UserInfo};
use jiff::Timestamp;
use machinery::{ApiError, FieldError, Resource, apply::Manager, strict::FieldValidation};
use serde_json::Value;
use std::sync::Arc;

/// What the verbs work on. Warnings gather for the answer's headers.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub server: Server,
    pub user: Arc<UserInfo>,
    /// Field manager.
    pub manager: String,
    pub resource: Arc<Resource>,
    /// `create`, `update`, `patch`, …; empty where the simulator asks.
    pub verb: &'static str,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped resources, and for all namespaces.
    pub namespace: String,
    /// Empty for lists and creates.
    pub name: String,
    pub dry_run: bool,
    pub validation: FieldValidation,
    pub now: Timestamp,
    pub warnings: Vec<String>,
    /// Asked by the simulator, past HTTP: one kubelet there speaks for all nodes.
    pub in_process: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    /// As rules and AdmissionReviews spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

impl Call {
    pub fn new(server: &Server, user: Arc<UserInfo>, manager: &str, resource: Arc<Resource>, namespace: &str, name: &str) -> Self {
        Self {
            now: server.clock().now(),
            server: server.clone(),
            user,
            manager: manager.to_owned(),
            resource,
            verb: "",
            subresource: String::new(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dry_run: false,
            validation: FieldValidation::Ignore,
            warnings: Vec::new(),
            in_process: false,
        }
    }

    pub fn subresource(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }

    pub fn manager(&self) -> Manager<'_> {
        Manager { name: &self.manager, subresource: &self.subresource, now: self.now }
    }

    pub fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// Group that the objects are stored under.
    pub fn storage_group(&self) -> &str {
        storage_group(&self.resource)
    }

    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }

    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.resource.group, &self.resource.plural, &self.name)
    }

    pub fn conflict(&self, name: &str, why: &str) -> ApiError {
        ApiError::conflict(&self.resource.group, &self.resource.plural, name, why)
    }

    pub fn forbidden(&self, name: &str, why: &str) -> ApiError {
        ApiError::forbidden(&self.resource.group, &self.resource.plural, name, why)
    }

    pub fn invalid(&self, name: &str, errors: &[FieldError]) -> ApiError {
        ApiError::invalid(&self.resource.group, &self.resource.kind, name, errors)
    }
}

pub(crate) fn storage_group(resource: &Resource) -> &str {
    resource.storage.as_ref().map_or(&*resource.group, |(group, _)| &**group)
}

/// `v1` or `apps/v1`, as objects of `resource` are stored.
pub(crate) fn storage_version(resource: &Resource) -> String {
    match &resource.storage {
        Some((group, version)) if group.is_empty() => version.to_string(),
        Some((group, version)) => format!("{group}/{version}"),
        None => resource.api_version(),
    }
}

/// Fails with the words of the API server for an object that names another namespace than the request.
pub(crate) fn check_namespace(call: &Call, object: &mut Value) -> Result<(), ApiError> {
    let given = machinery::object::namespace(object).to_owned();
    if !call.resource.namespaced {
        if !given.is_empty()
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("namespace");
        }
        return Ok(());
    }
    if given.is_empty() {
        machinery::object::set_meta(object, "namespace", call.namespace.clone());
    } else if given != call.namespace {
        return Err(ApiError::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
    }
    Ok(())
}
