//! The node image: found or pulled, and remembered by its digest when it is first used.

use crate::kind::{
    docker::{DockerError, Engine},
    names,
    settings::{Edge, KindSettings},
    stage::StageError,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The image that nodes are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub reference: String,
    /// `sha256:…` of its configuration.
    pub id: String,
}

impl Image {
    /// For the nodes' containers.
    pub fn label(&self) -> Option<(String, String)> {
        Some((names::IMAGE_ID.to_owned(), self.id.clone()))
    }
}

/// What is kept of an image: `images.json` in the engine's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub id: String,
    /// As registries name it, `kindest/node@sha256:…`; none where it was built here.
    pub digests: Vec<String>,
    pub first_used: String,
}

/// The image, pulled where it is missing and may be.
pub async fn ensure(engine: &Engine, settings: &KindSettings, edge: &Edge) -> Result<Image, StageError> {
    let reference = &settings.image;
    let mut found = engine.image(reference).await?;
    if found.is_none() && settings.pull {
        engine.pull(reference).await?;
        found = engine.image(reference).await?;
    }
    let found = found.ok_or_else(|| {
        DockerError::known(
            format!("there is no image {reference} in this Docker"),
            format!("fetch it (docker pull {reference}), or name one that is here in kind.image"),
        )
    })?;
    let id = found.id.unwrap_or_default();
    let record = Record { id: id.clone(), digests: found.repo_digests.unwrap_or_default(), first_used: (edge.now)().to_string() };
    let folder = settings.data.clone();
    let name = reference.clone();
    // A folder that cannot be written stops no cluster; it is said.
    match tokio::task::spawn_blocking(move || remember(&folder, &name, record)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the digest of {reference} cannot be recorded: {error}"),
        Err(error) => tracing::warn!("the digest of {reference} cannot be recorded: {error}"),
    }
    Ok(Image { reference: reference.clone(), id })
}

/// Writes down what is new. A tag that has come to mean another image is said, and written down anew.
fn remember(folder: &std::path::Path, reference: &str, record: Record) -> std::io::Result<()> {
    let path = folder.join("images.json");
    let mut known: BTreeMap<String, Record> =
        std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    match known.get(reference) {
        Some(before) if before.id == record.id => return Ok(()),
        Some(before) => {
            tracing::warn!("{reference} is another image now: {}, and was {} since {}", record.id, before.id, before.first_used);
        }
        None => {}
    }
    known.insert(reference.to_owned(), record);
    std::fs::create_dir_all(folder)?;
    let temporary = folder.join("images.json.new");
    std::fs::write(&temporary, serde_json::to_vec_pretty(&known)?)?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_recorded_once_and_a_changed_one_anew() {
        let folder = tempfile::tempdir().unwrap();
        let record = |id: &str, at: &str| Record { id: id.to_owned(), digests: vec![], first_used: at.to_owned() };
        let read =
            || -> BTreeMap<String, Record> { serde_json::from_slice(&std::fs::read(folder.path().join("images.json")).unwrap()).unwrap() };
        for (id, at, expected) in [("sha256:a", "1", "1"), ("sha256:a", "2", "1"), ("sha256:b", "3", "3")] {
            remember(folder.path(), "node:v1", record(id, at)).unwrap();
            assert_eq!(read()["node:v1"], record(id, expected));
        }
        remember(folder.path(), "node:v2", record("sha256:c", "4")).unwrap();
        assert_eq!(read().len(), 2);
    }
}
