//! What this machine can do: a jail is started for real and judged by what it prints.

use crate::{JailReport, Jails, LimitReport, report};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Programs that the page and `doctor` name.
const PROGRAMS: [&str; 7] = ["bash", "kubectl", "nano", "vim", "jq", "less", "bash-completion"];

impl Jails {
    /// Starts the very jail that learners get, with a trial program, and judges by what it prints.
    pub(crate) fn probe(&self, bubblewrap: &Result<String, String>) -> JailReport {
        let problem = bubblewrap.as_ref().map_or_else(|problem| Some(problem.clone()), |_| self.trial().err());
        let available = problem.is_none();
        let problem = problem.unwrap_or_default();
        let number = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let in_container = Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists();
        let apparmor = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
        let hint = if available {
            String::new()
        } else {
            report::hint(&problem, apparmor, number("/proc/sys/user/max_user_namespaces"), in_container)
        };
        JailReport {
            available,
            problem,
            hint,
            bubblewrap: bubblewrap.clone().unwrap_or_default(),
            own_uid: self.root_user,
            limits: self.limit_reports(),
            programs: self.programs(),
        }
    }

    fn trial(&self) -> Result<(), String> {
        // Made anew, so that it is what a new learner's will be.
        self.remove("trial").map_err(|error| error.to_string())?;
        let workspace = self.workspace("trial").map_err(|error| error.to_string())?;
        let socket = self.config.root.join("trial/gateway.sock");
        fs::write(&socket, b"").map_err(|error| error.to_string())?;
        let argv = ["/bin/sh", "-c", "echo cordon-jail-works $(id -u)"].map(str::to_owned).to_vec();
        let text = serde_json::to_string(&self.plan(&workspace, argv)).map_err(|error| error.to_string())?;
        let output = Command::new(&self.config.tool)
            .args(["jail-launch", &text])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start {}: {error}", self.config.tool.display()))?;
        if String::from_utf8_lossy(&output.stdout).trim() == "cordon-jail-works 1000" {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.lines().next().unwrap_or("the trial jail said nothing").to_owned())
    }

    fn limit_reports(&self) -> Vec<LimitReport> {
        let limits = &self.config.limits;
        let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
        let line = |name: &str, holds: bool, how: String| LimitReport { name: name.to_owned(), holds, how };
        let own = if self.root_user {
            "each learner has a uid of their own"
        } else {
            "counted inside the learner's user namespace (kernel 5.14 or newer)"
        };
        let group = "needs a cgroup that this server may write";
        let size = format!("{}, {} files", mebibytes(limits.workspace_bytes), limits.workspace_files);
        let workspace = match &self.images {
            Ok(_) => format!("{size} by a file system of its own: what is too much fails when it is written"),
            Err(why) => format!("{size}, only counted: beyond, the shell stops, and no file is lost. {why}"),
        };
        vec![
            line("processes", true, format!("{} at once; {own}", limits.processes)),
            line("memory of one process", true, mebibytes(limits.process_memory_bytes)),
            line(
                "memory of the whole shell",
                self.cgroups.holds("memory"),
                if self.cgroups.holds("memory") { format!("{} by cgroup", mebibytes(limits.memory_bytes)) } else { group.to_owned() },
            ),
            line(
                "share of the CPU",
                self.cgroups.holds("cpu"),
                if self.cgroups.holds("cpu") { "half a normal share by cgroup".to_owned() } else { group.to_owned() },
            ),
            line("CPU of one process", true, format!("{} seconds", limits.cpu_seconds)),
            line("size of one file", true, mebibytes(limits.file_bytes)),
            line("workspace", self.images.is_ok(), workspace),
            line("size of /tmp", true, mebibytes(limits.tmp_bytes)),
            line(
                "files in /tmp",
                self.root_user,
                if self.root_user { format!("{} by a file system of its own", limits.tmp_files) } else { "needs root".to_owned() },
            ),
            line("terminal output", true, format!("{} KiB/s", limits.output_bytes_per_second >> 10)),
            line(
                "other learners' files",
                true,
                if self.root_user { "own uid and own mount namespace" } else { "own mount namespace" }.to_owned(),
            ),
        ]
    }

    fn programs(&self) -> Vec<(String, bool)> {
        let have = |name: &str| match name {
            "kubectl" => self.config.kubectl.is_some(),
            "bash-completion" => Path::new("/usr/share/bash-completion/bash_completion").exists(),
            name => ["/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(name).exists()),
        };
        PROGRAMS.iter().map(|name| ((*name).to_owned(), have(name))).collect()
    }
}

/// Bubblewrap's version line, or why it is of no use.
pub(crate) fn bubblewrap(program: &Path) -> Result<String, String> {
    let output = Command::new(program).arg("--version").output().map_err(|_| format!("{} not found", program.display()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if too_old(&version) { Err(format!("{version} is too old, 0.7 or newer is needed")) } else { Ok(version) }
}

/// `bubblewrap 0.8.0`: before 0.7 it could not bound the size of a tmpfs.
fn too_old(version: &str) -> bool {
    let mut parts =
        version.trim_start_matches(|letter: char| !letter.is_ascii_digit()).split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (0, 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_old_versions() {
        for (version, old) in
            [("bubblewrap 0.6.1", true), ("bubblewrap 0.7.0", false), ("bubblewrap 0.11.0", false), ("bubblewrap 1.0", false), ("", true)]
        {
            assert_eq!(too_old(version), old, "{version}");
        }
    }
}
