//! Which cluster has which GPU: a UUID has one owner, whoever asks at once.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuClaim {
    pub uuid: String,
    pub cluster: String,
    pub claimed_at: Timestamp,
}

#[async_trait]
pub trait GpuClaims {
    /// All of `uuids` or none of them: `false` where one is taken, by this cluster too.
    async fn claim_gpus(&self, cluster: &str, uuids: &[String], at: Timestamp) -> Result<bool, StoreError>;
    /// By UUID.
    async fn gpu_claims(&self) -> Result<Vec<GpuClaim>, StoreError>;
    async fn release_gpus(&self, cluster: &str) -> Result<(), StoreError>;
}

#[async_trait]
impl GpuClaims for Database {
    async fn claim_gpus(&self, cluster: &str, uuids: &[String], at: Timestamp) -> Result<bool, StoreError> {
        // In one order, so that two claims never wait for each other.
        let mut uuids: Vec<&String> = uuids.iter().collect();
        uuids.sort();
        let mut transaction = self.begin().await?;
        for uuid in uuids {
            let done = sqlx::query("INSERT INTO gpu_claims (uuid, cluster, claimed_at) VALUES ($1, $2, $3) ON CONFLICT (uuid) DO NOTHING")
                .bind(uuid)
                .bind(cluster)
                .bind(ms(at))
                .execute(&mut *transaction)
                .await
                .doing("claim a GPU")?;
            if done.rows_affected() == 0 {
                transaction.rollback().await.doing("claim a GPU")?;
                return Ok(false);
            }
        }
        transaction.commit().await.doing("claim a GPU")?;
        Ok(true)
    }

    async fn gpu_claims(&self) -> Result<Vec<GpuClaim>, StoreError> {
        let rows = sqlx::query("SELECT * FROM gpu_claims ORDER BY uuid").fetch_all(&self.pool).await.doing("list claims of GPUs")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "claim of a GPU");
                Ok(GpuClaim { uuid: row.text("uuid")?, cluster: row.text("cluster")?, claimed_at: row.time("claimed_at")? })
            })
            .collect()
    }

    async fn release_gpus(&self, cluster: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM gpu_claims WHERE cluster = $1").bind(cluster).execute(&self.pool).await.doing("release GPUs")?;
        Ok(())
    }
}
