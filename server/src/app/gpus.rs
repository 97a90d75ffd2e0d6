//! Which cluster has which GPU, as the engine asks and the store remembers.

use async_trait::async_trait;
use machinery::Clock;
use provision::{GpuLedger, LedgerError};
use std::{collections::BTreeMap, sync::Arc};
use store::Store;

/// The store behind the engine's contract.
#[derive(Debug)]
pub struct StoredLedger {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl GpuLedger for StoredLedger {
    async fn claim(&self, cluster: &str, uuids: &[String]) -> Result<bool, LedgerError> {
        Ok(self.store.claim_gpus(cluster, uuids, self.clock.now()).await?)
    }

    async fn release(&self, cluster: &str) -> Result<(), LedgerError> {
        Ok(self.store.release_gpus(cluster).await?)
    }

    async fn claims(&self) -> Result<BTreeMap<String, String>, LedgerError> {
        Ok(self.store.gpu_claims().await?.into_iter().map(|claim| (claim.uuid, claim.cluster)).collect())
    }
}
