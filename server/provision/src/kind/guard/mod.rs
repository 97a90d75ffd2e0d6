//! What stands between a learner, who is cluster-admin, and root on the node, which is root on the host.
//!
//! ```text
//! request ──► authorizer `cordon.dev` (a file of the API server: no request changes it)  closes the ways around admission
//!         ──► RBAC                                                                        learners are cluster-admin
//!         ──► ValidatingAdmissionPolicies `cordon-…`                                      refuse pods that reach the node
//! ```
//!
//! Admission policies are objects, which a cluster-admin may delete, and requests from inside pods do not pass our gateway. So the
//! policies are held by the API server's own configuration: a webhook authorizer that exists only for the requests that its
//! conditions match, at an address where nobody answers, with `failurePolicy: Deny`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#using-configuration-file-for-authorization>).

mod policies;

use crate::{contract::UserInfo, kind::kubeadm::GUARD_FOLDER};
pub use policies::{Parts, policies};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The group of everybody who comes through the gateway as an administrator.
pub const LEARNERS: &str = "cordon:learners";

/// Stands in what the API server says where the authorizer closed a door.
pub const CLOSED_DOOR: &str = "127.0.0.1:1/";

/// What is said instead.
pub const CLOSED: &str = "this request leads around the guard between pods and the node, which on a kind cluster is root on the host; \
    the operator can open it with kind.trusted_learners";

/// Who makes the directories of PersistentVolumes in kind's own images.
const PROVISIONER: &str = "system:serviceaccount:local-path-storage:local-path-provisioner-service-account";

/// Who runs the cluster itself: its own components, the controllers' accounts, and kubeadm's certificates (its administrator, and the
/// API server as the kubelets' client). The accounts of pods in kube-system are not among them: a learner may get at their tokens,
/// by standing in for the API server before a pod that sends its token there.
const SYSTEM_USERS: &str = "request.user in ['system:kube-controller-manager', 'system:kube-scheduler'] \
    || request.user.startsWith('system:node:') || 'kubeadm:cluster-admins' in request.groups \
    || request.user.matches('^system:serviceaccount:kube-system:([a-z-]+-controller|bootstrap-signer|generic-garbage-collector\
    |horizontal-pod-autoscaler|legacy-service-account-token-cleaner|persistent-volume-binder|pod-garbage-collector\
    |root-ca-cert-publisher|token-cleaner)$')";

/// Doors around admission, each of which leads to the node or to an identity that admission trusts.
const DOORS: &[(&str, &str)] = &[
    (
        "the guard's own policies",
        "ra.group == 'admissionregistration.k8s.io' && ra.resource.startsWith('validatingadmissionpolic') \
         && ra.verb in ['update', 'patch', 'delete', 'deletecollection'] && (ra.name == '' || ra.name.startsWith('cordon-'))",
    ),
    ("the kubelet's API", "ra.group == '' && ra.resource == 'nodes' && ra.subresource != '' && ra.subresource != 'status'"),
    (
        "the identities of the cluster's own components",
        "ra.verb == 'impersonate' && ((ra.resource == 'serviceaccounts' && ra.namespace in ['kube-system', 'local-path-storage']) \
         || (ra.resource == 'users' && (ra.name == 'kubernetes-admin' || ra.name.startsWith('system:'))) \
         || (ra.resource == 'groups' && (ra.name == 'kubeadm:cluster-admins' || (ra.name.startsWith('system:') \
         && !(ra.name in ['system:authenticated', 'system:unauthenticated', 'system:serviceaccounts']) \
         && (!ra.name.startsWith('system:serviceaccounts:') \
         || ra.name in ['system:serviceaccounts:kube-system', 'system:serviceaccounts:local-path-storage'])))))",
    ),
    (
        "client certificates, which could name any identity",
        "ra.group == 'certificates.k8s.io' && (ra.resource == 'signers' || ra.subresource in ['approval', 'status'])",
    ),
    (
        "pods, accounts and configuration in kube-system",
        "ra.namespace == 'kube-system' && ra.verb in ['create', 'update', 'patch'] && !(ra.resource in ['daemonsets', 'services', \
         'networkpolicies', 'roles', 'rolebindings', 'resourcequotas', 'limitranges', 'poddisruptionbudgets'])",
    ),
    (
        "the certificate of the API server in kube-system, which would be written anew and could be another one by then",
        "ra.namespace == 'kube-system' && ra.verb in ['delete', 'deletecollection'] && ra.resource == 'configmaps'",
    ),
    (
        "processes in kube-system, and what listens on the node for itself",
        "ra.namespace == 'kube-system' && ra.resource == 'pods' && ra.subresource in ['exec', 'attach', 'portforward']",
    ),
    (
        "the storage provisioner",
        "ra.namespace == 'local-path-storage' && (ra.verb in ['create', 'update', 'patch'] || ra.subresource in ['exec', 'attach']) \
         && request.user != 'system:serviceaccount:local-path-storage:local-path-provisioner-service-account'",
    ),
    (
        "the API server's own groups, which an aggregated API could stand in for",
        "ra.group == 'apiregistration.k8s.io' && ra.verb in ['update', 'patch', 'delete', 'deletecollection'] \
         && ra.name != 'v1beta1.metrics.k8s.io' && (ra.name.endsWith('.k8s.io') || ra.name.split('.').size() < 3)",
    ),
];

/// Files for the control plane's node, by path, with their modes.
pub fn files() -> BTreeMap<String, (String, u32)> {
    let kubeconfig = "apiVersion: v1
kind: Config
clusters: [{name: nobody, cluster: {server: \"https://127.0.0.1:1/\"}}]
users: [{name: nobody, user: {}}]
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
current-context: nobody
";
    [("authorization.yaml", authorization()), ("nobody.conf", kubeconfig.to_owned())]
        .map(|(name, text)| (format!("{GUARD_FOLDER}/{name}"), (text, 0o600)))
        .into()
}

/// JSON is YAML too; the API server reads both.
fn authorization() -> String {
    let doors: Vec<String> = DOORS.iter().map(|(_, door)| format!("({})", door.replace("ra.", "request.resourceAttributes."))).collect();
    let conditions = [
        "has(request.resourceAttributes)".to_owned(),
        format!("!({SYSTEM_USERS})"),
        format!("has(request.resourceAttributes) && ({})", doors.join(" || ")),
    ];
    let document = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [
            {
                "type": "Webhook",
                "name": "cordon.dev",
                "webhook": {
                    "authorizedTTL": "1s",
                    "unauthorizedTTL": "60s",
                    "timeout": "1s",
                    "subjectAccessReviewVersion": "v1",
                    "matchConditionSubjectAccessReviewVersion": "v1",
                    "failurePolicy": "Deny",
                    "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": format!("{GUARD_FOLDER}/nobody.conf")},
                    "matchConditions": conditions.map(|expression| json!({"expression": expression})),
                },
            },
            {"type": "Node", "name": "node"},
            {"type": "RBAC", "name": "rbac"},
        ],
    });
    format!("{document:#}\n")
}

/// Learners are cluster-admin by RBAC, and not above it as `system:masters` is.
pub fn learners_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": LEARNERS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": LEARNERS}],
    })
}

/// The identity that nobody may take on, if `wanted` is or holds one: resource and name, as the API server would name them. Said here and
/// not only by the cluster's own authorizer, since a learner's webhook may change the question on its way there.
pub fn closed_identity(wanted: &UserInfo) -> Option<(&'static str, &str)> {
    let own = |namespace: &str| matches!(namespace, "kube-system" | "local-path-storage");
    let name = wanted.name.as_str();
    let closed = match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, _)) => own(namespace),
        None => name == "kubernetes-admin" || name.starts_with("system:"),
    };
    if closed {
        return Some(("users", name));
    }
    let closed = |group: &&String| match group.strip_prefix("system:") {
        Some("authenticated" | "unauthenticated" | "serviceaccounts") => false,
        Some(rest) => rest.strip_prefix("serviceaccounts:").is_none_or(own),
        None => *group == "kubeadm:cluster-admins",
    };
    wanted.groups.iter().find(closed).map(|group| ("groups", group.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_becomes_the_cluster_itself() {
        let user = |name: &str, groups: &[&str]| UserInfo {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserInfo::default()
        };
        let rows = [
            (user("ada", &["dev", "system:authenticated"]), None),
            (user("system:serviceaccount:ml:trainer", &["system:serviceaccounts", "system:serviceaccounts:ml"]), None),
            (user("ada", &["dev", "system:masters"]), Some(("groups", "system:masters"))),
            (user("ada", &["system:nodes"]), Some(("groups", "system:nodes"))),
            (user("ada", &["system:serviceaccounts:kube-system"]), Some(("groups", "system:serviceaccounts:kube-system"))),
            (user("ada", &["kubeadm:cluster-admins"]), Some(("groups", "kubeadm:cluster-admins"))),
            (user("kubernetes-admin", &[]), Some(("users", "kubernetes-admin"))),
            (user("system:node:gpu-node", &[]), Some(("users", "system:node:gpu-node"))),
            (user("system:serviceaccount:kube-system:x", &[]), Some(("users", "system:serviceaccount:kube-system:x"))),
            (user("system:serviceaccount:kube-system", &[]), Some(("users", "system:serviceaccount:kube-system"))),
        ];
        for (user, expected) in rows {
            assert_eq!(closed_identity(&user), expected, "{user:?}");
        }
    }

    #[test]
    fn the_files_are_one_configuration() {
        let files = files();
        let (text, mode) = &files[&format!("{GUARD_FOLDER}/authorization.yaml")];
        let parsed: Value = serde_json::from_str(text).unwrap();
        let webhook = &parsed["authorizers"][0]["webhook"];
        assert_eq!((*mode, &webhook["failurePolicy"]), (0o600, &json!("Deny")));
        assert!(files.contains_key(webhook["connectionInfo"]["kubeConfigFile"].as_str().unwrap()));
        assert!(files[&format!("{GUARD_FOLDER}/nobody.conf")].0.contains(CLOSED_DOOR));
    }
}
