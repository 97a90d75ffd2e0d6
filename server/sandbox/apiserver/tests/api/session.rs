//! Exec, logs and port-forward over a real connection: a WebSocket needs one.

use crate::kit::Kit;
use apiserver::{
    Body, ExecStreams, NodeRuntime,
    node::{ExecOptions, ExecStatus, LogOptions, WebhookCall},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use machinery::ApiError;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, protocol::frame::coding::CloseCode};

/// Answers with what it was asked.
struct Echo;

#[async_trait]
impl NodeRuntime for Echo {
    async fn logs(&self, _pod: Arc<Value>, options: LogOptions) -> Result<mpsc::Receiver<Bytes>, ApiError> {
        let (send, receive) = mpsc::channel(4);
        send.send(format!("{} {:?}\n", options.container, options.tail_lines).into()).await.unwrap();
        Ok(receive)
    }

    async fn exec(&self, _pod: Arc<Value>, options: ExecOptions, mut streams: ExecStreams) -> ExecStatus {
        if options.command == ["missing"] {
            return ExecStatus::Failed("no such program".to_owned());
        }
        streams.stderr.send("to stderr".into()).await.unwrap();
        while let Some(chunk) = streams.stdin.recv().await {
            streams.stdout.send(chunk).await.unwrap();
        }
        ExecStatus::Exited(3)
    }

    async fn attach(&self, pod: Arc<Value>, options: ExecOptions, streams: ExecStreams) -> ExecStatus {
        self.exec(pod, options, streams).await
    }

    async fn port_forward(&self, _: Arc<Value>, _: u16, _: mpsc::Receiver<Bytes>, _: mpsc::Sender<Bytes>) -> Result<(), String> {
        Err("refused".to_owned())
    }

    async fn proxy(&self, _: Arc<Value>, port: u16, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, ApiError> {
        assert!(!request.headers().contains_key("authorization"));
        Ok(http::Response::new(format!("{} {port} {}", request.method(), request.uri()).into()))
    }

    fn review(&self, _: WebhookCall) -> Result<http::Response<Bytes>, String> {
        Err("refused".to_owned())
    }
}

async fn kit() -> Kit {
    let kit = Kit::new();
    kit.server.set_node_runtime(Arc::new(Echo));
    let pod = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 8080}]}]}});
    kit.client().create(machinery::gvr::PODS, pod).unwrap();
    kit.client().create(machinery::gvr::NODES, json!({"metadata": {"name": "n"}})).unwrap();
    kit
}

const POD: &str = "/api/v1/namespaces/default/pods/p";

#[tokio::test]
async fn logs_and_proxy() {
    let kit = kit().await;
    assert_eq!(kit.get(&format!("{POD}/log")).await.expect(204).text, "", "nobody is asked while no node has the pod");
    kit.get(&format!("{POD}/exec?command=id&stdout=true")).await.expect(400);
    kit.client().bind("default", "p", "n").unwrap();
    assert_eq!(kit.get(&format!("{POD}/log?tailLines=3")).await.expect(200).text, "a Some(3)\n");
    assert_eq!(
        kit.get(&format!("{POD}/log?stream=Stderr")).await.expect(422).message(),
        "PodLogOptions \"p\" is invalid: stream: Forbidden: may not be specified"
    );
    assert_eq!(kit.get(&format!("{POD}/log?container=b")).await.expect(400).message(), "container b is not valid for pod p");
    assert_eq!(
        kit.get(&format!("{POD}/log?tailLines=-1")).await.expect(422).message(),
        "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
    );
    let answer = kit.request("GET", &format!("{POD}/proxy/a/b?c=d"), &[("authorization", "Bearer x")], Body::empty()).await;
    assert_eq!(answer.expect(200).text, "GET 8080 /a/b?c=d");
    kit.get(&format!("{POD}/exec?command=id&stdout=true")).await.expect(400);
}

/// Everything that an exec sends: channel and bytes of each message, and the close code.
async fn exec(kit: &Kit, query: &str, input: &[&[u8]]) -> (Vec<(u8, String)>, Option<CloseCode>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = kit.server.router().layer(axum::Extension(kit.user.clone()));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut request = format!("ws://{address}{POD}/exec?{query}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    for message in input {
        socket.send(Message::binary(message.to_vec())).await.unwrap();
    }
    let (mut seen, mut code) = (Vec::new(), None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) => seen.push((bytes[0], String::from_utf8_lossy(&bytes[1..]).into_owned())),
            Message::Close(frame) => code = frame.map(|frame| frame.code),
            _ => {}
        }
    }
    server.abort();
    (seen, code)
}

#[tokio::test]
async fn exec_carries_streams_and_the_exit_code() {
    let kit = kit().await;
    kit.client().bind("default", "p", "n").unwrap();
    let (mut seen, code) = exec(&kit, "command=cat&stdin=true&stdout=true&stderr=true", &[b"\x00hello", b"\xff\x00"]).await;
    assert_eq!(code, Some(CloseCode::Normal));
    let status: Value = serde_json::from_str(&seen.pop().unwrap().1).unwrap();
    assert_eq!(status["message"], "command terminated with non-zero exit code: exit status 3");
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
    seen.sort();
    assert_eq!(seen, [(1, "hello".to_owned()), (2, "to stderr".to_owned())]);
    let (seen, _) = exec(&kit, "command=missing&stdout=true", &[]).await;
    assert_eq!(seen[0].0, 3);
    assert!(seen[0].1.contains("no such program"), "{}", seen[0].1);
}
