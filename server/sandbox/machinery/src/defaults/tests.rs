use super::*;
use crate::resource::Resource;
use expect_test::{Expect, expect};
use serde_json::json;

fn resource(group: &'static str, kind: &'static str) -> Resource {
    Resource {
        group: group.into(),
        version: if group == "autoscaling" { "v2".into() } else { "v1".into() },
        plural: "things".into(),
        singular: "thing".into(),
        kind: kind.into(),
        namespaced: true,
        short_names: vec![],
        categories: vec![],
        verbs: &[],
        subresources: vec![],
        storage: None,
        custom: None,
    }
}

fn check(group: &'static str, kind: &'static str, mut object: Value, expected: Expect) {
    set(&resource(group, kind), &mut object);
    let mut again = object.clone();
    set(&resource(group, kind), &mut again);
    assert_eq!(again, object, "defaults are stable");
    // Sorted by key, whatever the map's own order is.
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_value(object).unwrap();
    expected.assert_eq(&serde_json::to_string(&sorted).unwrap());
}

#[test]
fn pull_policies() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0123", "IfNotPresent"),
        ("nginx:latest@sha256:0123", "Always"),
    ] {
        let mut pod = json!({"spec": {"containers": [{"name": "a", "image": image}]}});
        set(&resource("", "Pod"), &mut pod);
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn pods_request_what_they_are_limited_to() {
    let mut pod = json!({"spec": {"hostNetwork": true, "volumes": [{"name": "v"}, {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
        "containers": [{"name": "a", "image": "b:1", "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}},
            "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": "1"}, "requests": {"cpu": "500m"}}}]}});
    set(&resource("", "Pod"), &mut pod);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["resources"]["requests"], json!({"cpu": "500m", "nvidia.com/gpu": "1"}));
    assert_eq!(container["ports"], json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]));
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"port": 80, "path": "/", "scheme": "HTTP"}));
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(pod["spec"]["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3600);
    assert_eq!(pod["spec"]["enableServiceLinks"], true);
}

#[test]
fn kinds() {
    check(
        "apps",
        "Deployment",
        json!({"metadata": {"name": "a", "labels": null}, "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}}}),
        expect![[
            r#"{"metadata":{"name":"a"},"spec":{"progressDeadlineSeconds":600,"replicas":1,"revisionHistoryLimit":10,"selector":null,"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"},"template":{"metadata":{},"spec":{"containers":[{"image":"i:1","imagePullPolicy":"IfNotPresent","name":"c","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}},"status":{}}"#
        ]],
    );
    check(
        "",
        "Service",
        json!({"spec": {"ports": [{"port": 80}]}}),
        expect![[
            r#"{"metadata":{},"spec":{"internalTrafficPolicy":"Cluster","ports":[{"port":80,"protocol":"TCP","targetPort":80}],"sessionAffinity":"None","type":"ClusterIP"},"status":{"loadBalancer":{}}}"#
        ]],
    );
    check(
        "networking.k8s.io",
        "NetworkPolicy",
        json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}),
        expect![[
            r#"{"metadata":{},"spec":{"egress":[{"ports":[{"port":53,"protocol":"TCP"}]}],"podSelector":{},"policyTypes":["Ingress","Egress"]}}"#
        ]],
    );
    check(
        "rbac.authorization.k8s.io",
        "RoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]}),
        expect![[
            r#"{"metadata":{},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]}"#
        ]],
    );
    check(
        "",
        "Secret",
        json!({"data": {"b": "Yg=="}, "stringData": {"a": "x"}}),
        expect![[r#"{"data":{"a":"eA==","b":"Yg=="},"metadata":{},"type":"Opaque"}"#]],
    );
    check(
        "",
        "Namespace",
        json!({"metadata": {"name": "n"}}),
        expect![[r#"{"metadata":{"labels":{"kubernetes.io/metadata.name":"n"},"name":"n"},"spec":{},"status":{"phase":"Active"}}"#]],
    );
    check(
        "batch",
        "CronJob",
        json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": []}}}}}}),
        expect![[
            r#"{"metadata":{},"spec":{"concurrencyPolicy":"Allow","failedJobsHistoryLimit":1,"jobTemplate":{"metadata":{},"spec":{"template":{"metadata":{},"spec":{"containers":[],"dnsPolicy":"ClusterFirst","restartPolicy":"Never","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}},"schedule":"* * * * *","successfulJobsHistoryLimit":3,"suspend":false},"status":{}}"#
        ]],
    );
    check(
        "autoscaling",
        "HorizontalPodAutoscaler",
        json!({"spec": {"maxReplicas": 3}}),
        expect![[
            r#"{"metadata":{},"spec":{"maxReplicas":3,"metrics":[{"resource":{"name":"cpu","target":{"averageUtilization":80,"type":"Utilization"}},"type":"Resource"}],"minReplicas":1,"scaleTargetRef":{"kind":"","name":""}},"status":{"currentMetrics":null,"desiredReplicas":0}}"#
        ]],
    );
}
