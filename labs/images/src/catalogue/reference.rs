//! Image references, normalised as container runtimes do (github.com/distribution/reference).

use std::fmt;

/// Why a string is no image reference, in the runtime's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference format{}", if detail.is_empty() { String::new() } else { format!(": {detail}") })]
pub struct ReferenceError {
    pub detail: String,
}

/// `registry/path:tag@digest`, with Docker Hub's short names spelled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub registry: String,
    pub path: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Reference {
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let bad = |detail: &str| ReferenceError { detail: detail.to_owned() };
        if text.is_empty() || text.len() > 1024 {
            return Err(bad(""));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").ok_or_else(|| bad(""))?;
            if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(bad(""));
            }
        }
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(at) => (&rest[..last + at], Some(&rest[last + at + 1..])),
            None => (rest, None),
        };
        if let Some(tag) = tag {
            let first = tag.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !first || tag.len() > 128 || !tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
                return Err(bad(""));
            }
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase()) => {
                (first.to_owned(), rest.to_owned())
            }
            _ => ("docker.io".to_owned(), name.to_owned()),
        };
        let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
        let path = if registry == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError { detail: format!("repository name ({path}) must be lowercase") });
        }
        if !path.split('/').all(is_component) || !registry.split(['.', ':']).all(|part| !part.is_empty() && is_host(part)) {
            return Err(bad(""));
        }
        Ok(Self { registry, path, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }

    /// `docker.io/library/nginx`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// Whether `imagePullPolicy` defaults to `Always`: the tag is `latest`, said or unsaid.
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag.as_deref().is_none_or(|tag| tag == "latest")
    }
}

impl fmt::Display for Reference {
    /// As the runtime spells it: with `:latest` where neither tag nor digest is said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository())?;
        match (&self.tag, &self.digest) {
            (Some(tag), _) => write!(f, ":{tag}")?,
            (None, None) => f.write_str(":latest")?,
            (None, Some(_)) => {}
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

fn is_component(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_host(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
