//! Tokens against forged requests: bound to the visitor's own cookie, compared in constant time.
//!
//! A token is a hash of a secret that only this visitor's cookie holds, so it needs no storage and ends with the session. Beside it
//! stand `SameSite=Lax`, and for requests that carry an `Origin` the check that it is this site.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The token for forms of the visitor whose cookie holds `secret`.
pub fn token(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(b"cordon form token 1\0").chain_update(secret.as_bytes()).finalize())
}

pub fn matches(secret: &str, given: &str) -> bool {
    !secret.is_empty() && token(secret).as_bytes().ct_eq(given.as_bytes()).into()
}

/// False for a request that a browser says comes from another site. `Sec-Fetch-Site` and `Origin` are set by browsers, scripts
/// cannot change them; a client that sends neither is no browser.
pub fn same_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match (text("origin"), text(header::HOST.as_str())) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
    }
}

/// For WebSockets, which no form token protects: an `Origin` must be there and be this very site.
pub fn same_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) && same_site(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_belong_to_their_secret() {
        assert!(matches("a", &token("a")));
        for (secret, given) in [("a", token("b")), ("a", String::new()), ("", token("")), ("a", token("a") + "x")] {
            assert!(!matches(secret, &given));
        }
    }

    #[test]
    fn knows_other_sites() {
        for (list, expected) in [
            (vec![], true),
            (vec![("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], true),
            (vec![("origin", "http://evil.example"), ("host", "127.0.0.1:8080")], false),
            (vec![("origin", "null"), ("host", "127.0.0.1:8080")], false),
            (vec![("origin", "http://127.0.0.1:8080.evil.example"), ("host", "127.0.0.1:8080")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site"), ("origin", "http://x"), ("host", "x")], false),
        ] {
            let headers: HeaderMap = list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let _: &http::HeaderMap = &headers;
            assert_eq!(same_site(&headers), expected, "{list:?}");
            assert_eq!(same_origin(&headers), expected && list.iter().any(|(name, _)| *name == "origin"), "{list:?}");
        }
    }
}
