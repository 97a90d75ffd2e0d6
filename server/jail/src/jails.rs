//! All jails of one server: workspaces by name, the shells that run, what this machine can do.

use crate::{
    JailError, JailReport, LimitReport, Limits, Shell, Workspace,
    cgroup::Cgroups,
    command::LaunchPlan,
    door, etc,
    report::{self},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

/// How jails are made here.
#[derive(Debug, Clone)]
pub struct JailConfig {
    /// A folder of the jails' own below the data folder; made where it is missing.
    pub root: PathBuf,
    /// The program that offers `jail-launch`, `jail-init`, `jail-shell`: the `cordon` binary itself. Also `cordon` inside the jail.
    pub tool: PathBuf,
    /// `bwrap`, or its full path.
    pub bwrap: PathBuf,
    pub kubectl: Option<PathBuf>,
    pub limits: Limits,
    /// As root, learners get uids from here on, one each.
    pub first_uid: u32,
}

impl JailConfig {
    pub fn new(root: impl Into<PathBuf>, tool: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            tool: tool.into(),
            bwrap: "bwrap".into(),
            kubectl: None,
            limits: Limits::default(),
            first_uid: 1_610_000_000,
        }
    }
}

/// What one shell is for.
#[derive(Debug, Clone)]
pub struct ShellSpec {
    /// The one address that the relay leads to.
    pub gateway: SocketAddr,
    /// The port on the jail's own loopback that leads there; the kubeconfig names it.
    pub relay_port: u16,
    /// Put at `~/.kube/config` where it differs from what was put there last.
    pub kubeconfig: String,
    /// Added to the shell's environment (`CORDON_…`).
    pub env: BTreeMap<String, String>,
    /// Printed once at the start.
    pub greeting: String,
    pub columns: u16,
    pub rows: u16,
}

/// Programs that the page and `doctor` name.
const PROGRAMS: [&str; 7] = ["bash", "kubectl", "nano", "vim", "jq", "less", "bash-completion"];

#[derive(Debug)]
pub struct Jails {
    config: JailConfig,
    cgroups: Cgroups,
    root_user: bool,
    report: JailReport,
    shells: Mutex<HashMap<String, Arc<Shell>>>,
    /// Serialises the making of workspaces, so that no uid is given twice.
    making: Mutex<()>,
}

impl Jails {
    /// Prepares the folders and tries a jail for real. Never fails for want of a jail: [`Jails::report`] then says why.
    pub fn open(config: JailConfig) -> Result<Self, JailError> {
        for folder in ["workspaces", "run", "etc", "trial"] {
            fs::create_dir_all(config.root.join(folder)).map_err(JailError::io("make the jails' folders"))?;
        }
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&config.root, closed).map_err(JailError::io("protect the jails' folder"))?;
        let root_user = rustix::process::geteuid().is_root();
        etc::write(&config.root.join("etc"), config.kubectl.as_deref()).map_err(JailError::io("write the jail's /etc"))?;
        open_to_read(&config.root.join("etc")).map_err(JailError::io("open the jail's /etc"))?;
        let cgroups = Cgroups::detect();
        let mut jails = Self {
            report: JailReport {
                available: false,
                problem: String::new(),
                hint: String::new(),
                bubblewrap: String::new(),
                own_uid: root_user,
                limits: Vec::new(),
                programs: Vec::new(),
            },
            config,
            cgroups,
            root_user,
            shells: Mutex::default(),
            making: Mutex::default(),
        };
        jails.report = jails.probe();
        Ok(jails)
    }

    /// What was found when the server started.
    pub fn report(&self) -> &JailReport {
        &self.report
    }

    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// The workspace of that name (an attempt's id), made where it is missing.
    pub fn workspace(&self, id: &str) -> Result<Workspace, JailError> {
        let path = self.folder("workspaces", id)?;
        let _making = self.making.lock();
        if !path.is_dir() {
            let uid = self.next_uid()?;
            fs::create_dir(&path).map_err(JailError::io("make a workspace"))?;
            if self.root_user {
                chown(&path, Some(uid), Some(uid)).map_err(JailError::io("hand over a workspace"))?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(JailError::io("protect a workspace"))?;
        }
        let workspace = Workspace::open(&path, self.config.limits.clone())?;
        Ok(workspace)
    }

    /// The running shell of that name, or a new one.
    pub async fn shell(&self, id: &str, spec: &ShellSpec) -> Result<Arc<Shell>, JailError> {
        if !self.report.available {
            return Err(JailError::Unavailable(self.report.problem.clone()));
        }
        if let Some(shell) = self.running(id) {
            return Ok(shell);
        }
        let workspace = self.workspace(id)?;
        // Whatever filled it last time must not keep the learner out.
        let removed = workspace.trim()?;
        if !removed.is_empty() {
            tracing::info!(workspace = id, count = removed.len(), "removed what broke the workspace's limits");
        }
        let run = self.folder("run", id)?;
        fs::create_dir_all(&run).map_err(JailError::io("make the jail's folder"))?;
        self.put_kubeconfig(&workspace, &run, &spec.kubeconfig)?;
        // Two tabs may ask at once: the second takes what the first has made. Nothing below waits.
        let mut shells = self.shells.lock();
        if let Some(shell) = shells.get(id).filter(|shell| shell.is_running()) {
            return Ok(Arc::clone(shell));
        }
        let uid = self.root_user.then(|| workspace.owner_uid());
        let door = door::open(&run, spec.gateway, uid, self.config.limits.connections)?;
        let group = self.cgroups.make(id, &self.config.limits);
        let env = environment(spec);
        let argv = ["/bin/bash", "--rcfile", "/etc/bash.bashrc", "-i"].map(str::to_owned).to_vec();
        let plan = self.plan(&workspace, run.join("gateway.sock"), spec.relay_port, uid, group.procs(), argv, env);
        let shell = Arc::new(Shell::start(&plan, workspace, door, group, (spec.columns, spec.rows))?);
        shells.insert(id.to_owned(), Arc::clone(&shell));
        Ok(shell)
    }

    pub fn running(&self, id: &str) -> Option<Arc<Shell>> {
        self.shells.lock().get(id).filter(|shell| shell.is_running()).cloned()
    }

    /// Stops the shell of that name, if one runs; its files stay.
    pub async fn stop(&self, id: &str, reason: &str) {
        let shell = self.shells.lock().remove(id);
        if let Some(shell) = shell {
            shell.stop(reason).await;
        }
    }

    pub async fn stop_all(&self, reason: &str) {
        let all: Vec<_> = self.shells.lock().drain().collect();
        for (_, shell) in all {
            shell.stop(reason).await;
        }
    }

    /// Stops the shell and removes the learner's files. What is gone already is no error.
    pub async fn delete(&self, id: &str) -> Result<(), JailError> {
        self.stop(id, "This attempt is over.").await;
        for kind in ["run", "workspaces"] {
            match fs::remove_dir_all(self.folder(kind, id)?) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(JailError::io("remove a workspace")(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn folder(&self, kind: &str, id: &str) -> Result<PathBuf, JailError> {
        let plain =
            !id.is_empty() && id.len() <= 100 && id.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
        if plain { Ok(self.config.root.join(kind).join(id)) } else { Err(JailError::BadName(id.to_owned())) }
    }

    /// The lowest uid that no workspace has. The folders' own owners are the record, so it survives whatever happens to the server.
    fn next_uid(&self) -> Result<u32, JailError> {
        let mut used = BTreeSet::new();
        for entry in fs::read_dir(self.config.root.join("workspaces")).map_err(JailError::io("read the workspaces"))? {
            let entry = entry.map_err(JailError::io("read the workspaces"))?;
            used.insert(entry.metadata().map_err(JailError::io("look at a workspace"))?.uid());
        }
        (self.config.first_uid..self.config.first_uid.saturating_add(1_000_000))
            .find(|uid| !used.contains(uid))
            .ok_or_else(|| JailError::Unavailable("a million workspaces are in use".to_owned()))
    }

    fn put_kubeconfig(&self, workspace: &Workspace, run: &Path, text: &str) -> Result<(), JailError> {
        // Learners change theirs (`kubectl config set-context --current …`); that stays until the server has another one to give.
        let stamp = run.join("kubeconfig");
        let same = fs::read_to_string(&stamp).is_ok_and(|last| last == text);
        if same && workspace.read(".kube/config", 1 << 20).is_ok() {
            return Ok(());
        }
        // A learner may have put a link or a folder in the way.
        match workspace.write(".kube/config", text.as_bytes()) {
            Ok(()) => {}
            Err(crate::WorkspaceError::NotRegular(_)) => {
                workspace.remove(".kube")?;
                workspace.write(".kube/config", text.as_bytes())?;
            }
            Err(error) => return Err(error.into()),
        }
        fs::write(&stamp, text)
            .and_then(|()| fs::set_permissions(&stamp, fs::Permissions::from_mode(0o600)))
            .map_err(JailError::io("remember the kubeconfig"))
    }

    #[expect(clippy::too_many_arguments, reason = "the launcher's whole plan, put together in one place")]
    fn plan(
        &self,
        workspace: &Workspace,
        socket: PathBuf,
        relay_port: u16,
        uid: Option<u32>,
        cgroup_procs: Vec<PathBuf>,
        argv: Vec<String>,
        env: Vec<(String, String)>,
    ) -> LaunchPlan {
        LaunchPlan {
            bwrap: self.config.bwrap.clone(),
            tool: self.config.tool.clone(),
            kubectl: self.config.kubectl.as_ref().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
            workspace: workspace.path().to_owned(),
            etc: self.config.root.join("etc"),
            socket,
            relay_port,
            uid,
            cgroup_procs,
            limits: self.config.limits.clone(),
            argv,
            env,
        }
    }

    /// Starts the very jail that learners get, with a trial program, and judges by what it prints.
    fn probe(&self) -> JailReport {
        let version = Command::new(&self.config.bwrap).arg("--version").output();
        let bubblewrap = version.as_ref().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        let problem = match version {
            Err(_) => Some(format!("{} not found", self.config.bwrap.display())),
            Ok(_) if too_old(&bubblewrap) => Some(format!("{bubblewrap} is too old, 0.7 or newer is needed")),
            Ok(_) => self.trial().err(),
        };
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
            bubblewrap,
            own_uid: self.root_user,
            limits: self.limit_reports(),
            programs: self.programs(),
        }
    }

    fn trial(&self) -> Result<(), String> {
        let workspace = self.workspace("trial").map_err(|error| error.to_string())?;
        let socket = self.config.root.join("trial/gateway.sock");
        fs::write(&socket, b"").map_err(|error| error.to_string())?;
        let uid = self.root_user.then(|| workspace.owner_uid());
        let argv = ["/bin/sh", "-c", "echo cordon-jail-works $(id -u)"].map(str::to_owned).to_vec();
        let plan = self.plan(&workspace, socket, 6443, uid, Vec::new(), argv, vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let text = serde_json::to_string(&plan).map_err(|error| error.to_string())?;
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
            line(
                "workspace",
                true,
                format!(
                    "{}, {} files; counted several times a second, the shell is stopped beyond",
                    mebibytes(limits.workspace_bytes),
                    limits.workspace_files
                ),
            ),
            line("/tmp", true, mebibytes(limits.tmp_bytes)),
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

fn environment(spec: &ShellSpec) -> Vec<(String, String)> {
    let have = |name: &str| Path::new("/usr/bin").join(name).exists();
    let editor = ["nano", "vim", "vi"].into_iter().find(|name| have(name)).unwrap_or("vi");
    let mut env: Vec<(String, String)> = [
        ("HOME", "/home/learner"),
        ("USER", "learner"),
        ("LOGNAME", "learner"),
        ("SHELL", "/bin/bash"),
        ("PATH", "/home/learner/bin:/opt/cordon/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("INPUTRC", "/etc/inputrc"),
        ("EDITOR", editor),
        ("VISUAL", editor),
        ("KUBE_EDITOR", editor),
        ("PAGER", "less"),
        ("LESSSECURE", "1"),
        ("KUBECONFIG", "/home/learner/.kube/config"),
        ("TMPDIR", "/tmp"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    env.push(("CORDON_GREETING".to_owned(), spec.greeting.clone()));
    env.extend(spec.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    env
}

fn open_to_read(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
    }
    Ok(())
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
