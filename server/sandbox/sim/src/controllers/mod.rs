//! What kube-controller-manager runs, one controller, one file.

mod cluster_role_aggregation;
pub mod common;
pub(crate) mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod event_expiry;
mod garbage_collector;
mod history;
mod job;
mod namespace;
mod node_lifecycle;
mod persistent_volume;
mod pod_gc;
mod replica_set;
mod replicas;
mod replication_controller;
mod resource_quota;
mod root_ca;
mod service_account;
mod service_account_token;
mod service_endpoints;
mod stateful_set;
mod storage_protection;
#[cfg(test)]
mod tests;
mod ttl_after_finished;
mod validating_policy_status;

use crate::step::Controller;

/// Every controller, in the order of a round. `certificate_authority` is the PEM that `kube-root-ca.crt` publishes.
pub fn all(certificate_authority: &str) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(namespace::NamespaceController::default()),
        Box::new(service_account::ServiceAccountController::default()),
        Box::new(root_ca::RootCaPublisher::new(certificate_authority)),
        Box::new(service_account_token::TokenController::new(certificate_authority)),
        Box::new(cluster_role_aggregation::ClusterRoleAggregationController::default()),
        Box::new(garbage_collector::GarbageCollector::default()),
        Box::new(cron_job::CronJobController::default()),
        Box::new(job::JobController::default()),
        Box::new(deployment::DeploymentController::default()),
        Box::new(replica_set::ReplicaSetController::default()),
        Box::new(replication_controller::ReplicationController::default()),
        Box::new(daemon_set::DaemonSetController::default()),
        Box::new(stateful_set::StatefulSetController::default()),
        Box::new(persistent_volume::PersistentVolumeController::default()),
        Box::new(storage_protection::StorageProtectionController::default()),
        Box::new(node_lifecycle::NodeLifecycleController::default()),
        Box::new(pod_gc::PodGarbageCollector::default()),
        Box::new(endpoints::EndpointsController::default()),
        Box::new(endpoint_slice::EndpointSliceController::default()),
        Box::new(endpoint_slice_mirroring::EndpointSliceMirroringController::default()),
        Box::new(disruption::DisruptionController::default()),
        Box::new(resource_quota::ResourceQuotaController::default()),
        Box::new(ttl_after_finished::TtlAfterFinishedController::default()),
        Box::new(event_expiry::EventExpiry::default()),
        Box::new(validating_policy_status::ValidatingPolicyStatusController::default()),
    ]
}
