//! Evidence snapshots: JSON, compressed, named by the SHA-256 of the JSON.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};

/// No evidence is larger than this, unpacked.
const LIMIT: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceBlob {
    /// `sha256:…` of `json`.
    pub digest: String,
    pub taken_at: Timestamp,
    pub json: Vec<u8>,
}

impl EvidenceBlob {
    pub fn new(taken_at: Timestamp, json: Vec<u8>) -> Self {
        Self { digest: format!("sha256:{}", hex::encode(Sha256::digest(&json))), taken_at, json }
    }
}

#[async_trait]
pub trait EvidenceBlobs {
    /// The same evidence twice is kept once.
    async fn put_evidence(&self, attempt_id: &str, evidence: &EvidenceBlob) -> Result<(), StoreError>;
    /// For what is kept under a name of our own instead of its digest: the newer one stays.
    async fn replace_evidence(&self, attempt_id: &str, evidence: &EvidenceBlob) -> Result<(), StoreError>;
    async fn evidence(&self, attempt_id: &str, digest: &str) -> Result<Option<EvidenceBlob>, StoreError>;
}

fn pack(json: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(json).and_then(|()| encoder.finish());
    packed.map_err(|error| StoreError::unreadable("evidence", error))
}

#[async_trait]
impl EvidenceBlobs for Database {
    async fn put_evidence(&self, attempt_id: &str, evidence: &EvidenceBlob) -> Result<(), StoreError> {
        let packed = pack(&evidence.json)?;
        sqlx::query(
            "INSERT INTO evidence (attempt_id, digest, taken_at, body) VALUES ($1, $2, $3, $4) ON CONFLICT (attempt_id, digest) DO NOTHING",
        )
        .bind(attempt_id)
        .bind(&evidence.digest)
        .bind(ms(evidence.taken_at))
        .bind(packed)
        .execute(&self.pool)
        .await
        .doing("write evidence")?;
        Ok(())
    }

    async fn replace_evidence(&self, attempt_id: &str, evidence: &EvidenceBlob) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO evidence (attempt_id, digest, taken_at, body) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (attempt_id, digest) DO UPDATE SET taken_at = excluded.taken_at, body = excluded.body",
        )
        .bind(attempt_id)
        .bind(&evidence.digest)
        .bind(ms(evidence.taken_at))
        .bind(pack(&evidence.json)?)
        .execute(&self.pool)
        .await
        .doing("write evidence")?;
        Ok(())
    }

    async fn evidence(&self, attempt_id: &str, digest: &str) -> Result<Option<EvidenceBlob>, StoreError> {
        let row = sqlx::query("SELECT * FROM evidence WHERE attempt_id = $1 AND digest = $2")
            .bind(attempt_id)
            .bind(digest)
            .fetch_optional(&self.pool)
            .await
            .doing("read evidence")?;
        let Some(row) = row else { return Ok(None) };
        let row = Reader::new(&row, "evidence");
        let mut json = Vec::new();
        let packed = row.bytes("body")?;
        ZlibDecoder::new(packed.as_slice())
            .take(LIMIT)
            .read_to_end(&mut json)
            .map_err(|error| StoreError::unreadable("evidence", error))?;
        Ok(Some(EvidenceBlob { digest: row.text("digest")?, taken_at: row.time("taken_at")?, json }))
    }
}
