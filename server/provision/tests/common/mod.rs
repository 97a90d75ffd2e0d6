//! What the suites on real containers share: a Docker, a node image, and a world that leaves nothing behind.

use bollard::{
    Docker,
    exec::{CreateExecOptions, StartExecResults},
    query_parameters::{ListContainersOptions, ListNetworksOptions},
};
use futures::StreamExt;
use provision::{
    ClusterSpec, NodeSpec,
    kind::{Edge, KindProvisioner, KindSettings, NodeLimits},
};
use std::{
    collections::{BTreeSet, HashMap},
    env,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
};

/// Prints that something did not run, and why.
pub fn not_run(what: &str, why: &str) {
    use std::io::Write as _;
    // Not by a macro: the test runner keeps what those print to itself where a test passes.
    let _ = writeln!(std::io::stderr(), "NOT RUN: {what}: {why}");
}

/// One cluster at a time: most machines that run tests have few cores.
pub async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ONE.lock().await
}

/// The Docker of this machine and a node image in it; `Err` says what is missing.
#[derive(Debug, Clone)]
pub struct Machine {
    pub docker: String,
    pub image: String,
}

pub async fn machine() -> Result<Machine, String> {
    static FOUND: OnceLock<Result<Machine, String>> = OnceLock::new();
    let machine = FOUND.get_or_init(find).clone()?;
    let client = Docker::connect_with_host(&machine.docker).map_err(|error| error.to_string())?;
    client.ping().await.map_err(|error| format!("Docker at {} does not answer: {error}", machine.docker))?;
    let found = client.inspect_image(&machine.image).await;
    found.map(|_| machine.clone()).map_err(|_| format!("there is no node image {} in the Docker at {}", machine.image, machine.docker))
}

/// What `scripts/docker` finds.
fn find() -> Result<Machine, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/docker");
    let output = Command::new(script).output().map_err(|error| format!("scripts/docker: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value =
        |name: &str| said.lines().find_map(|line| Some(line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('=')?.to_owned()));
    let docker = value("DOCKER_HOST").ok_or("scripts/docker says no address")?;
    Ok(Machine { docker, image: value("CORDON_NODE_IMAGE").unwrap_or_else(|| provision::kind::DEFAULT_IMAGE.to_owned()) })
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

pub fn cache() -> Option<PathBuf> {
    env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")))
}

/// The kind command of PATH or of the kit.
pub fn kind_command() -> Option<PathBuf> {
    let kit = cache().map(|cache| cache.join("cordon/real-kubernetes/bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(kit).map(|folder| folder.join("kind")).find(|path| path.is_file())
}

pub fn edge() -> Edge {
    #[expect(clippy::disallowed_methods, reason = "a test is an edge too")]
    let now = Arc::new(jiff::Timestamp::now);
    Edge { now, random: Arc::new(|| RandomState::new().build_hasher().finish()) }
}

pub fn one_node() -> ClusterSpec {
    ClusterSpec { nodes: vec![NodeSpec { control_plane: true, ..NodeSpec::with_gpus("gpu-node", 0) }], ..ClusterSpec::default() }
}

/// Clusters of one test, under a name of their own. Everything that carries it is removed in the end, however the test ends.
#[derive(Debug)]
pub struct World {
    pub settings: KindSettings,
    pub docker: Docker,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Result<Self, String> {
        Ok(Self::on(machine().await?))
    }

    pub fn on(machine: Machine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let random = RandomState::new().build_hasher().finish();
        let settings = KindSettings {
            docker: machine.docker.clone(),
            instance: format!("t{:011x}", random & 0xfff_ffff_ffff),
            data: folder.path().to_path_buf(),
            image: machine.image,
            pull: false,
            limits: NodeLimits { memory: 2 << 30, cpus: 2.0, pids: 4096 },
            ..KindSettings::default()
        };
        let docker = Docker::connect_with_host(&machine.docker).expect("an address of Docker");
        Self { settings, docker, _folder: folder }
    }

    pub async fn provisioner(&self) -> KindProvisioner {
        self.with(|_| {}).await
    }

    pub async fn with(&self, change: impl FnOnce(&mut KindSettings)) -> KindProvisioner {
        let mut settings = self.settings.clone();
        change(&mut settings);
        KindProvisioner::connect(settings, edge()).await.expect("this machine can run kind clusters")
    }

    /// Names of containers and networks of this world.
    pub async fn left(&self) -> BTreeSet<String> {
        let label = format!("cordon.dev/instance={}", self.settings.instance);
        let filters = Some(HashMap::from([("label".to_owned(), vec![label])]));
        let options = ListContainersOptions { all: true, filters: filters.clone(), ..ListContainersOptions::default() };
        let containers = self.docker.list_containers(Some(options)).await.expect("Docker lists containers");
        let networks = self.docker.list_networks(Some(ListNetworksOptions { filters })).await.expect("Docker lists networks");
        let containers = containers.into_iter().flat_map(|container| container.names.unwrap_or_default());
        containers.chain(networks.into_iter().filter_map(|network| network.name)).collect()
    }

    pub fn node(&self, id: &str) -> String {
        format!("{}-{id}-control-plane", self.settings.instance)
    }

    /// Exit code and output of a line of shell in a node.
    pub async fn sh(&self, node: &str, line: &str) -> (i64, String) {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["bash", "-c", line]),
            ..CreateExecOptions::default()
        };
        let made = self.docker.create_exec(node, options).await.expect("a command in the node");
        let mut text = String::new();
        if let StartExecResults::Attached { mut output, .. } = self.docker.start_exec(&made.id, None).await.expect("it runs") {
            while let Some(Ok(piece)) = output.next().await {
                text.push_str(&piece.to_string());
            }
        }
        let code = self.docker.inspect_exec(&made.id).await.expect("it ended").exit_code.unwrap_or(-1);
        (code, text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let settings = self.settings.clone();
        // A runtime of its own: the test's may be going down.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                if let Ok(provisioner) = KindProvisioner::connect(settings, edge()).await {
                    let _ = provisioner.reap(&BTreeSet::new()).await;
                }
            });
        });
        let _ = cleaner.join();
    }
}
