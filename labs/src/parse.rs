//! Files to lab.

use crate::{
    action::{Mistake, Solution},
    catalogue::{LabFiles, digest},
    lint::lint,
    model::{Lab, LabFile},
    problem::Problem,
};
use checkers::yaml::{Document, documents_from_bytes};
use serde::de::DeserializeOwned;

/// Largest lab, all files together.
const MAX_BYTES: usize = 16 << 20;

/// Reads a lab and lints it. All problems come back at once, each with file, line and field.
pub fn parse(files: LabFiles) -> Result<Lab, Vec<Problem>> {
    if files.values().map(Vec::len).sum::<usize>() > MAX_BYTES {
        return Err(vec![Problem::new("lab.yaml", 0, "", format!("the lab is larger than {} MiB", MAX_BYTES >> 20))]);
    }
    let (document, file) = read::<LabFile>(&files, "lab.yaml").map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    for (field, found, wanted) in [("apiVersion", &file.api_version, "cordon.dev/v1alpha1"), ("kind", &file.kind, "Lab")] {
        if found != wanted {
            problems.push(Problem::new("lab.yaml", document.line(field), field, format!("must be {wanted}")));
        }
    }
    let mut solutions = Vec::new();
    let mut mistakes = Vec::new();
    for path in files.keys() {
        if let Some(name) =
            path.strip_prefix("solutions/").and_then(|rest| rest.strip_suffix("/solution.yaml")).filter(|n| !n.contains('/'))
        {
            match read::<Solution>(&files, path) {
                Ok((_, solution)) => solutions.push(Solution { name: name.to_owned(), ..solution }),
                Err(problem) => problems.push(problem),
            }
        }
        if let Some(name) = path.strip_prefix("mistakes/").and_then(|rest| rest.strip_suffix(".yaml")).filter(|name| !name.contains('/')) {
            match read::<Mistake>(&files, path) {
                Ok((_, mistake)) => mistakes.push(Mistake { name: name.to_owned(), ..mistake }),
                Err(problem) => problems.push(problem),
            }
        }
    }
    let lab = Lab { name: file.metadata.name, spec: file.spec, solutions, mistakes, digest: digest(&files), files };
    problems.extend(lint(&lab, &document));
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(lab) } else { Err(problems) }
}

/// One YAML document of a file, typed.
pub(crate) fn read<T: DeserializeOwned>(files: &LabFiles, path: &str) -> Result<(Document, T), Problem> {
    let Some(bytes) = files.get(path) else { return Err(Problem::new(path, 0, "", "there is no such file")) };
    let mut documents = documents_from_bytes(bytes).map_err(|error| Problem::new(path, error.line.unwrap_or(0), "", error.message))?;
    if documents.len() != 1 {
        return Err(Problem::new(path, 0, "", "must hold one YAML document"));
    }
    let document = documents.remove(0);
    match serde_path_to_error::deserialize::<_, T>(&document.value) {
        Ok(value) => Ok((document, value)),
        Err(error) => {
            let field = error.path().to_string();
            let field = if field == "." { String::new() } else { field };
            Err(Problem::new(path, document.line(&field), field, error.into_inner().to_string()))
        }
    }
}
