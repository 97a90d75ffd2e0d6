//! Deployments and ReplicaSets.

use crate::{bootstrap::NodeSpec, controllers::common::text, testing::Lab};
use expect_test::expect;
use machinery::{gvr, object};
use serde_json::{Value, json};

const WEB: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, annotations: {team: a}}, spec: {replicas: 2, \
                   selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: one}]}}}}";

fn lab() -> Lab {
    Lab::bare(&[NodeSpec::with_gpus("a", 0), NodeSpec::with_gpus("b", 0)])
}

fn sets(lab: &Lab) -> Vec<(String, i64, String)> {
    let mut sets: Vec<_> = lab
        .list(gvr::REPLICA_SETS)
        .iter()
        .map(|set| {
            let revision = object::annotation(set, "deployment.kubernetes.io/revision").unwrap_or("").to_owned();
            (
                text(&set["spec"]["template"]["spec"]["containers"][0]["image"]).to_owned(),
                set["spec"]["replicas"].as_i64().unwrap(),
                revision,
            )
        })
        .collect();
    sets.sort();
    sets
}

fn status(object: &Value) -> String {
    let mut status = object["status"].clone();
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        *condition = format!("{}={} {}", text(&condition["type"]), text(&condition["status"]), text(&condition["reason"])).into();
    }
    status.to_string()
}

#[test]
fn a_deployment_comes_up_as_on_a_real_cluster() {
    let mut lab = lab();
    lab.apply(gvr::DEPLOYMENTS, WEB);
    let deployment = lab.get(gvr::DEPLOYMENTS, "web");
    expect![[r#"{"availableReplicas":2,"conditions":["Available=True MinimumReplicasAvailable","Progressing=True NewReplicaSetAvailable"],"observedGeneration":1,"readyReplicas":2,"replicas":2,"updatedReplicas":2}"#]].assert_eq(&status(&deployment));
    assert_eq!(deployment["metadata"]["annotations"], json!({"team": "a", "deployment.kubernetes.io/revision": "1"}));
    assert_eq!(deployment["metadata"]["generation"], 1);
    let set = &lab.list(gvr::REPLICA_SETS)[0];
    let hash = text(&set["metadata"]["labels"]["pod-template-hash"]);
    assert_eq!(object::name(set), format!("web-{hash}"));
    assert_eq!(
        set["metadata"]["annotations"],
        json!({"team": "a", "deployment.kubernetes.io/revision": "1", "deployment.kubernetes.io/desired-replicas": "2",
               "deployment.kubernetes.io/max-replicas": "3"})
    );
    let pods = lab.list(gvr::PODS);
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        assert!(object::name(pod).starts_with(&format!("web-{hash}-")), "{}", object::name(pod));
        assert_eq!(pod["metadata"]["generateName"], format!("web-{hash}-"));
        assert_eq!(pod["metadata"]["ownerReferences"][0]["name"], set["metadata"]["name"]);
    }
    assert_ne!(pods[0]["spec"]["nodeName"], pods[1]["spec"]["nodeName"], "replicas are spread over equal nodes");
    assert_eq!(lab.events("Deployment"), [format!("ScalingReplicaSet Scaled up replica set web-{hash} from 0 to 2")]);
    assert_eq!(lab.events("ReplicaSet").len(), 2);
    assert_eq!(lab.step(), lab.step(), "a cluster at rest stays at rest");
}

#[test]
fn a_rolling_update_keeps_its_bounds_and_its_history() {
    let mut lab = lab();
    lab.apply(gvr::DEPLOYMENTS, WEB);
    lab.edit(gvr::DEPLOYMENTS, "web", |web| web["spec"]["template"]["spec"]["containers"][0]["image"] = "two".into());
    lab.pass(5);
    assert_eq!(sets(&lab), [("one".to_owned(), 0, "1".to_owned()), ("two".to_owned(), 2, "2".to_owned())]);
    let scaled: Vec<_> = lab.events("Deployment").iter().map(|event| event.split(" from ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(scaled, ["0 to 2", "0 to 1", "2 to 1", "1 to 2", "1 to 0"]);
    // Back to the first template: the old ReplicaSet gets the newest number, and remembers the one it had.
    lab.edit(gvr::DEPLOYMENTS, "web", |web| web["spec"]["template"]["spec"]["containers"][0]["image"] = "one".into());
    lab.pass(5);
    assert_eq!(sets(&lab), [("one".to_owned(), 2, "3".to_owned()), ("two".to_owned(), 0, "2".to_owned())]);
    let first = lab.list(gvr::REPLICA_SETS).into_iter().find(|set| set["spec"]["replicas"] == 2).unwrap();
    assert_eq!(object::annotation(&first, "deployment.kubernetes.io/revision-history"), Some("1"));
}

#[test]
fn an_update_that_does_not_start_leaves_the_old_pods_and_times_out() {
    let mut lab = lab();
    lab.apply(gvr::DEPLOYMENTS, WEB);
    lab.edit(gvr::DEPLOYMENTS, "web", |web| {
        web["spec"]["progressDeadlineSeconds"] = 60.into();
        web["spec"]["template"]["spec"]["containers"][0]["image"] = "unready".into();
    });
    lab.pass(30);
    expect![[r#"{"availableReplicas":2,"conditions":["Available=True MinimumReplicasAvailable","Progressing=True ReplicaSetUpdated"],"observedGeneration":2,"readyReplicas":2,"replicas":3,"unavailableReplicas":1,"updatedReplicas":1}"#]].assert_eq(&status(&lab.get(gvr::DEPLOYMENTS, "web")));
    lab.pass(60);
    expect![[r#"{"availableReplicas":2,"conditions":["Available=True MinimumReplicasAvailable","Progressing=False ProgressDeadlineExceeded"],"observedGeneration":2,"readyReplicas":2,"replicas":3,"unavailableReplicas":1,"updatedReplicas":1}"#]].assert_eq(&status(&lab.get(gvr::DEPLOYMENTS, "web")));
}

#[test]
fn pausing_scaling_recreating_and_forgetting() {
    let mut lab = lab();
    lab.apply(gvr::DEPLOYMENTS, WEB);
    lab.edit(gvr::DEPLOYMENTS, "web", |web| web["spec"]["paused"] = true.into());
    lab.edit(gvr::DEPLOYMENTS, "web", |web| web["spec"]["template"]["spec"]["containers"][0]["image"] = "two".into());
    assert_eq!(sets(&lab).len(), 1, "a paused Deployment rolls nothing out");
    lab.edit(gvr::DEPLOYMENTS, "web", |web| web["spec"]["replicas"] = 5.into());
    assert_eq!(sets(&lab), [("one".to_owned(), 5, "1".to_owned())], "and scales nevertheless");
    lab.edit(gvr::DEPLOYMENTS, "web", |web| {
        web["spec"]["paused"] = false.into();
        web["spec"]["strategy"] = json!({"type": "Recreate"});
        web["spec"]["revisionHistoryLimit"] = 0.into();
    });
    lab.pass(5);
    assert_eq!(sets(&lab), [("two".to_owned(), 5, "2".to_owned())], "the limit of 0 keeps no old revision");
    assert_eq!(lab.list(gvr::PODS).len(), 5);
    lab.edit(gvr::DEPLOYMENTS, "web", |web| web["spec"]["replicas"] = 0.into());
    assert_eq!(lab.list(gvr::PODS).len(), 0);
}

#[test]
fn pods_are_adopted_released_and_replaced() {
    let mut lab = lab();
    lab.apply(
        gvr::PODS,
        "{apiVersion: v1, kind: Pod, metadata: {name: mine, labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}",
    );
    lab.apply(
        gvr::REPLICA_SETS,
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, \
         template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}}",
    );
    assert_eq!(lab.list(gvr::PODS).len(), 2);
    assert_eq!(lab.get(gvr::PODS, "mine")["metadata"]["ownerReferences"][0]["controller"], true);
    lab.edit(gvr::PODS, "mine", |pod| pod["metadata"]["labels"]["app"] = "other".into());
    assert_eq!(lab.list(gvr::PODS).len(), 3);
    assert!(lab.get(gvr::PODS, "mine")["metadata"]["ownerReferences"].is_null());
    expect![[r#"{"availableReplicas":2,"fullyLabeledReplicas":2,"observedGeneration":1,"readyReplicas":2,"replicas":2}"#]]
        .assert_eq(&status(&lab.get(gvr::REPLICA_SETS, "web")));
}
