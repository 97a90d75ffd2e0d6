//! Requests that another site made a browser send.
//!
//! Three defences, each enough by itself: `SameSite=Lax` cookies, form tokens bound to the visitor's own cookie (`App::csrf`), and
//! what is here: browsers say where a request comes from.

use http::{HeaderMap, header};
use std::net::IpAddr;

/// False for a request that a browser says comes from another site. `Sec-Fetch-Site` and `Origin` are set by browsers, scripts
/// cannot change them; a client that sends neither is no browser. `authority` is the host and port of `public_url`, for a proxy
/// that changes `Host`.
pub fn same_site(headers: &HeaderMap, authority: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match (text("origin"), text(header::HOST.as_str())) {
        (None, _) => true,
        (Some(origin), host) => origin
            .split_once("://")
            .is_some_and(|(_, from)| from.eq_ignore_ascii_case(authority) || host.is_some_and(|host| from.eq_ignore_ascii_case(host))),
    }
}

/// For WebSockets, which no form token protects: an `Origin` must be there and be this very site.
pub fn same_origin(headers: &HeaderMap, authority: &str) -> bool {
    headers.contains_key(header::ORIGIN) && same_site(headers, authority)
}

/// True for an address, this machine's own name, and the name in `public_url`.
pub fn host_is_ours(host: &str, authority: &str) -> bool {
    let name = |host: &str| match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or("").to_owned(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase(),
    };
    let asked = name(host);
    asked.parse::<IpAddr>().is_ok() || asked == "localhost" || asked.ends_with(".localhost") || asked == name(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_other_sites() {
        for (list, expected) in [
            (vec![], true),
            (vec![("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], true),
            (vec![("origin", "https://lab.example"), ("host", "10.0.0.1:8080")], true),
            (vec![("origin", "http://evil.example"), ("host", "127.0.0.1:8080")], false),
            (vec![("origin", "null"), ("host", "127.0.0.1:8080")], false),
            (vec![("origin", "http://127.0.0.1:8080.evil.example"), ("host", "127.0.0.1:8080")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site"), ("origin", "http://x"), ("host", "x")], false),
        ] {
            let headers: HeaderMap =
                list.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(same_site(&headers, "lab.example"), expected, "{list:?}");
            assert_eq!(same_origin(&headers, "lab.example"), expected && list.iter().any(|(name, _)| *name == "origin"), "{list:?}");
        }
    }

    #[test]
    fn knows_its_own_names() {
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("localhost", true),
            ("LAB.example:8080", true),
            ("lab.example", true),
            ("evil.example:8080", false),
            ("lab.example.evil.example", false),
            ("", false),
        ] {
            assert_eq!(host_is_ours(host, "lab.example:443"), expected, "{host}");
        }
    }
}
