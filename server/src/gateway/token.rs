//! Bearer tokens: 256 random bits that only their holder has. We keep the hash.

use crate::state::edge::{self, Random};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Every token of ours starts so; anything else is a ServiceAccount's token, which the cluster itself judges.
pub const PREFIX: &str = "cordon_";

/// A fresh token. Its `Debug` shows nothing; it is written to a kubeconfig and forgotten.
#[derive(Clone)]
pub struct Token(String);

/// What is stored of a token: its SHA-256. A token has 256 bits of its own, so no salt and no slow hash is needed.
#[derive(Debug, Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl Token {
    pub fn generate(random: &dyn Random) -> Self {
        Self::derived(edge::bytes::<32>(random))
    }

    /// The token of a secret that can be derived again.
    pub fn derived(secret: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// The secret itself, for a kubeconfig or a cookie.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl TokenHash {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// As it is stored: 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The first 48 bits: enough to tell tokens apart in an audit row, no help in finding one.
    pub fn short(self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

/// The token of an `Authorization: Bearer …` header.
pub fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= 8192).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SystemRandom;

    #[test]
    fn a_token_never_shows_itself() {
        let token = Token::generate(&SystemRandom);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(token.reveal().starts_with(PREFIX) && token.reveal().len() == PREFIX.len() + 43);
        assert_eq!(token.hash(), TokenHash::of(token.reveal()));
        assert!(token.hash() != Token::generate(&SystemRandom).hash());
    }

    #[test]
    fn bearer_headers() {
        let read = |value: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", http::HeaderValue::from_static(value));
            bearer(&headers).map(str::to_owned)
        };
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            assert_eq!(read(value).as_deref(), expected, "{value:?}");
        }
        assert_eq!(bearer(&http::HeaderMap::new()), None);
    }
}
