//! RBAC: who may, in whose words they may not, and that nobody grants what they do not hold.

use crate::kit::Kit;
use apiserver::Body;
use serde_json::json;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn with_roles() -> Kit {
    let kit = Kit::new();
    kit.namespace("x");
    let client = kit.client();
    let role = json!({"metadata": {"name": "reader", "namespace": "x"}, "rules": [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create"]},
    ]});
    client.create(machinery::gvr::ROLES, role).unwrap();
    let binding = json!({"metadata": {"name": "dev-reads", "namespace": "x"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dev"}]});
    client.create(machinery::gvr::ROLE_BINDINGS, binding).unwrap();
    kit
}

#[tokio::test]
async fn refusals_name_user_verb_resource_and_place() {
    let kit = with_roles();
    let dev = kit.as_user("dev", &[]);
    for path in ["/api/v1/namespaces/x/pods", "/api/v1/namespaces/x/secrets/mine", "/version", "/healthz"] {
        let answer = dev.get(path).await;
        assert!(matches!(answer.code, 200 | 404), "{path}: {}", answer.text);
    }
    let table = [
        (
            "/api/v1/namespaces/default/pods",
            "pods is forbidden: User \"dev\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        ("/api/v1/pods", "pods is forbidden: User \"dev\" cannot list resource \"pods\" in API group \"\" at the cluster scope"),
        (
            "/api/v1/namespaces/x/pods?watch=true",
            "pods is forbidden: User \"dev\" cannot watch resource \"pods\" in API group \"\" in the namespace \"x\"",
        ),
        (
            "/api/v1/namespaces/x/secrets/other",
            "secrets \"other\" is forbidden: User \"dev\" cannot get resource \"secrets\" in API group \"\" in the namespace \"x\"",
        ),
        (
            "/apis/apps/v1/namespaces/x/deployments/d/scale",
            "deployments.apps \"d\" is forbidden: User \"dev\" cannot get resource \"deployments/scale\" in API group \"apps\" in the namespace \"x\"",
        ),
        ("/metrics", "forbidden: User \"dev\" cannot get path \"/metrics\""),
    ];
    for (path, message) in table {
        assert_eq!(dev.get(path).await.expect(403).message(), message);
    }
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let kit = with_roles();
    let dev = kit.as_user("dev", &["team"]);
    let role = |verbs: serde_json::Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "more"},
               "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]})
    };
    let refused = dev.post(&format!("{RBAC}/namespaces/x/roles"), role(json!(["get", "delete"]))).await.expect(403);
    assert_eq!(
        refused.message(),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"dev\" (groups=[\"team\" \"system:authenticated\"]) is attempting to grant RBAC \
         permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
    );
    dev.post(&format!("{RBAC}/namespaces/x/roles"), role(json!(["get"]))).await.expect(201);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "more"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "other"}]});
    dev.post(&format!("{RBAC}/namespaces/x/rolebindings"), binding).await.expect(201);
    kit.as_user("other", &[]).get("/api/v1/namespaces/x/pods/p").await.expect(404);
}

#[tokio::test]
async fn reviews_and_impersonation() {
    let kit = with_roles();
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "x"}}});
    kit.client()
        .create(
            machinery::gvr::CLUSTER_ROLES,
            json!({"metadata": {"name": "basic"}, "rules": [{"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"], "verbs": ["create"]}]}),
        )
        .unwrap();
    let everybody = json!({"metadata": {"name": "basic"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "basic"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]});
    kit.client().create(machinery::gvr::CLUSTER_ROLE_BINDINGS, everybody).unwrap();
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let dev = kit.as_user("dev", &[]);
    let answer = dev.post(path, review.clone()).await.expect(201).json();
    assert_eq!(answer["status"]["allowed"], true);
    assert_eq!(answer["status"]["reason"], "RBAC: allowed by RoleBinding \"dev-reads/x\" of Role \"reader\" to User \"dev\"");
    assert_eq!(kit.as_user("eve", &[]).post(path, review).await.expect(201).json()["status"]["allowed"], false);

    let as_dev = [("impersonate-user", "dev")];
    kit.request("GET", "/api/v1/namespaces/x/pods", &as_dev, Body::empty()).await.expect(200);
    kit.request("GET", "/api/v1/pods", &as_dev, Body::empty()).await.expect(403);
    let refused = dev.request("GET", "/api/v1/pods", &[("impersonate-user", "root")], Body::empty()).await.expect(403);
    assert_eq!(
        refused.message(),
        "users \"root\" is forbidden: User \"dev\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
}

#[tokio::test]
async fn aggregated_roles_follow_their_parts() {
    let kit = Kit::new();
    let client = kit.client();
    let whole = json!({"metadata": {"name": "whole"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]}, "rules": []});
    client.create(machinery::gvr::CLUSTER_ROLES, whole).unwrap();
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    client
        .create(machinery::gvr::CLUSTER_ROLES, json!({"metadata": {"name": "part", "labels": {"part": "yes"}}, "rules": [rule]}))
        .unwrap();
    assert_eq!(client.get(machinery::gvr::CLUSTER_ROLES, "", "whole").unwrap()["rules"], json!([rule]));
    client.delete(machinery::gvr::CLUSTER_ROLES, "", "part", &apiserver::client::DeleteOptions::default()).unwrap();
    assert_eq!(client.get(machinery::gvr::CLUSTER_ROLES, "", "whole").unwrap()["rules"].as_array().map_or(0, Vec::len), 0);
}
