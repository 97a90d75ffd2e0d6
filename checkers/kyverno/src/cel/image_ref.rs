//! References to images as go-containerregistry reads them: `nginx` is `index.docker.io/library/nginx:latest`.

use machinery::cel::Opaque;

const DEFAULT_REGISTRY: &str = "index.docker.io";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageRef {
    /// As it was written.
    pub source: String,
    pub registry: String,
    pub repository: String,
    /// What was written as a tag; `latest` where there is neither tag nor digest.
    pub tag: String,
    pub digest: String,
}

impl Opaque for ImageRef {
    fn runtime_type_name(&self) -> &str {
        "kyverno.image"
    }
}

impl ImageRef {
    pub fn parse(source: &str) -> Result<Self, String> {
        let bad = || format!("could not parse reference: {source}");
        let (name, digest) = source.split_once('@').map_or((source, ""), |(name, digest)| (name, digest));
        if source.contains('@') {
            let hex = digest.strip_prefix("sha256:").ok_or_else(bad)?;
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                return Err(bad());
            }
        }
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (name, ""),
        };
        if tag.len() > 128 || !tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
            return Err(bad());
        }
        let (registry, repository) = match name.split_once('/') {
            Some((registry, repository)) if registry.contains(['.', ':']) => (registry, repository),
            _ => ("", name),
        };
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-./".contains(&b);
        if !(2..=255).contains(&repository.len()) || !repository.bytes().all(letters) {
            return Err(bad());
        }
        if registry.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad());
        }
        let registry = if registry.is_empty() || registry == "docker.io" { DEFAULT_REGISTRY } else { registry };
        let library = registry == DEFAULT_REGISTRY && !repository.contains('/');
        Ok(Self {
            source: source.to_owned(),
            registry: registry.to_owned(),
            repository: if library { format!("library/{repository}") } else { repository.to_owned() },
            tag: if tag.is_empty() && digest.is_empty() { "latest".to_owned() } else { tag.to_owned() },
            digest: digest.to_owned(),
        })
    }

    /// The digest, with the tag before it if there is one; else the tag.
    pub fn identifier(&self) -> String {
        match (self.tag.as_str(), self.digest.as_str()) {
            (tag, "") => tag.to_owned(),
            ("", digest) => digest.to_owned(),
            (tag, digest) => format!("{tag}@{digest}"),
        }
    }

    pub fn identifier_with_separator(&self) -> String {
        if self.digest.is_empty() { format!(":{}", self.tag) } else { format!("@{}", self.digest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (source, registry, repository, identifier) in [
            ("nginx", "index.docker.io", "library/nginx", "latest".to_owned()),
            ("ghcr.io/kyverno/kyverno:v1", "ghcr.io", "kyverno/kyverno", "v1".to_owned()),
            ("localhost/app", "index.docker.io", "localhost/app", "latest".to_owned()),
            ("localhost:5000/app", "localhost:5000", "app", "latest".to_owned()),
            (&format!("team/app@{digest}"), "index.docker.io", "team/app", digest.clone()),
            (&format!("team/app:v2@{digest}"), "index.docker.io", "team/app", format!("v2@{digest}")),
        ] {
            let image = ImageRef::parse(source).expect(source);
            let got = (image.registry.as_str(), image.repository.as_str(), image.identifier());
            assert_eq!(got, (registry, repository, identifier), "{source}");
        }
        for source in ["", "a", "Nginx", "nginx@sha256:ab", "nginx:a b", "a//:x y"] {
            assert!(ImageRef::parse(source).is_err(), "{source}");
        }
    }
}
