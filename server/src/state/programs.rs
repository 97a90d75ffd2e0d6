//! Programs of this machine that Cordon uses where they are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first program of that name on PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| is_program(candidate))
}

/// kubectl 1.31 or newer: CORDON_KUBECTL, the one on PATH, or the one that `make run` put into the cache folder.
pub fn kubectl() -> Option<PathBuf> {
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cache")));
    let candidates = [variable("CORDON_KUBECTL").map(PathBuf::from), find("kubectl"), cache.map(|cache| cache.join("cordon/bin/kubectl"))];
    candidates.into_iter().flatten().find(|candidate| is_program(candidate) && kubectl_minor(candidate).is_some_and(|minor| minor >= 31))
}

/// The minor version of a kubectl 1.x.
pub fn kubectl_minor(program: &Path) -> Option<u32> {
    let output = output(program, &["version", "--client", "-o", "json"])?;
    let version: serde_json::Value = serde_json::from_str(&output).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}

/// What a program prints; `None` where it cannot be run or fails.
pub fn output(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

pub fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

fn variable(name: impl AsRef<OsStr>) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
