//! The audit trail of the gateway on its way to the store: a queue that never makes a request wait, written in batches.

use crate::app::App;
use crate::gateway::audit::{AuditRow, AuditSink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::Store;
use store::User;
use tokio::sync::mpsc;

const QUEUE: usize = 20_000;
const BATCH: usize = 500;
const PAUSE: Duration = Duration::from_millis(200);

/// Where the gateway puts its rows.
#[derive(Debug)]
pub struct AuditQueue {
    sender: mpsc::Sender<store::AuditRow>,
    number: AtomicU64,
    lost: AtomicU64,
}

impl AuditSink for AuditQueue {
    fn record(&self, row: AuditRow) {
        // Sorts by time, then by the order within this process.
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let millis = u64::try_from(row.at.as_millisecond()).unwrap_or(0);
        let row = store::AuditRow {
            id: format!("{millis:013x}-{:08x}-{}", number & 0xffff_ffff, row.token_id),
            at: row.at,
            cluster: row.cluster,
            token_id: row.token_id,
            user_name: row.user,
            verb: row.verb,
            api_group: row.group,
            resource: row.resource,
            namespace: row.namespace,
            name: row.name,
            code: i64::from(row.code),
            milliseconds: row.milliseconds,
        };
        if self.sender.try_send(row).is_err() && self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!("the audit trail cannot keep up: rows are being lost");
        }
    }
}

impl AuditQueue {
    /// The queue, and the task that empties it. The task ends, with everything written, when the queue is dropped.
    pub fn start(store: Arc<dyn Store>) -> (Arc<Self>, tokio::task::JoinHandle<()>) {
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                for wait in [1_u64, 5, 20, 0] {
                    match store.append_audit(&batch).await {
                        Ok(()) => break,
                        Err(error) if wait == 0 => {
                            tracing::error!(rows = batch.len(), "audit rows are lost: {}", crate::app::error::chain(&error));
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(wait * 100)).await,
                    }
                }
                batch.clear();
                // Rows that come within a moment of each other share one commit.
                if !receiver.is_closed() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        (Arc::new(Self { sender, number: AtomicU64::new(0), lost: AtomicU64::new(0) }), writer)
    }
}

impl App {
    /// The trail of one cluster, oldest first, after row `after`.
    pub async fn audit_trail(&self, user: &User, attempt: &str, after: &str) -> Result<Vec<store::AuditRow>, crate::app::AppError> {
        self.attempt(user, attempt).await?;
        Ok(self.store.audit(attempt, after, 500).await?)
    }
}
