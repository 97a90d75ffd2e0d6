//! What the suites share. One binary per suite lies in `tests/tests/`; each says at which tier it works.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every file of the repository that git tracks or would track, as paths relative to the root.
pub fn tracked_files() -> Vec<PathBuf> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let listed = String::from_utf8(output.stdout).expect("file names are UTF-8");
    listed.lines().map(PathBuf::from).filter(|p| root().join(p).is_file()).collect()
}

/// Prints that something did not run, and why. The only way in which a test of this project may not run.
pub fn not_run(what: &str, why: &str) {
    use std::io::Write as _;
    // Not by a macro: the test runner keeps what those print to itself where a test passes.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {what}: {why}");
}

pub mod browser;
pub mod compare;
pub mod docker;
pub mod kubelet;
pub mod measure;
pub mod sandbox;
pub mod transcript;
