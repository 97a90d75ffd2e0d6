//! Names of the resources that our own code speaks of. Everything that is served stands in [`crate::scheme`].

use std::fmt;

/// Group, version and plural resource name, as in a request path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvr {
    pub group: &'static str,
    pub version: &'static str,
    pub resource: &'static str,
}

impl Gvr {
    pub const fn new(group: &'static str, version: &'static str, resource: &'static str) -> Self {
        Self { group, version, resource }
    }
}

impl fmt::Display for Gvr {
    /// `deployments.apps`, or `pods` in the core group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { f.write_str(self.resource) } else { write!(f, "{}.{}", self.resource, self.group) }
    }
}

macro_rules! gvrs {
    ($($name:ident = $group:literal $version:literal $resource:literal;)*) => {
        $(pub const $name: Gvr = Gvr::new($group, $version, $resource);)*
    };
}

gvrs! {
    BINDINGS = "" "v1" "bindings";
    CONFIG_MAPS = "" "v1" "configmaps";
    ENDPOINTS = "" "v1" "endpoints";
    EVENTS = "" "v1" "events";
    LIMIT_RANGES = "" "v1" "limitranges";
    NAMESPACES = "" "v1" "namespaces";
    NODES = "" "v1" "nodes";
    PERSISTENT_VOLUMES = "" "v1" "persistentvolumes";
    PERSISTENT_VOLUME_CLAIMS = "" "v1" "persistentvolumeclaims";
    PODS = "" "v1" "pods";
    REPLICATION_CONTROLLERS = "" "v1" "replicationcontrollers";
    RESOURCE_QUOTAS = "" "v1" "resourcequotas";
    SECRETS = "" "v1" "secrets";
    SERVICES = "" "v1" "services";
    SERVICE_ACCOUNTS = "" "v1" "serviceaccounts";
    VALIDATING_ADMISSION_POLICIES = "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies";
    CUSTOM_RESOURCE_DEFINITIONS = "apiextensions.k8s.io" "v1" "customresourcedefinitions";
    CONTROLLER_REVISIONS = "apps" "v1" "controllerrevisions";
    DAEMON_SETS = "apps" "v1" "daemonsets";
    DEPLOYMENTS = "apps" "v1" "deployments";
    REPLICA_SETS = "apps" "v1" "replicasets";
    STATEFUL_SETS = "apps" "v1" "statefulsets";
    HORIZONTAL_POD_AUTOSCALERS = "autoscaling" "v2" "horizontalpodautoscalers";
    CRON_JOBS = "batch" "v1" "cronjobs";
    JOBS = "batch" "v1" "jobs";
    LEASES = "coordination.k8s.io" "v1" "leases";
    ENDPOINT_SLICES = "discovery.k8s.io" "v1" "endpointslices";
    NETWORK_POLICIES = "networking.k8s.io" "v1" "networkpolicies";
    INGRESSES = "networking.k8s.io" "v1" "ingresses";
    RUNTIME_CLASSES = "node.k8s.io" "v1" "runtimeclasses";
    POD_DISRUPTION_BUDGETS = "policy" "v1" "poddisruptionbudgets";
    CLUSTER_ROLES = "rbac.authorization.k8s.io" "v1" "clusterroles";
    CLUSTER_ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "clusterrolebindings";
    ROLES = "rbac.authorization.k8s.io" "v1" "roles";
    ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "rolebindings";
    PRIORITY_CLASSES = "scheduling.k8s.io" "v1" "priorityclasses";
    STORAGE_CLASSES = "storage.k8s.io" "v1" "storageclasses";
}
