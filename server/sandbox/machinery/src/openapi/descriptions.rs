//! What the types and their fields are for, in Kubernetes' own words: they come with the types of `k8s-openapi`.

use k8s_openapi::{api, apiextensions_apiserver, apimachinery, kube_aggregator, schemars::SchemaGenerator};
use serde_json::Value;
use std::{collections::HashMap, sync::LazyLock};

/// A type's own description and those of its fields.
#[derive(Debug, Default)]
struct Described {
    own: Option<String>,
    fields: HashMap<String, String>,
}

static DESCRIBED: LazyLock<HashMap<String, Described>> = LazyLock::new(read);

pub(super) fn of_type(name: &str) -> Option<&'static str> {
    DESCRIBED.get(name)?.own.as_deref()
}

pub(super) fn of_field(of: &str, field: &str) -> Option<&'static str> {
    if let Some(text) = DESCRIBED.get(of).and_then(|described| described.fields.get(field)) {
        return Some(text);
    }
    // lists have no type of their own there; theirs are the same for all
    let like_any_list = |field| DESCRIBED.get("io.k8s.apimachinery.pkg.apis.meta.v1.Status")?.fields.get(field).map(String::as_str);
    if of.ends_with("List") && matches!(field, "apiVersion" | "kind" | "metadata") { like_any_list(field) } else { None }
}

macro_rules! gather {
    ($generator:ident, $($root:ty,)*) => {
        $(_ = $generator.subschema_for::<$root>();)*
    };
}

/// Asks every type that no other type holds; the others come with them.
fn read() -> HashMap<String, Described> {
    let mut generator = SchemaGenerator::default();
    gather! {
    generator,
    api::admissionregistration::v1::MutatingWebhookConfiguration,
    api::admissionregistration::v1::ValidatingAdmissionPolicy,
    api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    api::admissionregistration::v1::ValidatingWebhookConfiguration,
    api::apps::v1::ControllerRevision,
    api::apps::v1::DaemonSet,
    api::apps::v1::Deployment,
    api::apps::v1::ReplicaSet,
    api::apps::v1::StatefulSet,
    api::authentication::v1::SelfSubjectReview,
    api::authentication::v1::TokenRequest,
    api::authentication::v1::TokenReview,
    api::authorization::v1::LocalSubjectAccessReview,
    api::authorization::v1::SelfSubjectAccessReview,
    api::authorization::v1::SelfSubjectRulesReview,
    api::authorization::v1::SubjectAccessReview,
    api::autoscaling::v1::HorizontalPodAutoscaler,
    api::autoscaling::v1::Scale,
    api::autoscaling::v2::HorizontalPodAutoscaler,
    api::batch::v1::CronJob,
    api::batch::v1::Job,
    api::certificates::v1::CertificateSigningRequest,
    api::coordination::v1::Lease,
    api::core::v1::Binding,
    api::core::v1::ComponentStatus,
    api::core::v1::ConfigMap,
    api::core::v1::Endpoints,
    api::core::v1::Event,
    api::core::v1::LimitRange,
    api::core::v1::Namespace,
    api::core::v1::Node,
    api::core::v1::PersistentVolume,
    api::core::v1::Pod,
    api::core::v1::PodTemplate,
    api::core::v1::ReplicationController,
    api::core::v1::ResourceQuota,
    api::core::v1::Secret,
    api::core::v1::Service,
    api::core::v1::ServiceAccount,
    api::discovery::v1::EndpointSlice,
    api::events::v1::Event,
    api::flowcontrol::v1::FlowSchema,
    api::flowcontrol::v1::PriorityLevelConfiguration,
    api::networking::v1::IPAddress,
    api::networking::v1::Ingress,
    api::networking::v1::IngressClass,
    api::networking::v1::NetworkPolicy,
    api::networking::v1::ServiceCIDR,
    api::node::v1::RuntimeClass,
    api::policy::v1::Eviction,
    api::policy::v1::PodDisruptionBudget,
    api::rbac::v1::ClusterRole,
    api::rbac::v1::ClusterRoleBinding,
    api::rbac::v1::Role,
    api::rbac::v1::RoleBinding,
    api::resource::v1::DeviceClass,
    api::resource::v1::ResourceClaim,
    api::resource::v1::ResourceClaimTemplate,
    api::resource::v1::ResourceSlice,
    api::scheduling::v1::PriorityClass,
    api::storage::v1::CSIDriver,
    api::storage::v1::CSINode,
    api::storage::v1::CSIStorageCapacity,
    api::storage::v1::StorageClass,
    api::storage::v1::VolumeAttachment,
    api::storage::v1::VolumeAttributesClass,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::APIGroup,
    apimachinery::pkg::apis::meta::v1::APIGroupList,
    apimachinery::pkg::apis::meta::v1::APIResource,
    apimachinery::pkg::apis::meta::v1::APIResourceList,
    apimachinery::pkg::apis::meta::v1::APIVersions,
    apimachinery::pkg::apis::meta::v1::Patch,
    apimachinery::pkg::apis::meta::v1::Status,
    apimachinery::pkg::version::Info,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
    }
    let text = |value: &Value| value["description"].as_str().map(str::to_owned);
    let described = generator.definitions().iter().map(|(name, schema)| {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.filter_map(|(field, schema)| Some((field.clone(), text(schema)?))).collect();
        (name.clone(), Described { own: text(schema), fields })
    });
    described.collect()
}
