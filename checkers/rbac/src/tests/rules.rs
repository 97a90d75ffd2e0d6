use super::{policy, request};
use crate::{User, escalation, rule};
use expect_test::expect;
use serde_json::{Value, json};

#[test]
fn one_rule_against_one_request() {
    let rule = |groups: Value, resources: Value, verbs: Value| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let urls = |urls: Value| json!({"nonResourceURLs": urls, "verbs": ["get"]});
    let table: &[(Value, &str, bool)] = &[
        (rule(json!([""]), json!(["pods"]), json!(["get"])), "get pods", true),
        (rule(json!([""]), json!(["pods"]), json!(["*"])), "deletecollection pods", true),
        (rule(json!([""]), json!(["pods"]), json!(["GET"])), "get pods", false),
        (rule(json!(["*"]), json!(["*"]), json!(["get"])), "get apps:deployments/status", true),
        (rule(json!([""]), json!(["*"]), json!(["get"])), "get apps:deployments", false),
        (rule(json!([""]), json!(["pods"]), json!(["get"])), "get pods/log", false),
        (rule(json!([""]), json!(["pods/*"]), json!(["get"])), "get pods/log", false),
        (rule(json!([""]), json!(["*/log"]), json!(["get"])), "get pods/log", true),
        (rule(json!([""]), json!(["*/log"]), json!(["get"])), "get pods", false),
        (rule(json!([]), json!(["pods"]), json!(["get"])), "get pods", false),
        (urls(json!(["*"])), "get /anything", true),
        (urls(json!(["/api/*"])), "get /api/v1", true),
        (urls(json!(["/api/**"])), "get /api/v1", true),
        (urls(json!(["/api/*"])), "get /api", false),
        (urls(json!(["/api/*"])), "get pods", false),
        (json!({"verbs": ["get"]}), "get pods", false),
        (json!("not a rule"), "get pods", false),
        (json!({"verbs": "get", "apiGroups": "", "resources": "pods"}), "get pods", false),
    ];
    for (rule, words, expected) in table {
        assert_eq!(rule::covers_request(rule, &request(words)), *expected, "{rule} {words}");
    }
}

const HOLDER: &str = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: view-pods}, rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}, {apiGroups: [""], resources: ["*/status"], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: view-pods}, roleRef: {kind: ClusterRole, name: view-pods}, subjects: [{kind: User, name: dev}]}
"#;

fn missing(wanted: &Value) -> String {
    let groups = ["system:authenticated".to_owned()];
    match escalation::missing(&policy(HOLDER), User { name: "dev", groups: &groups }, "ml", &[wanted]) {
        Ok(()) => "holds all".to_owned(),
        Err(words) => words,
    }
}

#[test]
fn what_is_not_held_is_named() {
    expect!["holds all"]
        .assert_eq(&missing(&json!({"apiGroups": [""], "resources": ["pods"], "resourceNames": ["one"], "verbs": ["list"]})));
    expect!["holds all"].assert_eq(&missing(&json!({"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["get"]})));
    expect![[r#"
        user "dev" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["pods"], Verbs:["delete" "watch"]}
        {APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete" "watch"]}"#]]
    .assert_eq(&missing(&json!({"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "delete", "watch"]})));
    expect![[r#"
        user "dev" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {NonResourceURLs:["/metrics"], Verbs:["get"]}"#]]
    .assert_eq(&missing(&json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]})));
}

#[test]
fn a_rule_that_is_enormous_is_refused_in_bounded_time() {
    let many: Vec<String> = (0..2_000).map(|n| format!("r{n}")).collect();
    expect!["the rules are too many to be compared"].assert_eq(&missing(&json!({"apiGroups": many, "resources": many, "verbs": many})));
}

fn write(new: Value, old: Option<Value>) -> String {
    let (policy, groups) = (policy(HOLDER), ["system:authenticated".to_owned()]);
    match escalation::check(&policy, &policy, User { name: "dev", groups: &groups }, &new, old.as_ref()) {
        Ok(()) => "may".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn roles_and_bindings_are_judged_by_what_their_writer_holds() {
    let rules = |verb: &str| json!([{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]);
    let role = |rules: Value| json!({"kind": "Role", "metadata": {"name": "r", "namespace": "ml"}, "rules": rules});
    let binding = |role: &str| {
        let role = json!({"kind": "ClusterRole", "name": role});
        json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "ml"}, "roleRef": role, "subjects": []})
    };
    let delete = r#"user "dev" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#;
    let aggregated = json!({"kind": "ClusterRole", "metadata": {"name": "a"}, "aggregationRule": {"clusterRoleSelectors": []}});
    let table = [
        (role(rules("list")), None, "may"),
        (role(rules("delete")), None, delete),
        (role(rules("delete")), Some(role(rules("delete"))), "may"),
        (role(rules("delete")), Some(role(rules("get"))), delete),
        (binding("view-pods"), None, "may"),
        (binding("gone"), None, "rolebindings.rbac.authorization.k8s.io \"gone\" not found"),
        (aggregated, None, "must have cluster-admin privileges to use an aggregationRule"),
        (json!({"kind": "Secret", "metadata": {"name": "x"}}), None, "may"),
    ];
    for (new, old, expected) in table {
        assert_eq!(write(new.clone(), old), expected, "{new}");
    }
}
