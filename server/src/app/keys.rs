//! The server's own secrets, made at first start and kept in `<data>/keys` (0600).

use crate::state::{edge, edge::Random, files};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{fmt, io, path::Path};

/// Never shown, never logged.
#[derive(Clone)]
pub struct Keys {
    secret: [u8; 32],
    signing: SigningKey,
}

impl Keys {
    /// Reads both keys from `folder`, or makes them there.
    pub fn open(folder: &Path, random: &dyn Random) -> io::Result<Self> {
        files::private_folder(folder)?;
        let broken = |file: &Path| io::Error::new(io::ErrorKind::InvalidData, format!("{} does not hold a key", file.display()));
        let secret_file = folder.join("server.key");
        let secret = match files::read_optional(&secret_file)? {
            Some(text) => {
                let mut secret = [0; 32];
                hex::decode_to_slice(text.trim_ascii(), &mut secret).map_err(|_| broken(&secret_file))?;
                secret
            }
            None => {
                let secret = edge::bytes::<32>(random);
                files::write_private(&secret_file, hex::encode(secret).as_bytes())?;
                secret
            }
        };
        let signing_file = folder.join("receipts.pem");
        let signing = match files::read_optional(&signing_file)? {
            Some(pem) => {
                let pem = std::str::from_utf8(&pem).map_err(|_| broken(&signing_file))?;
                SigningKey::from_pkcs8_pem(pem).map_err(|_| broken(&signing_file))?
            }
            None => {
                let signing = SigningKey::from_bytes(&edge::bytes::<32>(random));
                let pem = signing.to_pkcs8_pem(LineEnding::LF).map_err(|_| broken(&signing_file))?;
                files::write_private(&signing_file, pem.as_bytes())?;
                signing
            }
        };
        Ok(Self { secret, signing })
    }

    /// Keys that live as long as the process, for tests.
    pub fn temporary(random: &dyn Random) -> Self {
        Self { secret: edge::bytes(random), signing: SigningKey::from_bytes(&edge::bytes(random)) }
    }

    /// A key for one use, so that values derived for one purpose say nothing about another's.
    pub fn derive(&self, purpose: &str, subject: &str) -> [u8; 32] {
        // A key shorter than the hash's block is padded with zeros (RFC 2104); a whole block cannot be refused.
        let mut block = [0_u8; 64];
        block[..32].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(subject.as_bytes());
        mac.finalize().into_bytes().into()
    }

    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// PEM (SubjectPublicKeyInfo) of the key that verifies receipts.
    pub fn public_pem(&self) -> String {
        self.signing.verifying_key().to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SystemRandom;

    #[test]
    fn are_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Keys::open(&folder.path().join("keys"), &SystemRandom).unwrap();
        let (first, second) = (open(), open());
        assert_eq!(first.derive("a", "b"), second.derive("a", "b"));
        assert_ne!(first.derive("a", "b"), first.derive("b", "a"));
        assert_eq!(first.public_pem(), second.public_pem());
        assert_eq!(format!("{first:?}"), "Keys(…)");
        std::fs::write(folder.path().join("keys/server.key"), "short").unwrap();
        assert!(Keys::open(&folder.path().join("keys"), &SystemRandom).is_err(), "a broken key is not replaced in silence");
    }
}
