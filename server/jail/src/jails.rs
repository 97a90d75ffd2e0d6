//! All jails of one server: workspaces by name, the shells that run, what this machine can do.

use crate::{
    JailError, JailReport, Limits, Shell, Workspace, WorkspaceError,
    cgroup::Cgroups,
    command::LaunchPlan,
    door, etc,
    image::{self, Images},
    probe,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
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

#[derive(Debug)]
pub struct Jails {
    pub(crate) config: JailConfig,
    pub(crate) cgroups: Cgroups,
    /// File systems of their own for workspaces, or why there are none here.
    pub(crate) images: Result<Images, String>,
    pub(crate) root_user: bool,
    report: JailReport,
    shells: Mutex<HashMap<String, Arc<Shell>>>,
    /// Serialises the making of workspaces, so that no uid is given twice.
    making: Mutex<()>,
}

impl Jails {
    /// Prepares the folders and tries a jail for real. Never fails for want of a jail: [`Jails::report`] then says why.
    pub fn open(config: JailConfig) -> Result<Self, JailError> {
        for folder in ["workspaces", "images", "run", "etc", "trial"] {
            fs::create_dir_all(config.root.join(folder)).map_err(JailError::io("make the jails' folders"))?;
        }
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&config.root, closed).map_err(JailError::io("protect the jails' folder"))?;
        let root_user = rustix::process::geteuid().is_root();
        etc::write(&config.root.join("etc"), config.kubectl.as_deref()).map_err(JailError::io("write the jail's /etc"))?;
        open_to_read(&config.root.join("etc")).map_err(JailError::io("open the jail's /etc"))?;
        let bubblewrap = probe::bubblewrap(&config.bwrap);
        // Without a shell there is only the editor, which counts before it writes; but what lies in images must be reached.
        let folder = config.root.join("images");
        let used = fs::read_dir(&folder).map_err(JailError::io("read the images"))?.next().is_some();
        let images = if used || bubblewrap.is_ok() { Images::open(&folder, &config.limits) } else { Err("no shell runs here".to_owned()) };
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
            images,
            root_user,
            shells: Mutex::default(),
            making: Mutex::default(),
        };
        jails.report = jails.probe(&bubblewrap);
        if !jails.report.available && jails.images.is_ok() {
            // Perhaps only the image is in the way.
            let images = std::mem::replace(&mut jails.images, Err(jails.report.problem.clone()));
            let plain = jails.probe(&bubblewrap);
            if plain.available {
                jails.report = plain;
            } else {
                jails.images = images;
            }
        }
        Ok(jails)
    }

    /// What was found when the server started.
    pub fn report(&self) -> &JailReport {
        &self.report
    }

    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// The workspace of that name (an attempt's id), made where it is missing. One that was made in a plain folder stays in it.
    pub fn workspace(&self, id: &str) -> Result<Workspace, JailError> {
        let path = self.folder("workspaces", id)?;
        let image = image::place(&self.config.root.join("images"), id);
        let _making = self.making.lock();
        if !path.is_dir() {
            let uid = self.next_uid()?;
            if let Ok(images) = &self.images {
                images.make(id).map_err(JailError::io("make a workspace's image"))?;
            }
            fs::create_dir(&path).map_err(JailError::io("make a workspace"))?;
            if self.root_user {
                chown(&path, Some(uid), Some(uid)).map_err(JailError::io("hand over a workspace"))?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(JailError::io("protect a workspace"))?;
        }
        if !image.exists() {
            return Ok(Workspace::open(&path, self.config.limits.clone())?);
        }
        let owner = fs::metadata(&path).map_err(JailError::io("look at a workspace"))?;
        let images = self.images.as_ref().map_err(|why| JailError::Unavailable(format!("the workspace lies in an image: {why}")))?;
        let (root, device) = images.get(id, (owner.uid(), owner.gid())).map_err(JailError::Unavailable)?;
        Ok(Workspace::on_device(root, &path, device, self.config.limits.clone())?)
    }

    /// Lets go of the file systems of workspaces whose shell does not run. They come back when they are asked for.
    pub fn rest(&self) {
        if let Ok(images) = &self.images {
            images.keep_only(|id| self.running(id).is_some());
        }
    }

    /// The running shell of that name, or a new one.
    pub async fn shell(&self, id: &str, spec: &ShellSpec) -> Result<Arc<Shell>, JailError> {
        if !self.report.available {
            return Err(JailError::Unavailable(self.report.problem.clone()));
        }
        if let Some(shell) = self.running(id) {
            return Ok(shell);
        }
        self.check_room()?;
        let workspace = self.workspace(id)?;
        let run = self.folder("run", id)?;
        fs::create_dir_all(&run).map_err(JailError::io("make the jail's folder"))?;
        // Whatever filled the workspace last time must not keep the learner out: it takes a shell to make room.
        let mut limits = self.config.limits.clone();
        let mut notes = Vec::new();
        if let Some(broken) = too_full(&workspace, &limits)? {
            limits.file_bytes = 0;
            notes
                .push(format!("There is {broken}: files can be removed, but not written, until there is less and the shell starts again."));
        }
        match self.put_kubeconfig(&workspace, &run, &spec.kubeconfig) {
            Ok(()) => {}
            Err(JailError::Workspace(WorkspaceError::Full(_))) => {
                notes.push(
                    "The workspace is full, so the way to your cluster could not be renewed: remove files and start the shell again."
                        .to_owned(),
                );
            }
            Err(error) => return Err(error),
        }
        // Two tabs may ask at once: the second takes what the first has made. Nothing below waits.
        let mut shells = self.shells.lock();
        if let Some(shell) = shells.get(id).filter(|shell| shell.is_running()) {
            return Ok(Arc::clone(shell));
        }
        let uid = self.root_user.then(|| workspace.owner_uid());
        let door = door::open(&run, spec.gateway, uid, self.config.limits.connections)?;
        let group = self.cgroups.make(id, &self.config.limits);
        let argv = ["/bin/bash", "--rcfile", "/etc/cordon.bashrc", "-i"].map(str::to_owned).to_vec();
        let plan = LaunchPlan {
            socket: run.join("gateway.sock"),
            relay_port: spec.relay_port,
            cgroup_procs: group.procs(),
            limits,
            env: environment(spec, &notes),
            ..self.plan(&workspace, argv)
        };
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
        self.rest();
    }

    /// Stops the shell and removes the learner's files. What is gone already is no error.
    pub async fn delete(&self, id: &str) -> Result<(), JailError> {
        self.stop(id, "This attempt is over.").await;
        self.remove(id)
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), JailError> {
        let (run, path) = (self.folder("run", id)?, self.folder("workspaces", id)?);
        let _making = self.making.lock();
        if let Ok(images) = &self.images {
            images.keep_only(|other| other != id);
        }
        let image = fs::remove_file(image::place(&self.config.root.join("images"), id));
        for removed in [fs::remove_dir_all(run), image, fs::remove_dir_all(path)] {
            match removed {
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

    /// An image takes room on the disk only as it fills, so that there can be more of them than the disk holds. A write that finds
    /// none would be lost after it was accepted: no shell starts where that is near.
    fn check_room(&self) -> Result<(), JailError> {
        let disk = rustix::fs::statvfs(&self.config.root).map_err(|error| JailError::io("look at the disk")(error.into()))?;
        if disk.f_bavail * disk.f_frsize < 2 * self.config.limits.workspace_bytes {
            return Err(JailError::Unavailable("the server's disk is almost full; tell whoever runs it".to_owned()));
        }
        Ok(())
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

    /// What every jail's plan has in common.
    pub(crate) fn plan(&self, workspace: &Workspace, argv: Vec<String>) -> LaunchPlan {
        LaunchPlan {
            bwrap: self.config.bwrap.clone(),
            tool: self.config.tool.clone(),
            kubectl: self.config.kubectl.as_ref().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
            workspace: workspace.path().to_owned(),
            device: workspace.device().map(Path::to_owned),
            etc: self.config.root.join("etc"),
            socket: self.config.root.join("trial/gateway.sock"),
            relay_port: 6443,
            uid: self.root_user.then(|| workspace.owner_uid()),
            cgroup_procs: Vec::new(),
            limits: self.config.limits.clone(),
            argv,
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        }
    }
}

/// The limit that a workspace in a plain folder breaks. One that is far beyond it gets no shell at all.
fn too_full(workspace: &Workspace, limits: &Limits) -> Result<Option<String>, JailError> {
    if workspace.device().is_some() {
        return Ok(None);
    }
    let usage = workspace.usage()?;
    match usage.broken(limits) {
        Some(broken) if usage.hopeless(limits) => {
            Err(WorkspaceError::Full(format!("there is {broken}; remove files in the editor, or reset the lab")).into())
        }
        broken => Ok(broken),
    }
}

fn environment(spec: &ShellSpec, notes: &[String]) -> Vec<(String, String)> {
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
    let greeting = notes.iter().fold(spec.greeting.clone(), |greeting, note| format!("{greeting}\x1b[31m{note}\x1b[0m\r\n"));
    env.push(("CORDON_GREETING".to_owned(), greeting));
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
