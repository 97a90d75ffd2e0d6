//! Receipts: what was judged and with what result, signed, so that anybody with the public key can verify it.

use crate::app::checking::{Judged, outcome_word};
use crate::app::{App, AppError};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use store::{Attempt, User};

/// What is signed. The signature covers the JSON of this struct, fields in this order, without white space, after [`CONTEXT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    pub lab: String,
    pub lab_digest: String,
    pub attempt: String,
    /// The display name of who did it.
    pub learner: String,
    pub checker_version: String,
    pub engine: String,
    pub simulated: bool,
    pub params: BTreeMap<String, String>,
    pub evidence_digest: String,
    pub tasks: Vec<TaskClaim>,
    pub score: i64,
    pub of: i64,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskClaim {
    pub task: String,
    /// `passed`, `failed`, `inconclusive`.
    pub outcome: String,
    pub points: i64,
    pub of: i64,
    pub hints: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    pub api_version: String,
    pub kind: String,
    pub claims: Claims,
    /// SHA-256 of the public key, so that a reader knows which server to ask for it.
    pub key: String,
    /// Ed25519, base64.
    pub signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("this is no receipt: {0}")]
    Unreadable(String),
    #[error("this is no public key in PEM (SubjectPublicKeyInfo, Ed25519)")]
    BadKey,
    #[error("the receipt was signed with another key (sha256:{0})")]
    OtherKey(String),
    #[error("the signature does not fit: the receipt was changed after it was signed")]
    BadSignature,
}

const API_VERSION: &str = "cordon.dev/v1alpha1";
const CONTEXT: &[u8] = b"cordon.dev/receipt/v1\n";
const LIMIT: usize = 1024 * 1024;

fn message(claims: &Claims) -> Vec<u8> {
    let mut message = CONTEXT.to_vec();
    message.extend(serde_json::to_vec(claims).unwrap_or_default());
    message
}

fn fingerprint(key: &VerifyingKey) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

pub fn sign(key: &SigningKey, claims: Claims) -> Receipt {
    let signature = STANDARD.encode(key.sign(&message(&claims)).to_bytes());
    Receipt { api_version: API_VERSION.to_owned(), kind: "Receipt".to_owned(), claims, key: fingerprint(&key.verifying_key()), signature }
}

/// The claims of a receipt whose signature fits `public_key` (PEM).
pub fn verify(receipt: &str, public_key: &str) -> Result<Claims, ReceiptError> {
    let receipt = parse(receipt)?;
    let key = VerifyingKey::from_public_key_pem(public_key.trim()).map_err(|_| ReceiptError::BadKey)?;
    if receipt.key != fingerprint(&key) {
        return Err(ReceiptError::OtherKey(receipt.key));
    }
    let bytes = STANDARD.decode(&receipt.signature).map_err(|_| ReceiptError::BadSignature)?;
    let signature = Signature::from_slice(&bytes).map_err(|_| ReceiptError::BadSignature)?;
    key.verify_strict(&message(&receipt.claims), &signature).map_err(|_| ReceiptError::BadSignature)?;
    Ok(receipt.claims)
}

/// A receipt as it is written, its signature not yet looked at.
pub fn parse(receipt: &str) -> Result<Receipt, ReceiptError> {
    if receipt.len() > LIMIT {
        return Err(ReceiptError::Unreadable("larger than 1 MiB".to_owned()));
    }
    let parsed: Receipt = serde_json::from_str(receipt).map_err(|error| ReceiptError::Unreadable(error.to_string()))?;
    if parsed.api_version != API_VERSION || parsed.kind != "Receipt" {
        return Err(ReceiptError::Unreadable(format!("expected {API_VERSION} Receipt")));
    }
    Ok(parsed)
}

impl App {
    /// The receipt of a finished attempt, as it is downloaded.
    pub async fn receipt(&self, user: &User, attempt: &str) -> Result<Option<String>, AppError> {
        self.attempt(user, attempt).await?;
        Ok(self.store.receipt(attempt).await?)
    }

    /// PEM of the key that verifies this server's receipts.
    pub fn receipts_public_key(&self) -> String {
        self.keys.public_pem()
    }

    pub(crate) async fn write_receipt(&self, attempt: &Attempt, judged: &Judged, score: i64, at: Timestamp) -> Result<(), AppError> {
        let plan = self.course.lab(&attempt.lab).ok_or(AppError::NotFound("lab"))?;
        let hints = self.store.hints_taken(&attempt.id).await?;
        let learner = self.store.user(&attempt.user_id).await?.map(|user| user.display_name).unwrap_or_default();
        let task = |verdict: &crate::app::TaskVerdict| TaskClaim {
            task: verdict.task.clone(),
            outcome: outcome_word(verdict.outcome).to_owned(),
            points: verdict.points,
            of: plan.task(&verdict.task).map_or(0, |task| task.points),
            hints: hints.iter().filter(|hint| hint.task == verdict.task).map(|_| 1).sum(),
        };
        let claims = Claims {
            lab: attempt.lab.clone(),
            lab_digest: attempt.lab_digest.clone(),
            attempt: attempt.id.clone(),
            learner,
            checker_version: self.course.checker_version(),
            engine: attempt.engine.clone(),
            simulated: self.engine.capabilities().simulated,
            params: attempt.params.clone(),
            evidence_digest: judged.evidence.clone(),
            tasks: judged.verdicts.iter().map(task).collect(),
            score,
            of: plan.total(),
            started_at: attempt.started_at,
            finished_at: at,
        };
        let receipt = sign(self.keys.signing(), claims);
        let body = serde_json::to_string_pretty(&receipt).map_err(|error| AppError::internal("write the receipt", error))?;
        Ok(self.store.put_receipt(&attempt.id, &body, at).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keys::Keys;
    use crate::state::SystemRandom;

    #[test]
    fn a_receipt_verifies_until_somebody_changes_it() {
        let keys = Keys::temporary(&SystemRandom);
        let claims = Claims {
            lab: "lab".to_owned(),
            lab_digest: "sha256:1".to_owned(),
            attempt: "a1".to_owned(),
            learner: "Ada \"L\" <é>".to_owned(),
            checker_version: "0.1.0".to_owned(),
            engine: "sandbox".to_owned(),
            simulated: true,
            params: BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
            evidence_digest: "sha256:2".to_owned(),
            tasks: vec![TaskClaim { task: "t".to_owned(), outcome: "passed".to_owned(), points: 97, of: 100, hints: 1 }],
            score: 97,
            of: 100,
            started_at: None,
            finished_at: Timestamp::from_millisecond(1_800_000_000_123).unwrap(),
        };
        let text = serde_json::to_string_pretty(&sign(keys.signing(), claims.clone())).unwrap();
        assert_eq!(verify(&text, &keys.public_pem()), Ok(claims));
        for (from, to) in [("\"score\": 97", "\"score\": 98"), ("\"a1\"", "\"a2\""), ("sha256:2", "sha256:3")] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert_eq!(verify(&changed, &keys.public_pem()), Err(ReceiptError::BadSignature), "{from}");
        }
        let other = Keys::temporary(&SystemRandom).public_pem();
        assert!(matches!(verify(&text, &other), Err(ReceiptError::OtherKey(_))));
        assert_eq!(verify(&text, "nothing"), Err(ReceiptError::BadKey));
        assert!(matches!(verify(&text.replacen("{", "{\"more\": 1,", 1), &other), Err(ReceiptError::Unreadable(_))));
        assert!(matches!(verify("{}", &other), Err(ReceiptError::Unreadable(_))));
    }
}
