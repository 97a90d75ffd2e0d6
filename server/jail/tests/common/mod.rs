//! A room for attacks: jails, a gateway to reach, and the same tests once more without root.

#![expect(dead_code, reason = "each suite uses a part of it")]

use jail::{Attachment, JailConfig, Jails, Limits, Shell, ShellEvent, ShellSpec};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::broadcast::error::RecvError,
};

/// Who runs the suites again: nobody's uid on any system that we know.
const SOMEBODY: u32 = 64_998;

pub struct Room {
    pub folder: tempfile::TempDir,
    pub jails: Jails,
    gateway: SocketAddr,
}

/// Past the test runner, which keeps what macros print to itself where a test passes.
pub fn not_run(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "NOT RUN: {what}: {why}");
}

/// The suites' own helper program. A copy of the suite has it beside it.
pub fn tool() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("cordon-jail");
    if beside.exists() { beside } else { PathBuf::from(env!("CARGO_BIN_EXE_cordon-jail")) }
}

pub fn config(folder: &Path) -> JailConfig {
    let mut config = JailConfig::new(folder.join("jail"), tool());
    config.kubectl = Some(PathBuf::from("/usr/bin/kubectl")).filter(|path| path.exists());
    config
}

/// Jails with a gateway that answers every connection with `gateway`; `None` where no jail can run.
pub async fn room(change: impl FnOnce(&mut Limits)) -> Option<Room> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    change(&mut config.limits);
    let jails = Jails::open(config).unwrap();
    if !jails.report().available {
        not_run("attacks on the jail", &format!("it cannot run here: {}\n{}", jails.report().problem, jails.report().hint));
        return None;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut line = [0; 64];
                let read = stream.read(&mut line).await.unwrap_or(0);
                let _ = stream.write_all(&[b"gateway heard ", &line[..read]].concat()).await;
            });
        }
    });
    Some(Room { folder, jails, gateway })
}

pub fn spec(gateway: SocketAddr) -> ShellSpec {
    ShellSpec {
        gateway,
        relay_port: 6443,
        kubeconfig: "apiVersion: v1\nkind: Config\n".to_owned(),
        env: BTreeMap::new(),
        greeting: String::new(),
        columns: 200,
        rows: 50,
    }
}

impl Room {
    pub fn spec(&self) -> ShellSpec {
        spec(self.gateway)
    }

    pub async fn shell(&self, id: &str) -> Arc<Shell> {
        self.jails.shell(id, &self.spec()).await.unwrap()
    }

    /// Whether a limit holds here, as `cordon doctor` says it.
    pub fn holds(&self, limit: &str) -> bool {
        self.jails.report().limits.iter().find(|line| line.name == limit).unwrap().holds
    }

    pub fn has(&self, program: &str) -> bool {
        self.jails.report().programs.iter().any(|(name, there)| name == program && *there)
    }
}

/// What is printed until `needle` comes, or the shell's end.
pub async fn until(attachment: &mut Attachment, needle: &str) -> String {
    let mut seen = String::new();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !seen.contains(needle) {
            match attachment.events.recv().await {
                Ok(ShellEvent::Output(bytes)) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                Ok(ShellEvent::Ended(reason)) => {
                    seen.push_str(&reason);
                    return;
                }
                Err(RecvError::Lagged(_)) => seen.push_str("[lagged]"),
                Err(RecvError::Closed) => return,
            }
        }
    });
    assert!(waited.await.is_ok(), "{needle:?} never came: {seen}");
    seen
}

pub async fn type_in(shell: &Shell, keys: &str) {
    shell.input(keys.to_owned().into()).await.unwrap();
}

/// Types a command and gives what it printed, with its exit code at the end.
pub async fn run(shell: &Shell, command: &str) -> String {
    let mut attachment = shell.attach();
    // The mark is put together by the shell, so that the echo of what was typed is not taken for it.
    type_in(shell, &format!("{command}; echo \"<$?>\"'END'\n")).await;
    let seen = until(&mut attachment, ">END").await;
    seen.rsplit_once("'END'").map_or(seen.as_str(), |(_, printed)| printed).to_owned()
}

/// Runs the whole suite but the test `me` again as a user who is nobody in particular.
pub fn again_without_root(me: &str) {
    if !nix::unistd::geteuid().is_root() {
        return not_run("the suite once more without root", "it runs without root already");
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open(folder.path());
    // Where the suite was built need not be a place that everybody may enter.
    let suite = folder.path().join("suite");
    for (from, to) in [(std::env::current_exe().unwrap(), suite.clone()), (tool(), folder.path().join("cordon-jail"))] {
        fs::copy(from, &to).unwrap();
        open(&to);
    }
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let mut command = Command::new(&suite);
    command.args(["--skip", me]).env("TMPDIR", &home).env("HOME", &home).current_dir(&home).uid(SOMEBODY).gid(SOMEBODY);
    match command.output() {
        Err(error) => not_run("the suite once more without root", &format!("uid {SOMEBODY} cannot start it: {error}")),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let _ = write!(std::io::stderr(), "{said}");
            assert!(output.status.success(), "without root:\n{}\n{said}", String::from_utf8_lossy(&output.stdout));
            assert!(String::from_utf8_lossy(&output.stdout).contains(" passed"));
        }
    }
}
