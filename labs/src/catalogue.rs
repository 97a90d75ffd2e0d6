//! All labs that a server offers: the embedded ones, and those of folders that it was given.

use crate::{model::Lab, parse::parse, problem::Problem};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Path below the lab's folder (with `/`) to content.
pub type LabFiles = BTreeMap<String, Vec<u8>>;

static CONTENT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/content");

/// Every embedded file, by its path below `content`.
fn content() -> LabFiles {
    fn visit(dir: &Dir<'_>, files: &mut LabFiles) {
        for file in dir.files() {
            files.insert(file.path().to_string_lossy().replace('\\', "/"), file.contents().to_vec());
        }
        dir.dirs().for_each(|dir| visit(dir, files));
    }
    let mut files = LabFiles::new();
    visit(&CONTENT, &mut files);
    files
}

/// The embedded labs' files, one map per lab, by the lab's path below `content`.
pub fn embedded() -> BTreeMap<String, LabFiles> {
    folders(&content())
}

/// Splits the files of a folder of labs: whatever lies in a folder with a `lab.yaml` belongs to that lab.
pub fn folders(files: &LabFiles) -> BTreeMap<String, LabFiles> {
    let labs = files.keys().filter_map(|path| match path.strip_suffix("lab.yaml") {
        Some("") => Some(String::new()),
        Some(folder) => folder.strip_suffix('/').map(str::to_owned),
        None => None,
    });
    labs.map(|folder| {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside = files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?.to_owned(), bytes.clone())));
        (folder.clone(), inside.collect())
    })
    .collect()
}

pub(crate) fn digest(files: &LabFiles) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes.as_slice()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    format!("sha256:{}", hex::encode(hash.finalize()))
}

/// Labs by name; a later one of the same name replaces an earlier one.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    labs: BTreeMap<String, Arc<Lab>>,
}

impl Catalogue {
    /// The embedded labs. `Err` would be a fault of the build, which a test of this crate excludes.
    pub fn embedded() -> Result<Self, Vec<Problem>> {
        let mut catalogue = Self::default();
        catalogue.add(embedded())?;
        Ok(catalogue)
    }

    /// Adds labs by their folders. All problems of all labs come back at once; the good ones are added even so.
    pub fn add(&mut self, folders: BTreeMap<String, LabFiles>) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        for (folder, files) in folders {
            match parse(files) {
                Ok(lab) => {
                    self.labs.insert(lab.name.clone(), Arc::new(lab));
                }
                Err(found) => problems.extend(found.into_iter().map(|problem| {
                    let file = if folder.is_empty() { problem.file } else { format!("{folder}/{}", problem.file) };
                    Problem { file, ..problem }
                })),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// By track (beginner first), then title.
    pub fn labs(&self) -> Vec<&Arc<Lab>> {
        let rank = |track: &str| ["beginner", "intermediate", "advanced"].iter().position(|t| *t == track).unwrap_or(9);
        let mut labs: Vec<_> = self.labs.values().collect();
        labs.sort_by_key(|lab| (rank(&lab.spec.track), lab.spec.title.clone()));
        labs
    }

    pub fn lab(&self, name: &str) -> Option<&Arc<Lab>> {
        self.labs.get(name)
    }
}

/// The image catalogue's files that are embedded beside the labs: name and text.
pub fn images() -> Vec<(String, String)> {
    let Some(folder) = CONTENT.get_dir("images") else { return Vec::new() };
    let texts = folder.files().filter_map(|file| Some((file.path().to_string_lossy().into_owned(), file.contents_utf8()?.to_owned())));
    texts.filter(|(name, _)| name.ends_with(".yaml")).collect()
}
