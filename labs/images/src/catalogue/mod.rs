//! The image catalogue: what this cluster knows about container images.
//!
//! ```text
//! images/*.yaml ──parse──► ImageCatalogue ──lookup("nginx:1.27")──► Resolved { image, digest }
//!                                  │
//!                                  └── kubelet (runs it), scan (its packages), tests
//! ```
//!
//! Nothing is pulled from anywhere: an image is what its file says, and its digest is computed from that file. Such digests are
//! marked as simulated wherever they are reported.

mod image;
mod reference;
mod tools;

pub use image::{File, HttpAnswer, Image, Needs, Package, Port, RunAs, Severity, Tag, User, Vulnerability, is_own_program};
pub use reference::{Reference, ReferenceError};
pub use tools::{ToolSet, Tools};

use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// A file of the catalogue that cannot be used: which file, which field, why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{message}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct CatalogueError {
    pub file: String,
    /// Path as `spec.tags[0].name`; empty where the whole file is meant.
    pub field: String,
    pub message: String,
}

/// Why a reference leads to no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No reference at all, in the runtime's words.
    #[error(transparent)]
    Invalid(#[from] ReferenceError),
    /// The registry's name does not resolve (top-level domain `.invalid`, RFC 2606).
    #[error("failed to do request: Head \"https://{registry}/v2/{path}/manifests/{tag}\": dial tcp: lookup {registry}: no such host")]
    NoSuchRegistry { registry: String, path: String, tag: String },
    #[error("this simulated cluster knows no image {repository:?}{}", if similar.is_empty() { String::new() } else { format!("; it knows {}", similar.join(", ")) })]
    UnknownRepository { repository: String, similar: Vec<String> },
    #[error("this simulated cluster knows {repository:?}, but not {wanted:?}; it knows {}", known.join(", "))]
    UnknownTag { repository: String, wanted: String, known: Vec<String> },
}

/// An image that a reference leads to.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub image: Arc<Image>,
    /// Tag under which the catalogue knows it; the reference's own for an unknown image that runs anyhow.
    pub tag: String,
    /// `sha256:…`, simulated.
    pub digest: String,
    pub reference: Reference,
    /// False for an unknown image that runs because the catalogue was told so.
    pub known: bool,
    /// The tag's packages, which replace the image's where the tag has its own.
    pub packages: Arc<[Package]>,
}

impl Resolved {
    /// `docker.io/library/nginx@sha256:…`, as `status.containerStatuses[].imageID` has it.
    pub fn image_id(&self) -> String {
        format!("{}@{}", self.reference.repository(), self.digest)
    }
}

/// All known images.
#[derive(Debug, Default)]
pub struct ImageCatalogue {
    images: BTreeMap<String, Arc<Image>>,
    run_unknown: bool,
}

impl ImageCatalogue {
    /// Reads the files of the catalogue: pairs of name (for errors) and text.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (N, T)>) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        for (name, text) in files {
            let image = image::parse(name.as_ref(), text.as_ref())?;
            for repository in image.repositories() {
                let at = CatalogueError { file: name.as_ref().to_owned(), field: "spec.repository".to_owned(), message: String::new() };
                let key = Reference::parse(repository).map_err(|e| CatalogueError { message: e.to_string(), ..at.clone() })?.repository();
                if catalogue.images.insert(key.clone(), Arc::clone(&image)).is_some() {
                    return Err(CatalogueError { message: format!("another file has {key} already"), ..at });
                }
            }
        }
        Ok(catalogue)
    }

    /// Whether an image that no file describes simply runs (as a process that sleeps, with busybox's tools).
    #[must_use]
    pub fn run_unknown(mut self, run: bool) -> Self {
        self.run_unknown = run;
        self
    }

    /// Each image once, by name of its first repository.
    pub fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        self.images.iter().filter(|(key, image)| Reference::parse(&image.repository).is_ok_and(|r| r.repository() == **key)).map(|(_, i)| i)
    }

    /// The image behind a reference as a pod spells it.
    pub fn lookup(&self, reference: &str) -> Result<Resolved, LookupError> {
        self.find(reference, self.run_unknown)
    }

    /// The same, told whether an unknown image simply runs: clusters that share a catalogue may differ in it.
    pub fn find(&self, reference: &str, run_unknown: bool) -> Result<Resolved, LookupError> {
        let reference = Reference::parse(reference)?;
        let repository = reference.repository();
        let wanted = reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let nowhere = !reference.registry.contains(['.', ':']) && reference.registry != "localhost";
        if reference.registry.ends_with(".invalid") || nowhere {
            return Err(LookupError::NoSuchRegistry { registry: reference.registry, path: reference.path, tag: wanted });
        }
        let Some(image) = self.images.get(&repository) else {
            if run_unknown {
                return Ok(unknown(reference, &wanted));
            }
            return Err(LookupError::UnknownRepository { similar: self.similar(&reference), repository });
        };
        let found = match &reference.digest {
            Some(digest) => image.tags.iter().find(|tag| digest_of(image, tag) == *digest),
            None => image.tags.iter().find(|tag| tag.is_called(&wanted)),
        };
        match found {
            Some(tag) => Ok(Resolved {
                digest: digest_of(image, tag),
                tag: tag.name.clone(),
                packages: tag.packages.clone().unwrap_or_else(|| image.packages.clone()),
                image: Arc::clone(image),
                reference,
                known: true,
            }),
            None if run_unknown => Ok(Resolved { image: Arc::clone(image), ..unknown(reference, &wanted) }),
            None => Err(LookupError::UnknownTag {
                repository,
                wanted: reference.digest.clone().unwrap_or(wanted),
                known: image.tags.iter().map(|tag| tag.name.clone()).collect(),
            }),
        }
    }

    /// Known repositories whose last part resembles the wanted one's.
    fn similar(&self, wanted: &Reference) -> Vec<String> {
        let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let name = last(&wanted.path);
        self.images
            .keys()
            .filter(|key| {
                last(key) == name || (name.len() > 2 && last(key).contains(&name)) || (last(key).len() > 2 && name.contains(&last(key)))
            })
            .take(3)
            .cloned()
            .collect()
    }
}

/// An image that nobody described: it sleeps.
fn unknown(reference: Reference, tag: &str) -> Resolved {
    let image = Arc::new(Image::undescribed(&reference.repository()));
    let digest = reference.digest.clone().unwrap_or_else(|| simulated_digest(&[&reference.repository(), tag]));
    Resolved { image, tag: tag.to_owned(), digest, reference, known: false, packages: Arc::from([]) }
}

fn digest_of(image: &Image, tag: &Tag) -> String {
    tag.digest.clone().unwrap_or_else(|| simulated_digest(&[&image.repository, &tag.name, &image.content_hash]))
}

/// A digest that says the same as long as the catalogue says the same.
fn simulated_digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"cordon.dev/simulated");
    for part in parts {
        hash.update([0]);
        hash.update(part.as_bytes());
    }
    format!("sha256:{}", hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests;
