//! Watches: what they show, from where, and when they end.

use crate::kit::Kit;
use apiserver::Body;
use futures::StreamExt;
use http::Request;
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Stream {
    body: axum::body::BodyDataStream,
    buffer: Vec<u8>,
}

impl Stream {
    async fn open(kit: &Kit, query: &str) -> Self {
        let request = Request::builder().uri(format!("{MAPS}?watch=true&{query}")).body(Body::empty()).unwrap();
        let answer = kit.send(request).await;
        assert_eq!(answer.status(), 200);
        Self { body: answer.into_body().into_data_stream(), buffer: Vec::new() }
    }

    /// Type, name and whole object of the next event.
    async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                return (event["type"].as_str().unwrap().to_owned(), name, event["object"].clone());
            }
            let chunk = self.body.next().await.expect("the stream goes on").unwrap();
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

fn labelled(name: &str, label: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"l": label}}})
}

#[tokio::test]
async fn a_watch_follows_what_its_selector_chooses() {
    let kit = Kit::new();
    kit.post(MAPS, labelled("before", "in")).await.expect(201);
    let mut stream = Stream::open(&kit, "labelSelector=l%3Din").await;
    kit.post(MAPS, labelled("other", "out")).await.expect(201);
    kit.post(MAPS, labelled("mine", "in")).await.expect(201);
    kit.patch(&format!("{MAPS}/other"), "merge", json!({"metadata": {"labels": {"l": "in"}}})).await.expect(200);
    kit.patch(&format!("{MAPS}/other"), "merge", json!({"data": {"a": "b"}})).await.expect(200);
    kit.patch(&format!("{MAPS}/other"), "merge", json!({"metadata": {"labels": {"l": "out"}}})).await.expect(200);
    kit.delete(&format!("{MAPS}/mine")).await.expect(200);
    let mut seen = Vec::new();
    for _ in 0..6 {
        let (kind, name, _) = stream.next().await;
        seen.push(format!("{kind} {name}"));
    }
    assert_eq!(seen, ["ADDED before", "ADDED mine", "ADDED other", "MODIFIED other", "DELETED other", "DELETED mine"]);
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let kit = Kit::new();
    kit.post(MAPS, labelled("a", "")).await.expect(201);
    let version = kit.get(MAPS).await.json()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    kit.post(MAPS, labelled("b", "")).await.expect(201);
    let mut stream = Stream::open(&kit, &format!("resourceVersion={version}")).await;
    assert_eq!(stream.next().await.1, "b");
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let kit = Kit::new();
    kit.post(MAPS, labelled("a", "")).await.expect(201);
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut stream = Stream::open(&kit, query).await;
    assert_eq!(stream.next().await.1, "a");
    let (kind, _, object) = stream.next().await;
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(object["kind"], "ConfigMap");
    let refused = kit.get(&format!("{MAPS}?watch=true&sendInitialEvents=true")).await.expect(422);
    assert!(refused.message().contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"), "{}", refused.message());
}

#[tokio::test]
async fn a_forgotten_version_is_expired() {
    let kit = Kit::new();
    for n in 0..1100 {
        kit.client().create(machinery::gvr::CONFIG_MAPS, json!({"metadata": {"name": format!("m{n}"), "namespace": "default"}})).unwrap();
    }
    let mut stream = Stream::open(&kit, "resourceVersion=5").await;
    let (kind, _, object) = stream.next().await;
    assert_eq!((kind.as_str(), &object["code"], &object["reason"]), ("ERROR", &json!(410), &json!("Expired")));
    assert!(object["message"].as_str().unwrap().starts_with("too old resource version: 5 ("), "{object}");
}

#[tokio::test]
async fn watches_are_counted() {
    let kit = Kit::new();
    let mut open = Vec::new();
    for _ in 0..kit.server.limits().watches {
        open.push(Stream::open(&kit, "").await);
    }
    let refused = kit.get(&format!("{MAPS}?watch=true")).await.expect(429);
    assert_eq!(refused.headers["retry-after"], "1");
    open.pop();
    open.push(Stream::open(&kit, "").await);
    kit.get(MAPS).await.expect(200);
}
