//! Roles and their bindings.

use super::kit::{Errors, has, list, refuse, text};
use super::{internal, meta, names};
use crate::field::FieldError;
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn rules(errors: &mut Errors, kind: &str, new: &Value, old: Option<&Value>) {
    match kind {
        "Role" | "ClusterRole" => {
            for (index, rule) in list(&new["rules"]).iter().enumerate() {
                policy_rule(errors, &format!("rules[{index}]"), rule, kind == "Role");
            }
            if has(&new["aggregationRule"]) {
                let path = "aggregationRule.clusterRoleSelectors";
                let selectors = list(&new["aggregationRule"]["clusterRoleSelectors"]);
                if selectors.is_empty() {
                    let message = "at least one clusterRoleSelector required if aggregationRule is non-nil";
                    errors.push(FieldError::required(path, message));
                }
                for (index, selector) in selectors.iter().enumerate() {
                    meta::selector(errors, &format!("{path}[{index}]"), selector);
                }
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => binding(errors, kind == "RoleBinding", new, old),
        _ => {}
    }
}

fn policy_rule(errors: &mut Errors, path: &str, rule: &Value, namespaced: bool) {
    if list(&rule["verbs"]).is_empty() {
        errors.push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
    }
    let urls = &rule["nonResourceURLs"];
    if !list(urls).is_empty() {
        let path = format!("{path}.nonResourceURLs");
        if namespaced {
            errors.push(FieldError::invalid(&path, urls, "namespaced rules cannot apply to non-resource URLs"));
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|field| !list(&rule[*field]).is_empty()) {
            let message = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&path, urls, message));
        }
        return;
    }
    if list(&rule["apiGroups"]).is_empty() {
        errors.push(FieldError::required(format!("{path}.apiGroups"), "resource rules must supply at least one api group"));
    }
    if list(&rule["resources"]).is_empty() {
        errors.push(FieldError::required(format!("{path}.resources"), "resource rules must supply at least one resource"));
    }
}

fn binding(errors: &mut Errors, namespaced: bool, new: &Value, old: Option<&Value>) {
    let role = &new["roleRef"];
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    supported(errors, "roleRef.apiGroup", text(&role["apiGroup"]), &[GROUP]);
    supported(errors, "roleRef.kind", text(&role["kind"]), kinds);
    let name = text(&role["name"]);
    if name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    } else {
        refuse(errors, "roleRef.name", name, names::path_segment(name));
    }
    for (index, subject) in list(&new["subjects"]).iter().enumerate() {
        self::subject(errors, &format!("subjects[{index}]"), subject, namespaced);
    }
    if let Some(old) = old
        && *role != old["roleRef"]
    {
        errors.push(FieldError::invalid("roleRef", internal::shown("RoleRef", role), "cannot change roleRef"));
    }
}

fn subject(errors: &mut Errors, path: &str, subject: &Value, namespaced: bool) {
    let (kind, name, group) = (text(&subject["kind"]), text(&subject["name"]), text(&subject["apiGroup"]));
    let group_path = format!("{path}.apiGroup");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                refuse(errors, &format!("{path}.name"), name, names::dns_subdomain(name));
            }
            if !group.is_empty() {
                supported(errors, &group_path, group, &[""]);
            }
            if !namespaced && text(&subject["namespace"]).is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => supported(errors, &group_path, group, &[GROUP]),
        other => supported(errors, &format!("{path}.kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}

fn supported(errors: &mut Errors, path: &str, value: &str, values: &[&str]) {
    super::kit::supported_or_refuse(errors, path, value, values);
}
