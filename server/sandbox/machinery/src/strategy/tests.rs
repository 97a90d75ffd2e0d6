use super::*;
use crate::resource::Subresource;

fn resource(group: &'static str, kind: &'static str) -> Resource {
    Resource {
        group: group.into(),
        version: "v1".into(),
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

#[test]
fn a_create_loses_its_status() {
    let mut pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {"phase": "Running"}});
    prepare_create(&resource("", "Pod"), &mut pod);
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(pod["metadata"]["generation"], 1);
    let mut namespace = json!({"metadata": {"name": "a"}});
    prepare_create(&resource("", "Namespace"), &mut namespace);
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
    let mut node = json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "1"}}});
    prepare_create(&resource("", "Node"), &mut node);
    assert_eq!(node["status"]["capacity"]["cpu"], "1", "nodes register with their status");
}

#[test]
fn a_job_selects_by_its_uid() {
    let mut job = json!({"metadata": {"name": "j", "uid": "u-1"}, "spec": {"template": {"spec": {}}}});
    prepare_create(&resource("batch", "Job"), &mut job);
    assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}));
    let labels =
        json!({"batch.kubernetes.io/controller-uid": "u-1", "batch.kubernetes.io/job-name": "j", "controller-uid": "u-1", "job-name": "j"});
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    let mut manual =
        json!({"metadata": {"name": "j"}, "spec": {"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}, "template": {}}});
    prepare_create(&resource("batch", "Job"), &mut manual);
    assert_eq!(manual["spec"]["selector"], json!({"matchLabels": {"a": "b"}}));
}

#[test]
fn a_change_of_the_spec_raises_the_generation() {
    let deployment = resource("apps", "Deployment");
    let old = json!({"metadata": {"name": "a", "generation": 4}, "spec": {"replicas": 1, "paused": null}, "status": {"replicas": 1}});
    for (change, generation) in [
        (json!({"metadata": {"name": "a"}, "spec": {"replicas": 1}, "status": {"replicas": 9}}), 4),
        (json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"replicas": 1}}), 4),
        (json!({"metadata": {"name": "a", "annotations": {"x": "y"}}, "spec": {"replicas": 1}}), 5),
        (json!({"metadata": {"name": "a"}, "spec": {"replicas": 2}}), 5),
    ] {
        let mut new = change.clone();
        prepare_update(&deployment, "", &mut new, &old);
        assert_eq!(new["metadata"]["generation"], generation, "{change}");
        assert_eq!(new["status"], old["status"], "{change}");
    }
}

#[test]
fn a_status_update_keeps_the_spec() {
    let old = json!({"metadata": {"name": "a", "generation": 1, "labels": {"l": "1"}}, "spec": {"replicas": 1}, "status": {}});
    let mut new = json!({"metadata": {"name": "a", "labels": {"l": "2"}}, "spec": {"replicas": 7}, "status": {"replicas": 1}});
    prepare_update(&resource("apps", "Deployment"), "status", &mut new, &old);
    assert_eq!(
        new,
        json!({"metadata": {"name": "a", "generation": 1, "labels": {"l": "1"}}, "spec": {"replicas": 1}, "status": {"replicas": 1}})
    );
}

#[test]
fn custom_resources_have_a_status_only_where_the_definition_says_so() {
    let mut with = resource("lab.example.com", "GpuJob");
    with.custom = Some(std::sync::Arc::new(crate::resource::CustomDefinition::default()));
    let without = with.clone();
    with.subresources = vec![Subresource { name: "status".into(), group: "".into(), version: "".into(), kind: "".into(), verbs: &[] }];
    let object = json!({"metadata": {"name": "a"}, "spec": {"n": 1}, "status": {"s": 1}});
    let mut created = object.clone();
    prepare_create(&with, &mut created);
    assert_eq!(created.get("status"), None);
    let mut created = object.clone();
    prepare_create(&without, &mut created);
    assert_eq!(created["status"], json!({"s": 1}));
    let mut new = json!({"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"n": 9}, "status": {"s": 2}});
    prepare_update(&with, "status", &mut new, &object);
    assert_eq!(new, json!({"metadata": {"name": "a"}, "spec": {"n": 1}, "status": {"s": 2}}));
}

#[test]
fn quality_follows_requests_and_limits() {
    let full = json!({"resources": {"requests": {"cpu": "1", "memory": "2"}, "limits": {"cpu": "1", "memory": "2"}}});
    let half = json!({"resources": {"requests": {"cpu": "1"}}});
    for (containers, class) in [
        (json!([{"name": "a"}]), "BestEffort"),
        (json!([full]), "Guaranteed"),
        (json!([half]), "Burstable"),
        (json!([full, {"name": "b"}]), "Burstable"),
        (json!([{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]), "BestEffort"),
    ] {
        assert_eq!(quality_of_service(&json!({"spec": {"containers": containers}})), class, "{containers}");
    }
}

#[test]
fn a_service_that_needs_no_node_port_gives_it_back() {
    let old = json!({"metadata": {}, "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "externalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}, "status": {"loadBalancer": {}}});
    let mut new = old.clone();
    new["spec"]["type"] = "ClusterIP".into();
    prepare_update(&resource("", "Service"), "", &mut new, &old);
    assert_eq!(
        new["spec"],
        json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "protocol": "TCP"}]})
    );
}
