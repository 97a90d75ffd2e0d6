//! The Docker of this machine, where there is one, and a node image in it: what `scripts/docker` finds.

use crate::root;
use provision::kind::{DEFAULT_IMAGE, KindSettings, examine, preflight};
use std::{fs, path::Path, process::Command};

/// What real clusters are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    /// As `DOCKER_HOST` says it.
    pub address: String,
    pub image: String,
}

impl Docker {
    /// `Err` says what is missing.
    pub fn find() -> Result<Self, String> {
        let output = Command::new(root().join("scripts/docker")).output().map_err(|error| format!("scripts/docker: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |name: &str| said.lines().find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='));
        let address = value("DOCKER_HOST").ok_or("scripts/docker says no address")?.to_owned();
        let image = value("CORDON_NODE_IMAGE").unwrap_or(DEFAULT_IMAGE).to_owned();
        let found = Self { address, image };
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let verdicts = runtime.block_on(examine(&found.settings(), jiff::Timestamp::UNIX_EPOCH)).map_err(|error| error.to_string())?;
        preflight::fatal(&verdicts).map_or(Ok(found), Err)
    }

    /// Nothing is pulled.
    pub fn settings(&self) -> KindSettings {
        KindSettings { docker: self.address.clone(), image: self.image.clone(), pull: false, ..KindSettings::default() }
    }

    /// Writes a configuration that says the same.
    pub fn configure(&self, file: &Path) {
        let text = format!("[kind]\ndocker = {:?}\nimage = {:?}\npull = false\n", self.address, self.image);
        fs::write(file, text).expect("a configuration can be written");
    }
}
