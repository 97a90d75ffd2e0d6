use super::write::append;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{self, Read},
};

/// Far more than an index of a thousand names.
const LARGEST_INDEX: u64 = 16 << 20;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub images: Vec<Named>,
    index: Value,
}

/// One name in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `docker.io/library/busybox:1.37`, or `docker.io/library/busybox@sha256:…`.
    pub name: String,
    /// `sha256:…` of its manifest.
    pub digest: String,
}

impl Named {
    /// Without the tag or the digest.
    pub fn repository(&self) -> &str {
        let name = self.name.split('@').next().unwrap_or_default();
        if name.len() < self.name.len() { name } else { name.rsplit_once(':').map_or(name, |(repository, _)| repository) }
    }

    pub fn has_tag(&self) -> bool {
        !self.name.contains('@')
    }
}

/// Reads the beginning of an archive: the index, which [`super::write`] puts first.
pub fn contents(archive: impl Read) -> io::Result<Contents> {
    let mut archive = tar::Archive::new(archive);
    let first = archive.entries()?.next().ok_or_else(|| invalid("it is empty"))??;
    if first.path()?.as_os_str() != "index.json" || first.size() > LARGEST_INDEX {
        return Err(invalid("it does not begin with an index of images; `cordon images build` makes one"));
    }
    let index: Value = serde_json::from_reader(first).map_err(io::Error::from)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named =
        |manifest: &Value| Named { name: text(&manifest["annotations"]["io.containerd.image.name"]), digest: text(&manifest["digest"]) };
    let images = index["manifests"].as_array().into_iter().flatten().map(named).filter(|image| !image.name.is_empty()).collect();
    Ok(Contents { images, index })
}

/// The archive with only those of its images that are wanted, for `ctr images import`: no blob that none of them needs.
pub fn select(archive: &[u8], wanted: impl Fn(&Named) -> bool) -> io::Result<Vec<u8>> {
    let Contents { images, mut index } = contents(archive)?;
    let names: BTreeSet<String> = images.into_iter().filter(wanted).map(|image| image.name).collect();
    if let Some(manifests) = index["manifests"].as_array_mut() {
        manifests.retain(|manifest| manifest["annotations"]["io.containerd.image.name"].as_str().is_some_and(|name| names.contains(name)));
    }
    let mut needed = BTreeSet::new();
    let manifests: BTreeSet<String> = digests(&index["manifests"]).collect();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if manifests.contains(&path) {
            let mut manifest = String::new();
            entry.read_to_string(&mut manifest)?;
            let manifest: Value = serde_json::from_str(&manifest).map_err(io::Error::from)?;
            needed.extend(digests(&manifest["layers"]));
            needed.extend(digests(&Value::Array(vec![manifest["config"].clone()])));
            needed.insert(path);
        }
    }
    let mut out = tar::Builder::new(Vec::new());
    append(&mut out, "index.json", index.to_string().as_bytes())?;
    append(&mut out, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if needed.contains(&path) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            append(&mut out, &path, &bytes)?;
        }
    }
    out.into_inner()
}

/// Paths of the blobs of these descriptors.
fn digests(descriptors: &Value) -> impl Iterator<Item = String> {
    let descriptors = descriptors.as_array().into_iter().flatten();
    descriptors.filter_map(|descriptor| Some(descriptor["digest"].as_str()?.replace("sha256:", "blobs/sha256/")))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
