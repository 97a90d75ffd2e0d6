use super::{policy, request};
use crate::{User, authorize, refusal};
use expect_test::{Expect, expect};

const CLUSTER: &str = r#"
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: secret-reader}, rules: [{apiGroups: [""], resources: [secrets], verbs: [get, list]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: metrics}, rules: [{nonResourceURLs: [/metrics, /healthz/*], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: metrics}, roleRef: {kind: ClusterRole, name: metrics}, subjects: [{kind: ServiceAccount, name: prometheus, namespace: monitoring}, {kind: ServiceAccount, name: lost}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: operator, namespace: ml}, rules: [{apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}, {apiGroups: [apps], resources: ["*/scale"], verbs: [update]}, {apiGroups: [""], resources: [configmaps], resourceNames: [model], verbs: [get, update]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: operators, namespace: ml}, roleRef: {kind: Role, name: operator}, subjects: [{kind: User, name: jane}, {kind: Group, name: ml-team}, {kind: ServiceAccount, name: trainer}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: secrets, namespace: ml}, roleRef: {kind: ClusterRole, name: secret-reader}, subjects: [{kind: Group, name: "system:serviceaccounts:ml"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: broken, namespace: ml}, roleRef: {kind: Role, name: gone}, subjects: [{kind: User, name: jane}]}
"#;

fn check(user: &str, groups: &[&str], words: &str, expected: Expect) {
    let policy = policy(CLUSTER);
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let attributes = request(words);
    let answer = match authorize(&policy, User { name: user, groups: &groups }, &attributes) {
        Some(reason) => format!("yes: {reason}"),
        None => format!("no: {}", refusal(user, &attributes)),
    };
    expected.assert_eq(&answer);
}

#[test]
fn a_role_holds_in_its_namespace() {
    check(
        "jane",
        &[],
        "get pods serving -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to User "jane""#]],
    );
    check(
        "jane",
        &[],
        "get pods serving -n other",
        expect![[r#"no: User "jane" cannot get resource "pods" in API group "" in the namespace "other""#]],
    );
    check("jane", &[], "list pods", expect![[r#"no: User "jane" cannot list resource "pods" in API group "" at the cluster scope"#]]);
    check(
        "joe",
        &["ml-team"],
        "list pods -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to Group "ml-team""#]],
    );
    check("joe", &[], "list pods -n ml", expect![[r#"no: User "joe" cannot list resource "pods" in API group "" in the namespace "ml""#]]);
}

#[test]
fn a_subresource_is_named_for_itself() {
    check(
        "jane",
        &[],
        "get pods/log serving -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to User "jane""#]],
    );
    check(
        "jane",
        &[],
        "create pods/exec serving -n ml",
        expect![[r#"no: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "ml""#]],
    );
    check(
        "jane",
        &[],
        "update apps:deployments/scale serving -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to User "jane""#]],
    );
    check(
        "jane",
        &[],
        "update apps:deployments serving -n ml",
        expect![[r#"no: User "jane" cannot update resource "deployments" in API group "apps" in the namespace "ml""#]],
    );
}

#[test]
fn a_rule_with_names_needs_the_name() {
    check(
        "jane",
        &[],
        "get configmaps model -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to User "jane""#]],
    );
    check(
        "jane",
        &[],
        "get configmaps other -n ml",
        expect![[r#"no: User "jane" cannot get resource "configmaps" in API group "" in the namespace "ml""#]],
    );
    check(
        "jane",
        &[],
        "list configmaps -n ml",
        expect![[r#"no: User "jane" cannot list resource "configmaps" in API group "" in the namespace "ml""#]],
    );
}

#[test]
fn service_accounts_are_users_and_groups() {
    check(
        "system:serviceaccount:ml:trainer",
        &[],
        "get pods x -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to ServiceAccount "trainer""#]],
    );
    check(
        "system:serviceaccount:other:trainer",
        &[],
        "get pods x -n ml",
        expect![[r#"no: User "system:serviceaccount:other:trainer" cannot get resource "pods" in API group "" in the namespace "ml""#]],
    );
    check(
        "system:serviceaccount:ml:any",
        &["system:serviceaccounts:ml"],
        "get secrets x -n ml",
        expect![[r#"yes: RBAC: allowed by RoleBinding "secrets/ml" of ClusterRole "secret-reader" to Group "system:serviceaccounts:ml""#]],
    );
}

#[test]
fn urls_are_of_no_namespace() {
    let prometheus = "system:serviceaccount:monitoring:prometheus";
    check(
        prometheus,
        &[],
        "get /metrics",
        expect![[
            r#"yes: RBAC: allowed by ClusterRoleBinding "metrics" of ClusterRole "metrics" to ServiceAccount "prometheus/monitoring""#
        ]],
    );
    check(
        prometheus,
        &[],
        "get /healthz/etcd",
        expect![[
            r#"yes: RBAC: allowed by ClusterRoleBinding "metrics" of ClusterRole "metrics" to ServiceAccount "prometheus/monitoring""#
        ]],
    );
    check(
        prometheus,
        &[],
        "get /metrics/cadvisor",
        expect![[r#"no: User "system:serviceaccount:monitoring:prometheus" cannot get path "/metrics/cadvisor""#]],
    );
}

#[test]
fn masters_may_everything() {
    check("kubernetes-admin", &["system:masters"], "delete nodes gpu-node", expect!["yes: "]);
}

#[test]
fn who_may_is_told_with_the_binding_that_says_so() {
    let lines = |words: &str| {
        let policy = policy(CLUSTER);
        let may = crate::subjects(&policy).into_iter().filter_map(|subject| Some((policy.allows(&subject, &request(words))?, subject)));
        may.map(|(why, subject)| format!("{subject} | {why}\n")).collect::<String>()
    };
    expect![[r#"
        Group ml-team | RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to Group "ml-team"
        Group system:masters | 
        ServiceAccount ml/trainer | RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to ServiceAccount "trainer"
        User jane | RBAC: allowed by RoleBinding "operators/ml" of Role "operator" to User "jane"
    "#]]
    .assert_eq(&lines("list pods -n ml"));
}
