//! Which cluster has which GPU, as the engine asks and the store remembers.

use crate::app::{App, AppError};
use async_trait::async_trait;
use machinery::Clock;
use provision::{GpuLedger, LedgerError};
use std::{collections::BTreeMap, sync::Arc};
use store::{GpuClaim, Store};

impl App {
    /// Which cluster has which GPU of this machine, for admins.
    pub async fn gpu_claims(&self) -> Result<Vec<GpuClaim>, AppError> {
        Ok(self.store.gpu_claims().await?)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SystemClock;
    use store::Database;

    /// Two servers' worth of starts at once, on one file: every GPU has one owner, and what is released can be had again.
    #[tokio::test]
    async fn of_many_claims_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cordon.db");
        let mut ledgers = Vec::new();
        for _ in 0..2 {
            let store: Arc<dyn Store> = Arc::new(Database::open_file(&file).await.unwrap());
            ledgers.push(Arc::new(StoredLedger { store, clock: Arc::new(SystemClock) }));
        }
        let gpu = ["GPU-a".to_owned()];
        let claims = (0..12).map(|number| {
            let (ledger, gpu) = (ledgers[number % 2].clone(), gpu.clone());
            tokio::spawn(async move { ledger.claim(&format!("c{number}"), &gpu).await.unwrap() })
        });
        let mut won = Vec::new();
        for (number, claim) in claims.collect::<Vec<_>>().into_iter().enumerate() {
            if claim.await.unwrap() {
                won.push(format!("c{number}"));
            }
        }
        let owners: Vec<String> = ledgers[0].claims().await.unwrap().into_values().collect();
        assert_eq!((won.len(), &won), (1, &owners));
        ledgers[1].release(&won[0]).await.unwrap();
        assert!(ledgers[0].claim("later", &gpu).await.unwrap());
    }
}
