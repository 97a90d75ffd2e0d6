//! Names of images, with the default registry filled in, as Kyverno reads them.

use go_regexp::Regexp;
use std::fmt;

const DEFAULT_REGISTRY: &str = "docker.io";
/// Longest name that is read, registry and repository together.
const LONGEST: usize = 255;

/// The parts of `registry/path:tag@digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub registry: String,
    /// The repository, such as `library/nginx`.
    pub path: String,
    /// The last element of the path.
    pub name: String,
    /// Empty where there is a digest alone.
    pub tag: String,
    pub digest: String,
}

impl Image {
    pub fn parse(image: &str) -> Result<Self, String> {
        let full = with_registry(image);
        let bad = |problem: &str| {
            format!("bad image: {full}, defaultRegistry: {DEFAULT_REGISTRY}, enableDefaultRegistryMutation: true: {problem}")
        };
        let invalid = || bad("invalid reference format");
        let (rest, digest) = full.split_once('@').map_or((full.as_str(), ""), |(rest, digest)| (rest, digest));
        if full.contains('@') && !matches(r"^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$", digest) {
            return Err(invalid());
        }
        if let Some(("sha256", digits)) = digest.split_once(':')
            && digits.len() != 64
        {
            return Err(bad("invalid checksum digest length"));
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (rest, ""),
        };
        if name.len() < rest.len() && !matches(r"^\w[\w.-]{0,127}$", tag) {
            return Err(invalid());
        }
        let (registry, path) = name.split_once('/').unwrap_or(("", name));
        let component = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
        if !matches(&format!("^{component}(?:/{component})*$"), path) {
            let lower = matches(&format!("^{component}(?:/{component})*$"), &path.to_ascii_lowercase());
            return Err(if lower { bad("invalid reference format: repository name must be lowercase") } else { invalid() });
        }
        let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
        if !matches(&format!(r"^(?:{label}(?:\.{label})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?$"), registry) {
            return Err(invalid());
        }
        if name.len() > LONGEST {
            return Err(bad("repository name must not be more than 255 characters"));
        }
        let tag = if tag.is_empty() && digest.is_empty() { "latest" } else { tag };
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        Ok(Self {
            registry: registry.to_owned(),
            path: path.to_owned(),
            name: name.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// `registry/path:tag`, whether there is a digest or not.
    pub fn with_tag(&self) -> String {
        format!("{}/{}:{}", self.registry, self.path, self.tag)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, path, tag, digest, .. } = self;
        if digest.is_empty() { write!(f, "{registry}/{path}:{tag}") } else { write!(f, "{registry}/{path}@{digest}") }
    }
}

fn with_registry(image: &str) -> String {
    let has_one =
        image.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first);
    if has_one { image.to_owned() } else { format!("{DEFAULT_REGISTRY}/{image}") }
}

fn matches(pattern: &str, text: &str) -> bool {
    Regexp::unanchored(pattern).is_ok_and(|regexp| regexp.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, full) in [
            ("nginx", "docker.io/nginx:latest".to_owned()),
            ("nginx:1.2", "docker.io/nginx:1.2".to_owned()),
            ("team/app:v1", "docker.io/team/app:v1".to_owned()),
            ("ghcr.io/team/app", "ghcr.io/team/app:latest".to_owned()),
            ("localhost/app", "localhost/app:latest".to_owned()),
            ("localhost:5000/app:v1", "localhost:5000/app:v1".to_owned()),
            (&format!("nginx@{digest}"), format!("docker.io/nginx@{digest}")),
            (&format!("nginx:1@{digest}"), format!("docker.io/nginx@{digest}")),
        ] {
            assert_eq!(Image::parse(image).map(|image| image.to_string()), Ok(full), "{image}");
        }
        for image in ["", "Nginx", "a//b", "nginx:", "nginx@sha256:aa", "a b", "nginx:-x"] {
            assert!(Image::parse(image).is_err(), "{image}");
        }
    }
}
