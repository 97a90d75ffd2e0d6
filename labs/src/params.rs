//! Values of an attempt's own, from an HMAC of a server key and the attempt: nobody can guess another attempt's, and the same
//! attempt always gets the same.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// How a parameter is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Param {
    /// One of these.
    Pick(Vec<String>),
    /// A whole number, both ends included.
    Range { from: u32, to: u32 },
    /// The prefix and so many hexadecimal digits.
    Hex { prefix: String, digits: u8 },
}

impl Param {
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Pick(values) if values.len() < 2 => Some("pick needs two values or more"),
            Self::Range { from, to } if from >= to => Some("from must be less than to"),
            Self::Hex { digits, .. } if !(1..=16).contains(digits) => Some("digits must be 1 to 16"),
            _ => None,
        }
    }

    fn value(&self, drawn: u64) -> String {
        match self {
            Self::Pick(values) => {
                let index = drawn.checked_rem(values.len() as u64).unwrap_or(0);
                values.get(usize::try_from(index).unwrap_or(0)).cloned().unwrap_or_default()
            }
            Self::Range { from, to } => (u64::from(*from) + drawn % (u64::from(to.saturating_sub(*from)) + 1)).to_string(),
            Self::Hex { prefix, digits } => {
                let hex = format!("{drawn:016x}");
                format!("{prefix}{}", &hex[..usize::from(*digits).min(16)])
            }
        }
    }
}

/// All parameters of one attempt.
pub(crate) fn derive(params: &BTreeMap<String, Param>, key: &[u8], attempt: &str) -> BTreeMap<String, String> {
    let value = |name: &String, param: &Param| param.value(draw(key, attempt, name));
    params.iter().map(|(name, param)| (name.clone(), value(name, param))).collect()
}

fn draw(key: &[u8], attempt: &str, name: &str) -> u64 {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return 0 };
    // Lengths first: no two pairs of attempt and name give the same bytes.
    for part in ["cordon.dev/lab-parameter", attempt, name] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let bytes = mac.finalize().into_bytes();
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_from_key_and_attempt() {
        let params = BTreeMap::from([
            ("team".to_owned(), Param::Pick(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])),
            ("port".to_owned(), Param::Range { from: 9000, to: 9009 }),
            ("ns".to_owned(), Param::Hex { prefix: "ml-".to_owned(), digits: 6 }),
        ]);
        let one = derive(&params, b"key", "attempt-1");
        assert_eq!(one, derive(&params, b"key", "attempt-1"));
        assert_ne!(one, derive(&params, b"key", "attempt-2"));
        assert_ne!(one["ns"], derive(&params, b"other key", "attempt-1")["ns"]);
        let mut ports: Vec<String> = (0..500).map(|n| derive(&params, b"key", &n.to_string())["port"].clone()).collect();
        ports.sort();
        ports.dedup();
        assert_eq!(ports, (9000..=9009).map(|p| p.to_string()).collect::<Vec<_>>());
        assert_eq!(one["ns"].len(), 9);
    }
}
