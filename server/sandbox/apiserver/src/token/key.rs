//! The key pair that signs one cluster's tokens: ECDSA on P-256 (`ES256`), as kubeadm makes for `encryptionAlgorithm: ECDSA-P256`.
//!
//! Each cluster has its own, so that a token of one is a stranger's everywhere else, whatever names and uids the two share. It is
//! derived from the cluster's secret: nothing else needs to be kept for tokens to outlive a restart. An RSA key, kubeadm's default,
//! takes several times as long to make as a whole cluster may.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use machinery::ApiError;
use p256::{
    SecretKey,
    elliptic_curve::sec1::ToEncodedPoint as _,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Never printed.
pub(crate) struct TokenKey {
    private: EncodingKey,
    public: DecodingKey,
    /// `kid`: the digest of the public key, as kube-apiserver names its keys.
    id: String,
    x: String,
    y: String,
}

impl TokenKey {
    pub fn derive(secret: &[u8; 32]) -> Result<Self, ApiError> {
        // Not every 256 bits are a scalar of the curve; the next attempt is needed once in four billion.
        let key = (0..=u8::MAX).find_map(|attempt| {
            let mut hash = Sha256::new();
            hash.update(b"cordon service account tokens\0");
            hash.update([attempt]);
            hash.update(secret);
            SecretKey::from_slice(&hash.finalize()).ok()
        });
        let broken = |what: &str| ApiError::internal(format!("the key of the ServiceAccount tokens cannot be used: {what}"));
        let key = key.ok_or_else(|| broken("no scalar"))?;
        let private = key.to_pkcs8_der().map_err(|_| broken("no PKCS #8"))?;
        let point = key.public_key().to_encoded_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else { return Err(broken("no point")) };
        let published = key.public_key().to_public_key_der().map_err(|_| broken("no public key"))?;
        Ok(Self {
            private: EncodingKey::from_ec_der(private.as_bytes()),
            public: DecodingKey::from_ec_der(point.as_bytes()),
            id: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(published.as_bytes())),
            x: BASE64_URL_SAFE_NO_PAD.encode(x),
            y: BASE64_URL_SAFE_NO_PAD.encode(y),
        })
    }

    pub fn sign(&self, claims: &Value) -> Result<String, ApiError> {
        let header = Header { typ: None, kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.private)
            .map_err(|error| ApiError::internal(format!("failed to generate token: {error}")))
    }

    /// The claims of a token that this key signed; the error is kube-apiserver's. Times and audiences are the caller's.
    pub fn open(&self, token: &str) -> Result<Value, &'static str> {
        let named = jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid);
        if named.is_some_and(|id| id != self.id) {
            return Err("invalid signature, no keys found");
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode(token, &self.public, &validation)
            .map(|opened| opened.claims)
            .map_err(|_| "go-jose/go-jose: error in cryptographic primitive")
    }

    /// `/openid/v1/jwks`.
    pub fn published(&self) -> String {
        let Self { id, x, y, .. } = self;
        format!(r#"{{"keys":[{{"use":"sig","kty":"EC","kid":"{id}","crv":"P-256","alg":"ES256","x":"{x}","y":"{y}"}}]}}"#)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::JwkSet;
    use serde_json::json;

    #[test]
    fn whoever_has_the_published_key_can_check_a_token() {
        let key = TokenKey::derive(&[1; 32]).unwrap();
        let token = key.sign(&json!({"sub": "somebody"})).unwrap();
        let published: JwkSet = serde_json::from_str(&key.published()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let found = published.find(header.kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        let opened: Value = jsonwebtoken::decode(&token, &DecodingKey::from_jwk(found).unwrap(), &validation).unwrap().claims;
        assert_eq!(opened["sub"], "somebody");
    }

    #[test]
    fn one_key_for_a_secret_and_another_for_another() {
        let (one, same, other) =
            (TokenKey::derive(&[1; 32]).unwrap(), TokenKey::derive(&[1; 32]).unwrap(), TokenKey::derive(&[2; 32]).unwrap());
        assert_eq!(one.published(), same.published());
        let token = one.sign(&json!({"sub": "somebody"})).unwrap();
        assert!(same.open(&token).is_ok());
        assert_eq!(other.open(&token), Err("invalid signature, no keys found"));
    }

    /// A token that claims another algorithm, and one that claims none, is refused however it is signed.
    #[test]
    fn the_algorithm_is_not_the_tokens_to_choose() {
        let key = TokenKey::derive(&[1; 32]).unwrap();
        let claims = json!({"sub": "somebody"});
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let none = format!("{}.{}.", part(json!({"alg": "none", "kid": key.id})), part(claims.clone()));
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        let public = BASE64_URL_SAFE_NO_PAD.decode(&key.x).unwrap();
        let keyed = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&public)).unwrap();
        for token in [none, keyed] {
            assert!(key.open(&token).is_err(), "{token}");
        }
    }
}
