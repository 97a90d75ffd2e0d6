//! Who scanned which image, when, and what was found.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{self, Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub id: String,
    pub attempt_id: String,
    pub image: String,
    /// `sha256:…`
    pub digest: String,
    pub at: Timestamp,
    pub scanned_by: String,
    /// Vulnerability id to severity.
    pub findings: BTreeMap<String, String>,
    pub simulated: bool,
}

#[async_trait]
pub trait Scans {
    async fn create_scan(&self, scan: &Scan) -> Result<(), StoreError>;
    /// Oldest first; the newest 500.
    async fn scans(&self, attempt_id: &str) -> Result<Vec<Scan>, StoreError>;
}

#[async_trait]
impl Scans for Database {
    async fn create_scan(&self, scan: &Scan) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO scans (id, attempt_id, image, digest, at, scanned_by, findings, simulated) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&scan.id)
        .bind(&scan.attempt_id)
        .bind(&scan.image)
        .bind(&scan.digest)
        .bind(ms(scan.at))
        .bind(&scan.scanned_by)
        .bind(row::json(&scan.findings, "scan")?)
        .bind(i64::from(scan.simulated))
        .execute(&self.pool)
        .await
        .doing("write a scan")?;
        Ok(())
    }

    async fn scans(&self, attempt_id: &str) -> Result<Vec<Scan>, StoreError> {
        let rows = sqlx::query("SELECT * FROM scans WHERE attempt_id = $1 ORDER BY at DESC, id LIMIT 500")
            .bind(attempt_id)
            .fetch_all(&self.pool)
            .await
            .doing("list scans")?;
        rows.iter()
            .rev()
            .map(|row| {
                let row = Reader::new(row, "scan");
                Ok(Scan {
                    id: row.text("id")?,
                    attempt_id: row.text("attempt_id")?,
                    image: row.text("image")?,
                    digest: row.text("digest")?,
                    at: row.time("at")?,
                    scanned_by: row.text("scanned_by")?,
                    findings: row.json("findings")?,
                    simulated: row.flag("simulated")?,
                })
            })
            .collect()
    }
}
