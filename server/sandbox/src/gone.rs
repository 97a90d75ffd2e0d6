//! What a cluster that is gone answers to those who still hold a connection to it.

use apiserver::{
    NodeRuntime,
    node::{ExecOptions, ExecStatus, ExecStreams, LogOptions, WebhookCall},
};
use async_trait::async_trait;
use bytes::Bytes;
use machinery::ApiError;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

const WHY: &str = "this cluster is gone";

/// Stands in for the kubelets, which hold their API server and must be let go with it.
#[derive(Debug)]
pub struct Gone;

#[async_trait]
impl NodeRuntime for Gone {
    async fn logs(&self, _pod: Arc<Value>, _options: LogOptions) -> Result<mpsc::Receiver<Bytes>, ApiError> {
        Err(ApiError::internal(WHY))
    }

    async fn exec(&self, _pod: Arc<Value>, _options: ExecOptions, _streams: ExecStreams) -> ExecStatus {
        ExecStatus::Failed(WHY.to_owned())
    }

    async fn attach(&self, _pod: Arc<Value>, _options: ExecOptions, _streams: ExecStreams) -> ExecStatus {
        ExecStatus::Failed(WHY.to_owned())
    }

    async fn port_forward(
        &self,
        _pod: Arc<Value>,
        _port: u16,
        _from_client: mpsc::Receiver<Bytes>,
        _to_client: mpsc::Sender<Bytes>,
    ) -> Result<(), String> {
        Err(WHY.to_owned())
    }

    async fn proxy(&self, _pod: Arc<Value>, _port: u16, _request: http::Request<Bytes>) -> Result<http::Response<Bytes>, ApiError> {
        Err(ApiError::internal(WHY))
    }

    fn review(&self, _call: WebhookCall) -> Result<http::Response<Bytes>, String> {
        Err(WHY.to_owned())
    }
}
