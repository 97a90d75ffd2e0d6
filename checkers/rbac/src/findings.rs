//! What an author of roles and bindings gets wrong without the API server's complaint: bindings that lead nowhere, rules that say
//! nothing, and powers that are more than they look (<https://kubernetes.io/docs/concepts/security/rbac-good-practices/>).

use crate::{GROUP, Policy, Source, items, name, namespace, role_of, text};
use serde_json::Value;

/// One thing to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `dangling`, `subject`, `rule` (what was written does nothing) or `power` (it does more than it seems to).
    pub control: &'static str,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// As `rules[0].resources`.
    pub field: String,
    pub message: String,
}

/// Everything found, cluster-wide objects first. Kubernetes' own objects (`system:…`) are left alone.
pub fn findings(policy: &Policy) -> Vec<Finding> {
    let mut found = Vec::new();
    for binding in policy.bindings().filter(|binding| !name(binding).starts_with("system:")) {
        of_binding(policy, binding, &mut |control, field, message| found.push(finding(binding, control, field, message)));
    }
    for role in policy.roles().filter(|role| !name(role).starts_with("system:")) {
        for (index, rule) in items(role, "rules").enumerate() {
            let mut add = |control, field: &str, message: String| {
                let field = if field.is_empty() { format!("rules[{index}]") } else { format!("rules[{index}].{field}") };
                found.push(finding(role, control, field, message));
            };
            of_rule(role, rule, &mut add);
        }
    }
    found
}

fn finding(object: &Value, control: &'static str, field: String, message: String) -> Finding {
    let kind = text(object, "kind").to_owned();
    Finding { control, kind, namespace: namespace(object).to_owned(), name: name(object).to_owned(), field, message }
}

fn of_binding(policy: &Policy, binding: &Value, add: &mut dyn FnMut(&'static str, String, String)) {
    let role = &binding["roleRef"];
    let home = if text(binding, "kind") == "RoleBinding" { namespace(binding) } else { "" };
    if role_of(policy, role, home).is_none() {
        let there = match (text(role, "kind"), home) {
            ("Role", "") => "a ClusterRoleBinding can refer to a ClusterRole only".to_owned(),
            ("Role", home) if policy.cluster_role(text(role, "name")).is_some() => {
                format!("there is no Role of this name in {home}, but a ClusterRole")
            }
            ("Role", home) => format!("there is no Role {:?} in {home}", text(role, "name")),
            (kind, _) => format!("there is no {kind} {:?}", text(role, "name")),
        };
        add("dangling", "roleRef".to_owned(), format!("{there}; the binding grants nothing"));
    }
    for (index, subject) in items(binding, "subjects").enumerate() {
        let field = format!("subjects[{index}]");
        let (kind, given) = (text(subject, "kind"), text(subject, "name"));
        match kind {
            "ServiceAccount" if text(subject, "namespace").is_empty() && home.is_empty() => {
                add("subject", field + ".namespace", "a service account needs its namespace here; this subject is nobody".to_owned());
            }
            "User" if given.starts_with("system:serviceaccount:") && given.split(':').count() != 4 => {
                let message = "a service account's user name is system:serviceaccount:NAMESPACE:NAME; this subject is nobody".to_owned();
                add("subject", field + ".name", message);
            }
            "Group" if given == "system:unauthenticated" || given == "system:anonymous" => {
                add("power", field + ".name", "whoever reaches the API server holds this role, without a password or token".to_owned());
            }
            "Group" if given == "system:authenticated" || given == "system:serviceaccounts" => {
                add("power", field + ".name", "every service account of every namespace holds this role".to_owned());
            }
            "User" | "Group" | "ServiceAccount" => {}
            other => add("subject", field + ".kind", format!("{other:?} is no kind of subject: User, Group or ServiceAccount")),
        }
    }
}

fn of_rule(role: &Value, rule: &Value, add: &mut dyn FnMut(&'static str, &str, String)) {
    let all = |field: &str| items(rule, field).filter_map(Value::as_str).collect::<Vec<_>>();
    let (verbs, groups, resources, urls) = (all("verbs"), all("apiGroups"), all("resources"), all("nonResourceURLs"));
    let has = |list: &[&str], one: &str| list.contains(&"*") || list.contains(&one);
    if !urls.is_empty() && text(role, "kind") == "Role" {
        add("rule", "nonResourceURLs", "a Role holds in one namespace, URLs are in none; put this into a ClusterRole".to_owned());
    }
    if !resources.is_empty() && groups.is_empty() {
        add("rule", "apiGroups", "no API group is named, so no resource is; the core group is \"\"".to_owned());
    }
    for (index, resource) in resources.iter().enumerate() {
        let plain = resource.split('/').next().unwrap_or_default();
        if resource.chars().any(|c| c.is_ascii_uppercase()) {
            add(
                "rule",
                &format!("resources[{index}]"),
                format!("{resource:?} matches nothing: resources are named in lower case and plural"),
            );
        } else if let Some(right) = right_group(plain).filter(|right| !groups.is_empty() && !has(&groups, right)) {
            add("rule", "apiGroups", format!("{plain} belong to the API group {right:?}; this rule names {groups:?}"));
        }
    }
    for (index, verb) in verbs.iter().enumerate().filter(|(_, verb)| verb.chars().any(|c| c.is_ascii_uppercase())) {
        add("rule", &format!("verbs[{index}]"), format!("{verb:?} matches nothing: verbs are written in lower case"));
    }
    if !items(rule, "resourceNames").collect::<Vec<_>>().is_empty() {
        for verb in ["list", "watch", "create", "deletecollection"].into_iter().filter(|verb| verbs.contains(verb)) {
            let message = match verb {
                "list" | "watch" => format!("{verb} works only where the request selects metadata.name; a plain {verb} is refused"),
                _ => format!("{verb} names no object, so resourceNames never match it"),
            };
            add("rule", "resourceNames", message);
        }
    }
    if text(role, "kind") == "ClusterRole" && name(role) == "cluster-admin" {
        return;
    }
    powers(&verbs, &groups, &resources, add);
}

/// Permissions that lead to others.
fn powers(verbs: &[&str], groups: &[&str], resources: &[&str], add: &mut dyn FnMut(&'static str, &str, String)) {
    let has = |list: &[&str], one: &str| list.contains(&"*") || list.contains(&one);
    let any = |wanted: &[&str]| wanted.iter().any(|verb| has(verbs, verb));
    let core = has(groups, "");
    if verbs.contains(&"*") && groups.contains(&"*") && resources.contains(&"*") {
        add("power", "", "this is everything, as cluster-admin has it".to_owned());
        return;
    }
    if core && has(resources, "secrets") && any(&["get", "list", "watch"]) {
        add(
            "power",
            "resources",
            "secrets can be read, those of service accounts and of TLS among them; list and watch show contents too".to_owned(),
        );
    }
    if core && any(&["create", "get"]) && (has(resources, "pods/exec") || has(resources, "pods/attach")) {
        add("power", "resources", "a shell in a pod acts with that pod's service account, devices and volumes".to_owned());
    }
    if core && has(resources, "nodes/proxy") {
        add("power", "resources", "nodes/proxy reaches the kubelet, past admission and the audit log".to_owned());
    }
    if core && has(resources, "serviceaccounts/token") && has(verbs, "create") {
        add("power", "resources", "a token of any service account in reach can be made".to_owned());
    }
    if has(verbs, "impersonate") && (core || has(groups, "authentication.k8s.io")) {
        add("power", "verbs", "whoever may impersonate is everybody whom this rule names".to_owned());
    }
    if has(groups, GROUP) && any(&["escalate", "bind"]) {
        add("power", "verbs", "escalate and bind let their holder grant what they do not hold".to_owned());
    }
    let workloads = ["pods", "deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "replicasets"];
    if any(&["create", "update", "patch"]) && workloads.iter().any(|workload| has(resources, workload)) {
        let message = "whoever makes pods uses every service account, Secret and GPU of the namespace, unless admission says otherwise";
        add("power", "resources", message.to_owned());
    }
}

/// The API group of the resources that are most often looked for in the wrong one.
fn right_group(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "pods"
        | "services"
        | "configmaps"
        | "secrets"
        | "serviceaccounts"
        | "namespaces"
        | "nodes"
        | "persistentvolumeclaims"
        | "persistentvolumes"
        | "endpoints"
        | "replicationcontrollers"
        | "resourcequotas"
        | "limitranges" => "",
        "deployments" | "daemonsets" | "statefulsets" | "replicasets" | "controllerrevisions" => "apps",
        "jobs" | "cronjobs" => "batch",
        "networkpolicies" | "ingresses" | "ingressclasses" => "networking.k8s.io",
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => GROUP,
        "poddisruptionbudgets" => "policy",
        "horizontalpodautoscalers" => "autoscaling",
        "storageclasses" | "volumeattachments" | "csidrivers" => "storage.k8s.io",
        "runtimeclasses" => "node.k8s.io",
        "priorityclasses" => "scheduling.k8s.io",
        "leases" => "coordination.k8s.io",
        _ => return None,
    })
}
