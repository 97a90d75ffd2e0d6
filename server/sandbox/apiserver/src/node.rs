//! What the API server asks of whoever runs the pods: the simulator's kubelet.

use async_trait::async_trait;
use bytes::Bytes;
use machinery::ApiError;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The two ends of an exec, attach or debug session, as channels of raw bytes. A closed `stdin` is end of file.
#[derive(Debug)]
pub struct ExecStreams {
    pub stdin: mpsc::Receiver<Bytes>,
    pub stdout: mpsc::Sender<Bytes>,
    pub stderr: mpsc::Sender<Bytes>,
    /// Columns and rows, each time the client's terminal changes.
    pub resize: mpsc::Receiver<(u16, u16)>,
}

#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    pub container: String,
    pub command: Vec<String>,
    pub stdin: bool,
    pub tty: bool,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecStatus {
    Exited(i32),
    /// The runtime could not start it: the message that kubectl prints.
    Failed(String),
}

/// `PodLogOptions`.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    pub container: String,
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub tail_lines: Option<i64>,
    pub limit_bytes: Option<i64>,
    pub since: Option<jiff::Timestamp>,
}

/// Where an admission webhook is asked for its verdict, and what it is asked.
#[derive(Debug, Clone)]
pub struct WebhookCall {
    /// Namespace, name and port of the Service that it is reached by.
    pub namespace: String,
    pub service: String,
    pub port: u16,
    /// With the query.
    pub path: String,
    /// PEM of the authority that its certificate must be from.
    pub authority: Vec<u8>,
    /// An `AdmissionReview`.
    pub body: Bytes,
}

/// Runs pods. The API server has already found the pod, authorized the user and chosen the container.
#[async_trait]
pub trait NodeRuntime: Send + Sync {
    /// Chunks of log; the channel stays open while `follow` has more to come.
    async fn logs(&self, pod: Arc<Value>, options: LogOptions) -> Result<mpsc::Receiver<Bytes>, ApiError>;

    async fn exec(&self, pod: Arc<Value>, options: ExecOptions, streams: ExecStreams) -> ExecStatus;

    async fn attach(&self, pod: Arc<Value>, options: ExecOptions, streams: ExecStreams) -> ExecStatus;

    /// A connection to a port of the pod from its own loopback, as `kubectl port-forward` opens it.
    async fn port_forward(
        &self,
        pod: Arc<Value>,
        port: u16,
        from_client: mpsc::Receiver<Bytes>,
        to_client: mpsc::Sender<Bytes>,
    ) -> Result<(), String>;

    /// `pods/proxy` and `services/proxy`: an HTTP request to a pod's port as the API server would send it.
    async fn proxy(&self, pod: Arc<Value>, port: u16, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, ApiError>;

    /// Asks an admission webhook, at once: a write waits for the answer. `Err`: why none came, as Go's HTTP client says it.
    /// Nothing may be written meanwhile, and what is read is what stood there before this write.
    fn review(&self, call: WebhookCall) -> Result<http::Response<Bytes>, String>;
}
