//! The same commands, given to a real control plane and to the embedded one.
//!
//! ```text
//! tests/compare/<chapter>.txt ──► Seat (kubeconfigs of one cluster, a namespace of the chapter) ──► answers ──► compared
//! ```
//!
//! Each chapter is a transcript ([`crate::transcript`]): the commands, and what the real API server answered when it was recorded.
//! In its lines of shell there are, beside `kubectl` as the administrator: `dev` and `view`, the same as users without rights;
//! `api METHOD PATH [curl's options]`, a raw request that prints body, status code and warnings (`AS=dev api …` as another user);
//! `until_says TEXT COMMAND…`, which repeats a command until its output contains the text.

use crate::{root, sandbox::Printed, transcript};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Both clusters are made alike: what the kit's control plane describes, as options of `cordon sandbox up`.
pub const OPTIONS: &[&str] = &[
    "--run-unknown-images",
    "--device-plugin",
    "--node",
    "name=gpu-node-1,gpus=8",
    "--node",
    "name=gpu-node-2,gpus=4",
    "--node",
    "name=cpu-node-1",
];

const PRELUDE: &str = r#"
kubectl() { "$KUBECTL" "$@"; }
dev() { "$KUBECTL" --kubeconfig "$R/dev.kubeconfig" "$@"; }
view() { "$KUBECTL" --kubeconfig "$R/view.kubeconfig" "$@"; }
api() {
    local token; token=$(cat "$R/${AS:-admin}.token")
    curl -sS -k --max-time 30 -X "$1" -H "Authorization: Bearer $token" "$SERVER$2" "${@:3}" -w '\n[%{http_code} %header{content-type}] %header{warning}\n'
}
until_says() {
    local text=$1 tries=0; shift
    until "$@" 2>&1 | grep -qF -- "$text"; do tries=$((tries + 1)); [ $tries -lt 60 ] || return 1; read -rt 0.25 <> <(:) || :; done
}
"#;

/// One list.
#[derive(Debug, Clone)]
pub struct Chapter {
    pub name: String,
    pub path: PathBuf,
    pub entries: Vec<transcript::Entry>,
}

/// Every list, by name.
pub fn chapters() -> Vec<Chapter> {
    let mut paths: Vec<_> = fs::read_dir(root().join("tests/compare")).expect("the lists").flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a list can be read");
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Chapter { name, entries: transcript::parse(&text), path }
    };
    paths.into_iter().map(read).collect()
}

/// Where the commands of one chapter run: its own kubeconfigs, its own namespace.
#[derive(Debug)]
pub struct Seat {
    folder: TempDir,
    kubectl: PathBuf,
    server: String,
}

impl Seat {
    /// `kubeconfigs` holds `{admin,dev,view}.kubeconfig`.
    pub fn take(kubectl: &Path, kubeconfigs: &Path, namespace: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a chapter");
        let mut seat = Self { folder, kubectl: kubectl.to_owned(), server: String::new() };
        for user in ["admin", "dev", "view"] {
            let file = format!("{user}.kubeconfig");
            fs::copy(kubeconfigs.join(&file), seat.folder.path().join(&file)).expect("a kubeconfig can be copied");
            let line = format!(
                "kubectl --kubeconfig $R/{file} config set-context --current --namespace={namespace} >/dev/null
                kubectl --kubeconfig $R/{file} config view --raw -o jsonpath='{{.users[0].user.token}}' >$R/{user}.token"
            );
            assert_eq!(seat.run(&line).code, 0, "the kubeconfig of {user} can be read");
        }
        seat.server = seat.run("kubectl config view -o jsonpath='{.clusters[0].cluster.server}'").stdout;
        let filled = "kubectl get sa/default cm/kube-root-ca.crt";
        let line = format!("kubectl create namespace {namespace} && until {filled} >/dev/null 2>&1; do sleep 0.2; done");
        let made = seat.run(&line);
        assert_eq!(made.code, 0, "the namespace {namespace} can be made: {}", made.stderr);
        seat
    }

    /// Runs one command of a list.
    pub fn run(&self, command: &str) -> Printed {
        let output = Command::new("timeout")
            .args(["60", "bash", "-c"])
            .arg(format!("{PRELUDE}{command}"))
            .envs([("KUBECTL", self.kubectl.as_os_str()), ("R", self.folder.path().as_os_str())])
            .env("SERVER", &self.server)
            .env("KUBECONFIG", self.folder.path().join("admin.kubeconfig"))
            .env("HOME", self.folder.path())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        let folder = self.folder.path().to_string_lossy().into_owned();
        let server = if self.server.is_empty() { "<server>" } else { &self.server };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&folder, "$R").replace(server, "<server>");
        Printed { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A real control plane, made by the kit's `api-up`. Ended when dropped.
#[derive(Debug)]
pub struct Real {
    process: Child,
    folder: TempDir,
}

impl Real {
    /// Starts the control plane of the kit in `kit`; `Err` says why it cannot be.
    pub fn up(kit: &Path) -> Result<Self, String> {
        let script = kit.join("api-up");
        if !script.is_file() {
            return Err(format!("{} is not there", script.display()));
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut process = Command::new(&script)
            .arg(folder.path())
            .arg(free_ports()?.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        if !lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("ready")) {
            return Err("the kit's control plane did not come up; its `build api` may not have been run".to_owned());
        }
        Ok(Self { process, folder })
    }

    pub fn kubeconfigs(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // A polite end: the script ends the servers that it started.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// The first of three ports in a row that are free.
fn free_ports() -> Result<u16, String> {
    for _ in 0..50 {
        let first = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?.port();
        if (first..first.saturating_add(3)).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(first);
        }
    }
    Err("no three free ports in a row".to_owned())
}

/// Whether curl is there, which the raw requests need.
pub fn has_curl() -> bool {
    Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}
