//! The objects that a kube-apiserver 1.34 makes by itself at its first start: the default RBAC policy, API priority and fairness,
//! the built-in priority classes and the list of served API groups.
//!
//! The table beside this file holds the facts, one object a line, without what every cluster makes anew (uid, times,
//! resource version). <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>

use serde_json::Value;

/// All of them, in no order that matters. Parsed on each call: a process needs it once, for its template of a cluster.
pub fn objects() -> Vec<Value> {
    include_str!("objects.jsonl").lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::objects;
    use machinery::object;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_is_an_object_of_its_own() {
        let objects = objects();
        assert_eq!(objects.len(), include_str!("objects.jsonl").lines().count());
        let names: BTreeSet<_> = objects.iter().map(|o| (object::kind(o), object::namespace(o), object::name(o))).collect();
        assert_eq!(names.len(), objects.len());
    }

    /// Nobody but `system:masters` holds cluster-admin, and anonymous users see nothing but the version and health.
    #[test]
    fn the_default_policy_gives_nothing_away() {
        let objects = objects();
        let binding = |name: &str| objects.iter().find(|o| object::kind(o) == "ClusterRoleBinding" && object::name(o) == name);
        let admin = binding("cluster-admin").map(|b| b["subjects"].clone());
        assert_eq!(admin.as_ref().and_then(|s| s[0]["name"].as_str()), Some("system:masters"));
        let open: BTreeSet<_> = objects
            .iter()
            .filter(|o| o["subjects"].as_array().is_some_and(|s| s.iter().any(|s| s["name"] == "system:unauthenticated")))
            .map(object::name)
            .collect();
        assert_eq!(open, BTreeSet::from(["system:public-info-viewer"]));
    }
}
