//! What one API costs over TLS, whoever serves it: the same client, the same objects, the same requests.

use crate::world::{config_map, now};
use futures::StreamExt;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::json;
use std::{fmt, time::Duration};
use tests::measure::Distribution;

/// Pods of the long list. No scheduler takes them, so that nothing runs beside the measurement.
const PODS: usize = 5_000;
const WRITERS: usize = 16;
const WATCHERS: usize = 50;
const NAMESPACE: &str = "/api/v1/namespaces/bench";

pub struct Api {
    client: kube::Client,
}

/// The figures of one API.
#[derive(Debug)]
pub struct Figures {
    pub reads: Distribution,
    pub writes: Distribution,
    pub applies: Distribution,
    /// From the request of a write until the last of all watchers has the event.
    pub fan_out: Distribution,
    pub list: Distribution,
    /// Making all pods of the list, 16 writers at once.
    pub filled: Duration,
}

impl Api {
    pub async fn open(kubeconfig: &str) -> Self {
        let file = kube::config::Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await.expect("a configuration");
        Self { client: kube::Client::try_from(config).expect("a client") }
    }

    async fn send(&self, method: &str, path: &str, content_type: &str, body: String) -> http::Response<Body> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
        self.client.send(request.body(body.into_bytes().into()).expect("a request")).await.expect("an answer")
    }

    /// Code and length of the answer.
    async fn ask(&self, method: &str, path: &str, content_type: &str, body: String) -> (u16, usize) {
        let answer = self.send(method, path, content_type, body).await;
        let code = answer.status().as_u16();
        (code, answer.into_body().collect().await.expect("a body").to_bytes().len())
    }

    async fn must(&self, method: &str, path: &str, content_type: &str, body: String) -> usize {
        let (code, length) = self.ask(method, path, content_type, body).await;
        assert!((200..300).contains(&code), "{method} {path}: {code}");
        length
    }

    pub async fn measure(&self) -> Figures {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}});
        self.must("POST", "/api/v1/namespaces", "application/json", namespace.to_string()).await;
        // Pods need the account that a controller makes.
        while self.ask("GET", &format!("{NAMESPACE}/serviceaccounts/default"), "", String::new()).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let filled = self.fill().await;
        Figures {
            filled,
            reads: self.repeat(500, |_| ("GET", format!("{NAMESPACE}/pods/p7"), "", String::new())).await,
            list: self.repeat(10, |_| ("GET", format!("{NAMESPACE}/pods"), "", String::new())).await,
            writes: self
                .repeat(300, |n| ("POST", format!("{NAMESPACE}/configmaps"), "application/json", config_map(&format!("w{n}"), n)))
                .await,
            applies: self.repeat(300, apply).await,
            fan_out: self.fan_out(100).await,
        }
    }

    async fn repeat(&self, count: usize, request: impl Fn(usize) -> (&'static str, String, &'static str, String)) -> Distribution {
        let mut took = Vec::new();
        for number in 0..count {
            let (method, path, content_type, body) = request(number);
            let began = now();
            self.must(method, &path, content_type, body).await;
            took.push(began.elapsed());
        }
        Distribution::of(took)
    }

    async fn fill(&self) -> Duration {
        let began = now();
        futures::stream::iter(0..PODS)
            .map(|number| async move {
                let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}"), "labels": {"app": "bench"}},
                    "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "busybox:1.37", "command": ["sleep", "infinity"],
                        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}}]}});
                self.must("POST", &format!("{NAMESPACE}/pods"), "application/json", pod.to_string()).await;
            })
            .buffer_unordered(WRITERS)
            .collect::<Vec<()>>()
            .await;
        began.elapsed()
    }

    async fn fan_out(&self, count: usize) -> Distribution {
        let (seen, mut all) = tokio::sync::mpsc::unbounded_channel();
        let path = format!("{NAMESPACE}/configmaps?watch=true&fieldSelector=metadata.name%3Dbench");
        self.must("PATCH", &apply(0).1, apply(0).2, apply(0).3).await;
        let mut watchers = tokio::task::JoinSet::new();
        for _ in 0..WATCHERS {
            let mut body = self.send("GET", &path, "", String::new()).await.into_body();
            let seen = seen.clone();
            watchers.spawn(async move {
                while let Some(Ok(frame)) = body.frame().await {
                    let events = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
                    for _ in 0..events {
                        let _ = seen.send(());
                    }
                }
            });
        }
        let mut everybody = async || {
            for _ in 0..WATCHERS {
                all.recv().await.expect("the watchers watch");
            }
        };
        // The object as it is now comes first.
        everybody().await;
        let mut took = Vec::new();
        for number in 1..=count {
            let (method, path, content_type, body) = apply(number);
            let began = now();
            tokio::join!(self.must(method, &path, content_type, body), everybody());
            took.push(began.elapsed());
        }
        Distribution::of(took)
    }
}

/// A server-side apply that changes something.
fn apply(number: usize) -> (&'static str, String, &'static str, String) {
    let path = format!("{NAMESPACE}/configmaps/bench?fieldManager=bench&force=true");
    ("PATCH", path, "application/apply-patch+yaml", config_map("bench", number))
}

impl Figures {
    fn rows(&self) -> [(&'static str, &Distribution); 5] {
        [
            ("get of a pod", &self.reads),
            ("create of a ConfigMap", &self.writes),
            ("server-side apply of a ConfigMap", &self.applies),
            ("write until 50 watchers have it", &self.fan_out),
            ("list of 5,000 pods", &self.list),
        ]
    }

    /// Medians as parts of another API's: below 1 is faster than the other.
    pub fn beside(&self, other: &Self) -> String {
        let ratio = |(name, own): (&str, &Distribution), (_, theirs): (&str, &Distribution)| {
            format!("  {name}: x{:.2} of the real server's {:.2?}\n", own.median_ratio(theirs), theirs.percentile(50))
        };
        let rows: String = self.rows().into_iter().zip(other.rows()).map(|(own, theirs)| ratio(own, theirs)).collect();
        let filled = self.filled.as_secs_f64() / other.filled.as_secs_f64().max(f64::EPSILON);
        format!("{rows}  5,000 creates of pods by 16 writers: x{filled:.2} of the real server's {:.1?}", other.filled)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, figures) in self.rows() {
            writeln!(f, "  {name}: {figures}")?;
        }
        write!(f, "  5,000 creates of pods by 16 writers: {:.1?}", self.filled)
    }
}
