//! A cluster as a process of its own (`cordon sandbox up`, `cordon kind up`), and a real kubectl against it.

use crate::docker::Docker;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The `cordon` binary that belongs to this test run: `CORDON_BIN`, else the one beside the test binaries, built when it is not there.
pub fn cordon() -> PathBuf {
    if let Some(path) = env::var_os("CORDON_BIN") {
        return path.into();
    }
    let own = env::current_exe().expect("a program knows its own path");
    let folder = own.parent().expect("programs lie in target/<profile>, tests in deps below it");
    let folder = folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder);
    let binary = folder.join("cordon");
    if !binary.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--locked", "-p", "server"]).current_dir(crate::root()).status();
        assert!(built.is_ok_and(|s| s.success()), "cordon builds");
    }
    binary
}

/// The minor of Kubernetes that answers were recorded from, and of the kubectl that asked.
const RECORDED: u32 = 34;

/// A kubectl of 1.31 or newer: the one that `KUBECTL` names, else one from PATH or Cordon's cache folder, that of the records first;
/// `Err` says why there is none.
pub fn kubectl() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("KUBECTL").map(PathBuf::from) {
        return match minor(&named) {
            Some(31..) => Ok(named),
            _ => Err(format!("KUBECTL names no kubectl of 1.31 or newer: {}", named.display())),
        };
    }
    let cache = cache();
    let mut candidates: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).map(|p| p.join("kubectl")).collect();
    candidates.extend(cache.iter().flat_map(|c| [c.join("bin/kubectl"), c.join("real-kubernetes/bin/kubectl")]));
    let known: Vec<(PathBuf, u32)> = candidates.into_iter().filter_map(|path| minor(&path).map(|minor| (path, minor))).collect();
    let recorded = known.iter().find(|(_, minor)| *minor == RECORDED);
    if let Some((path, _)) = recorded.or_else(|| known.iter().find(|(_, minor)| *minor >= 31)) {
        return Ok(path.clone());
    }
    Err("no kubectl of 1.31 or newer on PATH or in the cache folder".to_owned())
}

/// What is in the cache folder beside the first: kubectl of other minors, by their names (`1.31`), put there by `scripts/kubectl`.
pub fn other_kubectls() -> Vec<(String, PathBuf)> {
    let folders = cache().and_then(|cache| fs::read_dir(cache.join("kubectl")).ok());
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("kubectl"));
    let mut found: Vec<_> = folders.into_iter().flatten().flatten().map(named).filter(|(_, path)| minor(path).is_some()).collect();
    found.sort();
    found
}

/// Cordon's cache folder.
fn cache() -> Option<PathBuf> {
    let folder = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| env::var_os("HOME").map(|h| Path::new(&h).join(".cache")));
    folder.map(|folder| folder.join("cordon"))
}

/// A kubectl that words its own complaints as the one did with which answers were recorded.
pub fn kubectl_of_the_records() -> Result<PathBuf, String> {
    let found = kubectl()?;
    match minor(&found) {
        Some(RECORDED) => Ok(found),
        other => Err(format!("these answers were recorded with kubectl 1.{RECORDED}, and here is 1.{}", other.unwrap_or_default())),
    }
}

fn minor(kubectl: &Path) -> Option<u32> {
    let output = Command::new(kubectl).args(["version", "--client"]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).split("v1.").nth(1)?.split('.').next()?.parse().ok()
}

/// A running `cordon sandbox up` or `cordon kind up`. Ended when dropped.
#[derive(Debug)]
pub struct Sandbox {
    process: Child,
    folder: TempDir,
    arguments: Vec<String>,
}

/// What a command printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// Starts one cluster; `Err` where there is no kubectl to use it with.
    pub fn up(arguments: &[&str]) -> Result<Self, String> {
        Ok(Self::up_for(&kubectl()?, arguments))
    }

    /// Starts one cluster for this kubectl.
    pub fn up_for(kubectl: &Path, arguments: &[&str]) -> Self {
        Self::begin(kubectl, &["sandbox", "up"], arguments)
    }

    /// Starts one real cluster, whose guard is taken away.
    pub fn real(kubectl: &Path, docker: &Docker) -> Self {
        let configuration = tempfile::NamedTempFile::new().expect("a file for the configuration");
        docker.configure(configuration.path());
        let path = configuration.path().to_string_lossy().into_owned();
        Self::begin(kubectl, &["kind", "up"], &["--trusted", "--config", &path])
    }

    fn begin(kubectl: &Path, command: &[&str], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the cluster");
        let arguments: Vec<String> = command.iter().chain(arguments).map(|&a| a.to_owned()).collect();
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).and_then(|()| std::os::unix::fs::symlink(kubectl, programs.join("kubectl"))).expect("kubectl is linked");
        let process = Self::start(folder.path(), &arguments);
        Self { process, folder, arguments }
    }

    fn start(folder: &Path, arguments: &[String]) -> Child {
        let mut process = Command::new(cordon())
            .args(arguments)
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .arg("--kubeconfig-dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("stderr")).expect("a log file"))
            .spawn()
            .expect("cordon starts");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("kubeconfig"));
        let log = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        assert!(ready, "the cluster came up; it said: {log}");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        process
    }

    /// Ends the process with SIGKILL and starts it again on the same data.
    pub fn kill_and_restart(&mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the process ends");
        self.process = Self::start(self.folder.path(), &self.arguments);
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a line of shell in which `kubectl` is the real one, as the cluster's administrator.
    pub fn sh(&self, line: &str) -> Printed {
        self.sh_as("admin", line)
    }

    /// The same as `admin`, `dev` or `view`.
    pub fn sh_as(&self, user: &str, line: &str) -> Printed {
        sh(&self.folder.path().join("bin"), &self.folder.path().join(format!("{user}.kubeconfig")), self.folder.path(), line)
    }

    /// A place of an administrator's own, whose current namespace nobody else changes.
    pub fn seat(&self) -> Seat<'_> {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a folder for a seat");
        fs::copy(self.folder.path().join("admin.kubeconfig"), folder.path().join("kubeconfig")).expect("a kubeconfig can be copied");
        Seat { cluster: self, folder }
    }

    /// Runs a line that must succeed; its output without the end of line.
    pub fn ok(&self, line: &str) -> String {
        let printed = self.sh(line);
        assert_eq!(printed.code, 0, "{line}\n{}{}", printed.stdout, printed.stderr);
        printed.stdout.trim_end().to_owned()
    }
}

/// See [`Sandbox::seat`].
#[derive(Debug)]
pub struct Seat<'a> {
    cluster: &'a Sandbox,
    folder: TempDir,
}

impl Seat<'_> {
    pub fn sh(&self, line: &str) -> Printed {
        sh(&self.cluster.folder.path().join("bin"), &self.folder.path().join("kubeconfig"), self.folder.path(), line)
    }
}

fn sh(programs: &Path, kubeconfig: &Path, home: &Path, line: &str) -> Printed {
    // A program on PATH, not a function of the shell: `$!` of one in the background must be kubectl itself.
    let script = format!("PATH='{}':\"$PATH\"\n{line}", programs.display());
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Printed { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A real one is asked to end, since it takes its containers with it.
        if self.arguments.first().is_some_and(|command| command == "kind") {
            let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        } else {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
