use super::policy;
use crate::{Source, Subject, findings, subjects};
use expect_test::{Expect, expect};

fn rules_of(yaml: &str, role: &str) -> String {
    policy(yaml).cluster_role(role).map(|role| role["rules"].to_string()).unwrap_or_default()
}

#[test]
fn aggregation_reaches_through_a_chain_and_orders_roles_by_name() {
    let yaml = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: all}}]}, rules: [{verbs: [stale]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: middle, labels: {to: all}}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: middle}}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: b, labels: {to: middle}}, rules: [{verbs: [b]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: a, labels: {to: middle}}, rules: [{verbs: [a]}, {verbs: [b]}]}
"#;
    expect![[r#"[{"verbs":["a"]},{"verbs":["b"]}]"#]].assert_eq(&rules_of(yaml, "all"));
    expect![[r#"[{"verbs":["a"]},{"verbs":["b"]}]"#]].assert_eq(&rules_of(yaml, "middle"));
}

#[test]
fn roles_that_aggregate_each_other_come_to_rest() {
    let yaml = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: one, labels: {x: y}}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: y}}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: two, labels: {x: y}}, aggregationRule: {clusterRoleSelectors: [{matchLabels: {x: y}}]}, rules: [{verbs: [get]}]}
"#;
    let both = rules_of(yaml, "one") + &rules_of(yaml, "two");
    assert!(both.len() < 60, "{both}");
}

#[test]
fn subjects_are_named_once() {
    let yaml = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a, namespace: ml}, roleRef: {kind: Role, name: x}, subjects: [{kind: User, name: jane}, {kind: ServiceAccount, name: default}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {kind: ClusterRole, name: x}, subjects: [{kind: User, name: jane}, {kind: ServiceAccount, name: nobody}]}
"#;
    let all: Vec<String> = subjects(&policy(yaml)).iter().map(Subject::to_string).collect();
    assert_eq!(all, ["Group system:masters", "ServiceAccount ml/default", "User jane"]);
}

fn check(yaml: &str, expected: Expect) {
    let found = findings(&policy(yaml));
    expected.assert_eq(&found.iter().map(|f| format!("{} {} {}: {}\n", f.control, f.name, f.field, f.message)).collect::<String>());
}

#[test]
fn bindings_that_lead_nowhere() {
    check(
        r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reader}, rules: []}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: a, namespace: ml}, roleRef: {kind: Role, name: reader}, subjects: [{kind: Robot, name: r2}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {kind: ClusterRole, name: gone}, subjects: [{kind: ServiceAccount, name: x}, {kind: User, name: "system:serviceaccount:x"}, {kind: Group, name: "system:unauthenticated"}]}
"#,
        expect![[r#"
            dangling b roleRef: there is no ClusterRole "gone"; the binding grants nothing
            subject b subjects[0].namespace: a service account needs its namespace here; this subject is nobody
            subject b subjects[1].name: a service account's user name is system:serviceaccount:NAMESPACE:NAME; this subject is nobody
            power b subjects[2].name: whoever reaches the API server holds this role, without a password or token
            dangling a roleRef: there is no Role of this name in ml, but a ClusterRole; the binding grants nothing
            subject a subjects[0].kind: "Robot" is no kind of subject: User, Group or ServiceAccount
        "#]],
    );
}

#[test]
fn rules_that_say_nothing_or_too_much() {
    check(
        r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: a, namespace: ml}, rules: [{apiGroups: [""], resources: [Pods, deployments], verbs: [Get]}, {resources: [pods], verbs: [get]}, {apiGroups: [""], resources: [configmaps], resourceNames: [x], verbs: [get, list, create]}, {nonResourceURLs: [/metrics], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: b}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}, {apiGroups: [""], resources: [secrets, pods/exec], verbs: [list, create]}, {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: cluster-admin}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}
"#,
        expect![[r#"
            power b rules[0]: this is everything, as cluster-admin has it
            power b rules[1].resources: secrets can be read, those of service accounts and of TLS among them; list and watch show contents too
            power b rules[1].resources: a shell in a pod acts with that pod's service account, devices and volumes
            power b rules[2].verbs: escalate and bind let their holder grant what they do not hold
            rule a rules[0].resources[0]: "Pods" matches nothing: resources are named in lower case and plural
            rule a rules[0].apiGroups: deployments belong to the API group "apps"; this rule names [""]
            rule a rules[0].verbs[0]: "Get" matches nothing: verbs are written in lower case
            rule a rules[1].apiGroups: no API group is named, so no resource is; the core group is ""
            rule a rules[2].resourceNames: list works only where the request selects metadata.name; a plain list is refused
            rule a rules[2].resourceNames: create names no object, so resourceNames never match it
            rule a rules[3].nonResourceURLs: a Role holds in one namespace, URLs are in none; put this into a ClusterRole
        "#]],
    );
}
