//! What is too much: refused in the words of a real API server, at a bounded cost.

use crate::kit::{Answer, Kit, options, start};
use apiserver::{Body, Limits, Options, Server, UserInfo};
use http_body_util::BodyExt;
use machinery::{clock::ManualClock, gvr};
use serde_json::{Value, json};
use std::{fmt::Write as _, sync::Arc};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const EVENTS: &str = "/api/v1/namespaces/default/events";
const ONE: &str = "/api/v1/namespaces/default/configmaps/one";

fn limited(limits: Limits, journal: Option<std::path::PathBuf>) -> Kit {
    let clock = Arc::new(ManualClock::at(start()));
    let server = Server::open_with(Options { journal, ..options(&clock) }, limits).unwrap();
    let kit = Kit { server, clock, user: UserInfo::admin() };
    kit.namespace("default");
    kit
}

fn map(name: &str, size: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x".repeat(size)}})
}

fn event(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"}, "type": "Normal", "reason": "R",
           "message": "m", "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}})
}

/// A Status with this code, reason and message.
#[track_caller]
fn refused(answer: Answer, code: u16, reason: &Value, message: &str) -> Answer {
    let status = answer.json();
    assert_eq!((answer.code, status["message"].as_str().unwrap_or_default()), (code, message));
    let shape = json!(["Status", "v1", "Failure", code, reason]);
    assert_eq!(json!([status["kind"], status["apiVersion"], status["status"], status["code"], status["reason"]]), shape, "{message}");
    answer
}

#[tokio::test]
async fn too_many_at_once_is_429_with_retry_after() {
    let log = "/api/v1/namespaces/default/pods/p/log?follow=true";
    for (limits, path) in [
        (Limits { in_flight: 0, ..Limits::default() }, MAPS.to_owned()),
        (Limits { watches: 0, ..Limits::default() }, format!("{MAPS}?watch=true")),
        (Limits { sessions: 0, ..Limits::default() }, log.to_owned()),
    ] {
        let kit = limited(limits, None);
        let answer = kit.get(&path).await;
        let answer = refused(answer, 429, &json!("TooManyRequests"), "Too many requests, please try again later.");
        assert_eq!((&answer.headers["retry-after"], &answer.json()["details"]), (&"1".parse().unwrap(), &json!({"retryAfterSeconds": 1})));
    }
    let kit = limited(Limits { in_flight: 1, ..Limits::default() }, None);
    kit.get(MAPS).await.expect(200);
    kit.get(MAPS).await.expect(200);
}

#[tokio::test]
async fn too_large_a_body_is_413_for_every_verb() {
    let kit = limited(Limits { body: 1_000, ..Limits::default() }, None);
    kit.post(MAPS, map("one", 700)).await.expect(201);
    let large = map("one", 1_000);
    for answer in [
        kit.post(MAPS, large.clone()).await,
        kit.put(ONE, large.clone()).await,
        kit.patch(ONE, "merge", large.clone()).await,
        kit.patch(&format!("{ONE}?fieldManager=t"), "apply", large.clone()).await,
        kit.request("DELETE", ONE, &[("content-type", "application/json")], large.to_string()).await,
    ] {
        refused(answer, 413, &json!("RequestEntityTooLarge"), "Request entity too large: limit is 1000");
    }
    kit.get(ONE).await.expect(200);
}

#[tokio::test]
async fn objects_and_events_are_counted_as_by_a_quota() {
    // A namespace and its account are there already.
    let kit = limited(Limits { objects: 6, events: 2, ..Limits::default() }, None);
    kit.post(EVENTS, event("e0")).await.expect(201);
    kit.post(
        "/apis/events.k8s.io/v1/namespaces/default/events",
        json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e1"}, "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "c", "reportingInstance": "i", "action": "A", "reason": "R", "type": "Normal",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"}}),
    )
    .await
    .expect(201);
    let why =
        "events \"e2\" is forbidden: exceeded quota: cluster, requested: count/events=1, used: count/events=2, limited: count/events=2";
    refused(kit.post(EVENTS, event("e2")).await, 403, &json!("Forbidden"), why);
    kit.post(MAPS, map("one", 0)).await.expect(201);
    kit.post(MAPS, map("two", 0)).await.expect(201);
    let why = "configmaps \"three\" is forbidden: exceeded quota: cluster, requested: objects=1, used: objects=6, limited: objects=6";
    let three = format!("{MAPS}/three");
    for answer in [kit.post(MAPS, map("three", 0)).await, kit.patch(&format!("{three}?fieldManager=t"), "apply", map("three", 0)).await] {
        refused(answer, 403, &json!("Forbidden"), why);
    }
    kit.put(ONE, map("one", 10)).await.expect(200);
    kit.delete(ONE).await.expect(200);
    kit.post(MAPS, map("three", 0)).await.expect(201);
}

#[tokio::test]
async fn what_etcd_would_not_store_is_refused_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { request: 10_000, space: 60_000, ..Limits::default() };
    let kit = limited(limits, Some(folder.path().join("journal")));
    refused(kit.post(MAPS, map("one", 10_000)).await, 500, &Value::Null, "etcdserver: request is too large");
    kit.get(ONE).await.expect(404);
    for n in 0..6 {
        kit.post(MAPS, map(&format!("m{n}"), 9_000)).await.expect(201);
    }
    let full = "etcdserver: mvcc: database space exceeded";
    refused(kit.post(MAPS, map("one", 9_000)).await, 500, &Value::Null, full);
    refused(kit.put(&format!("{MAPS}/m0"), map("m0", 9_500)).await, 500, &Value::Null, full);
    kit.get(&format!("{MAPS}/m0")).await.expect(200);
    kit.delete(&format!("{MAPS}/m0")).await.expect(200);
    kit.post(MAPS, map("one", 9_000)).await.expect(201);
}

/// One who does not read holds nothing but a place, and hears that it has missed too much.
#[tokio::test]
async fn a_watcher_that_does_not_read_is_told_to_list_anew() {
    let kit = Kit::new();
    let request = http::Request::get(format!("{MAPS}?watch=true&resourceVersion=4")).body(Body::empty()).unwrap();
    let mut half_open = kit.send(request).await.into_body();
    for n in 0..1_100 {
        kit.client().create(gvr::CONFIG_MAPS, json!({"metadata": {"name": format!("m{n}"), "namespace": "default"}})).unwrap();
    }
    let line = half_open.frame().await.unwrap().unwrap().into_data().unwrap();
    let event: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(half_open.frame().await.is_none(), "the stream ends");
}

fn operations(count: usize, operation: &Value) -> Value {
    vec![operation.clone(); count].into()
}

/// What is made to be expensive is cheap, and is refused or answered.
#[tokio::test]
async fn hostile_requests_cost_little() {
    let kit = Kit::new();
    kit.post(MAPS, map("one", 500)).await.expect(201);
    let keys: serde_json::Map<String, Value> = (0..60_000).map(|n| (format!("k{n}"), json!("v"))).collect();
    let copies = operations(9_999, &json!({"op": "copy", "from": "/data", "path": "/data/a"}));
    let mut shifts = vec![json!({"op": "add", "path": "/x", "value": vec![0; 500_000]})];
    shifts.extend(operations(9_999, &json!({"op": "add", "path": "/x/0", "value": 0})).as_array().unwrap().clone());
    let nested = (0..150).fold(json!({}), |inner, _| json!({"a": inner}));
    let sinking: Vec<_> = (0..60).map(|n| json!({"op": "add", "path": format!("/x{}", "/a".repeat(n * 150)), "value": nested})).collect();
    for (name, kind, body, code) in [
        ("copies that double", "json", copies, 422),
        ("insertions before many", "json", shifts.into(), 422),
        ("values put into values", "json", sinking.into(), 422),
        (
            "more operations than there may be",
            "json",
            operations(10_001, &json!({"op": "test", "path": "/kind", "value": "ConfigMap"})),
            413,
        ),
        ("as many as there may be", "json", operations(10_000, &json!({"op": "test", "path": "/kind", "value": "ConfigMap"})), 200),
        ("many keys, merged", "merge", json!({"data": keys}), 200),
        ("many keys, strategically", "strategic-merge", json!({"data": keys}), 200),
        ("many annotations", "merge", json!({"metadata": {"annotations": keys}}), 422),
    ] {
        let answer = kit.patch(ONE, kind, body).await;
        assert_eq!(answer.code, code, "{name}: {}", &answer.text[..answer.text.len().min(500)]);
    }

    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
    let mut laughs = "a0: &a0 [lol]\n".to_owned();
    for n in 1..40 {
        let before = n - 1;
        writeln!(laughs, "a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}]").unwrap();
    }
    for (media, body) in [
        ("application/json", deep("[", "]")),
        ("application/json", deep("{\"a\":", "}")),
        ("application/yaml", deep("[", "]")),
        ("application/yaml", deep("- ", "")),
        ("application/yaml", laughs.clone()),
    ] {
        let shown = body[..20].to_owned();
        let answer = kit.request("POST", MAPS, &[("content-type", media)], body.clone()).await;
        assert_eq!(answer.code, 400, "{media} {shown}: {}", &answer.text[..answer.text.len().min(500)]);
        let (path, media) = (format!("{ONE}?fieldManager=t"), "application/apply-patch+yaml");
        let answer = kit.request("PATCH", &path, &[("content-type", media)], body).await;
        assert_eq!(answer.code, 400, "{media} {shown}: {}", &answer.text[..answer.text.len().min(500)]);
    }

    let many = |what: &str, with: &str| (0..2_500).map(|n| format!("{what}{n}")).collect::<Vec<_>>().join(with);
    for (query, code) in [
        (format!("labelSelector=a+in+({})", many("v", ",")), 200),
        (format!("labelSelector={}", many("!k", ",")), 200),
        (format!("labelSelector={}", "(".repeat(60_000)), 400),
        (format!("fieldSelector={}", many("metadata.name!=n", ",")), 200),
        (format!("fieldSelector={}", many("spec.x=n", ",")), 400),
        (format!("continue={}", "A".repeat(60_000)), 400),
        ("limit=9223372036854775807".to_owned(), 200),
    ] {
        let answer = kit.get(&format!("{MAPS}?{query}")).await;
        assert_eq!(answer.code, code, "{}: {}", &query[..40.min(query.len())], &answer.text[..answer.text.len().min(500)]);
    }
}

/// What is stored can be read back, however deep a body may be.
#[tokio::test]
async fn deep_objects_are_refused_before_the_journal_cannot_hold_them() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let kit = limited(Limits::default(), Some(journal.clone()));
    let path = "/apis/apps/v1/namespaces/default/controllerrevisions";
    let revision = |name: &str, depth: usize| {
        let data = (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": name}, "data": data, "revision": 1})
    };
    kit.post(path, revision("one", 110)).await.expect(201);
    let refused = kit.post(path, revision("two", 150)).await.expect(400);
    assert_eq!(refused.message(), "the object is nested deeper than 120 levels");
    drop(kit);
    let again = Server::open(Options { journal: Some(journal), ..options(&Arc::new(ManualClock::at(start()))) }).unwrap();
    let kit = Kit { server: again, clock: Arc::new(ManualClock::at(start())), user: UserInfo::admin() };
    kit.get(&format!("{path}/one")).await.expect(200);
}

/// Each manager of an object costs those who write it a little more, and no more than that.
#[tokio::test]
async fn an_object_may_have_many_managers() {
    let kit = Kit::new();
    for n in 0..100 {
        let own =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {format!("k{n}"): "v", "shared": "v"}});
        let answer = kit.patch(&format!("{ONE}?fieldManager=m{n}"), "apply", own).await;
        assert!(answer.code <= 201, "{}", answer.text);
    }
    let conflict = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"shared": "w"}});
    let answer = kit.patch(&format!("{ONE}?fieldManager=other"), "apply", conflict).await.expect(409);
    assert_eq!(answer.json()["details"]["causes"].as_array().unwrap().len(), 100);
}
