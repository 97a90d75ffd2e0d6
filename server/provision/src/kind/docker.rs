//! Docker as this engine uses it: few operations, each with an error that says what to do about it.

use crate::kind::{names, node::HostTraits, preflight::Facts};
use bollard::{
    Docker,
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, StartExecResults},
    models::{
        ContainerCpuStats, ContainerCreateBody, ContainerInspectResponse, ImageInspect, Ipam, IpamConfig, NetworkCreateRequest, SystemInfo,
    },
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, ListContainersOptions, ListNetworksOptions, LogsOptions, RemoveContainerOptions,
        RenameContainerOptions, StatsOptions, UploadToContainerOptions,
    },
};
use futures::{StreamExt, TryStreamExt};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, HashMap};
use tokio::io::AsyncWriteExt;

/// What went wrong with Docker or with a node, in words for whoever runs the server.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error("{cause}; {remedy}")]
    Known { cause: String, remedy: String },
    #[error("{doing}: {message}")]
    Refused { doing: String, code: u16, message: String },
    #[error("{doing}")]
    Other {
        doing: String,
        #[source]
        source: Error,
    },
}

impl DockerError {
    pub(crate) fn known(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Known { cause: cause.into(), remedy: remedy.into() }
    }

    /// Docker's HTTP status.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(crate) fn says(&self, words: &[&str]) -> bool {
        matches!(self, Self::Refused { message, .. } if words.iter().any(|word| message.contains(word)))
    }

    /// The subnet is somebody else's: another one may do.
    pub fn is_overlap(&self) -> bool {
        self.says(&["overlaps", "overlapping"])
    }

    /// The port is somebody else's: another one may do.
    pub fn is_port_taken(&self) -> bool {
        self.says(&["port is already allocated", "address already in use", "failed to bind"])
    }
}

fn during(doing: impl Into<String>) -> impl FnOnce(Error) -> DockerError {
    let doing = doing.into();
    move |error| match error {
        Error::DockerResponseServerError { message, .. } if message.contains("no space left on device") => DockerError::known(
            format!("{doing}: the disk is full where Docker keeps its data ({message})"),
            "docker system prune, or a larger disk",
        ),
        Error::DockerResponseServerError { status_code, message } => DockerError::Refused { doing, code: status_code, message },
        source => DockerError::Other { doing, source },
    }
}

/// What a command in a node printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub code: i64,
    pub stdout: String,
    pub stderr: String,
}

/// What one node takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub memory: u64,
    pub cpus: f64,
    pub pids: u64,
}

/// A cluster's container, as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub name: String,
    pub state: String,
    pub labels: HashMap<String, String>,
    /// Seconds since 1970.
    pub created: i64,
}

/// One Docker daemon.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    address: String,
}

/// Not more of a command's output than this is kept.
const OUTPUT: usize = 1 << 20;
const SOCKET: &str = "unix://";
/// How often a node's removal is asked for again, a second apart.
const REMOVALS: u32 = 20;

impl Engine {
    /// Connects, and agrees on a version of the API.
    pub async fn connect(address: &str) -> Result<Self, DockerError> {
        let unreachable = |why: String| {
            DockerError::known(
                format!("Docker does not answer at {address} ({why})"),
                "start it (systemctl start docker), or set kind.docker or DOCKER_HOST to where it listens",
            )
        };
        if let Some(path) = address.strip_prefix(SOCKET) {
            // Asked first, since a client behind a connection pool hides which error it was.
            match tokio::net::UnixStream::connect(path).await {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(DockerError::known(
                        format!("this user may not use Docker's socket {path}"),
                        "add it to the group docker (usermod -aG docker USER) and log in again; who may use Docker is root on this machine",
                    ));
                }
                Err(error) => return Err(unreachable(error.to_string())),
                Ok(_) => {}
            }
        }
        let docker = Docker::connect_with_host(address).map_err(|error| unreachable(error.to_string()))?;
        let docker = docker.negotiate_version().await.map_err(|error| unreachable(error.to_string()))?;
        Ok(Self { docker, address: address.to_owned() })
    }

    pub async fn info(&self) -> Result<SystemInfo, DockerError> {
        self.docker.info().await.map_err(during("asking Docker about itself"))
    }

    /// Whether Docker runs on this machine, so that its files are ours to read.
    pub fn is_local(&self) -> bool {
        self.address.starts_with(SOCKET)
    }

    /// What Docker says of itself and its host.
    pub async fn facts(&self) -> Result<(Facts, HostTraits), DockerError> {
        let info = self.info().await?;
        let version = self.docker.version().await.map_err(during("asking for Docker's version"))?;
        let api = version.api_version.as_deref().and_then(|text| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        let option = |name: &str| info.security_options.iter().flatten().any(|option| option.contains(name));
        let storage = info.driver.as_deref().unwrap_or_default();
        let traits = HostTraits {
            userns_remap: option("name=userns"),
            device_mapper: matches!(storage, "btrfs" | "zfs"),
            cores: info.ncpu.and_then(|cores| u16::try_from(cores).ok()),
        };
        let facts = Facts {
            api,
            docker: info.server_version.clone().unwrap_or_default(),
            os: info.os_type.clone().unwrap_or_default(),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            rootless: option("name=rootless"),
            memory_limit: info.memory_limit.unwrap_or_default(),
            pids_limit: info.pids_limit.unwrap_or_default(),
            // Of this machine; Docker's is the same one where it listens on a socket.
            ..if self.is_local() { local_facts(info.docker_root_dir.as_deref()) } else { Facts::default() }
        };
        Ok((facts, traits))
    }

    /// `Ok(None)`: there is no such image here.
    pub async fn image(&self, name: &str) -> Result<Option<ImageInspect>, DockerError> {
        match self.docker.inspect_image(name).await {
            Ok(image) => Ok(Some(image)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(during(format!("looking for the image {name}"))(error)),
        }
    }

    pub async fn pull(&self, name: &str) -> Result<(), DockerError> {
        let (from_image, tag) = match name.rsplit_once(':') {
            Some((from, tag)) if !name.contains('@') && !tag.contains('/') => (from, Some(tag.to_owned())),
            _ => (name, None),
        };
        let options = CreateImageOptions { from_image: Some(from_image.to_owned()), tag, ..CreateImageOptions::default() };
        let pulled = self.docker.create_image(Some(options), None, None);
        pulled.try_for_each(|_| async { Ok(()) }).await.map_err(|error| {
            let why = during("pulling")(error);
            let why = std::error::Error::source(&why).map_or_else(|| why.to_string(), ToString::to_string);
            DockerError::known(
                format!("the node image {name} is not here and cannot be pulled ({why})"),
                format!("fetch it by hand (docker pull {name}), or name one that is here in kind.image"),
            )
        })
    }

    pub async fn subnets(&self) -> Result<Vec<Ipv4Net>, DockerError> {
        let networks = self.docker.list_networks(None::<ListNetworksOptions>).await.map_err(during("listing networks"))?;
        let configurations = networks.into_iter().filter_map(|network| network.ipam?.config).flatten();
        Ok(configurations.filter_map(|config| config.subnet?.parse().ok()).collect())
    }

    pub async fn create_network(&self, name: &str, subnet: Ipv4Net, labels: HashMap<String, String>) -> Result<(), DockerError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig { subnet: Some(subnet.to_string()), ..IpamConfig::default() }]),
                ..Ipam::default()
            }),
            options: Some(HashMap::from([("com.docker.network.bridge.enable_ip_masquerade".to_owned(), "true".to_owned())])),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await.map(drop).map_err(during(format!("making the network {name}")))
    }

    pub async fn create_container(&self, name: &str, body: ContainerCreateBody) -> Result<String, DockerError> {
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let made = self.docker.create_container(Some(options), body).await.map_err(during(format!("making the node {name}")))?;
        Ok(made.id)
    }

    pub async fn start_container(&self, id: &str) -> Result<(), DockerError> {
        self.docker.start_container(id, None).await.map_err(during("starting the node"))
    }

    pub async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>, DockerError> {
        match self.docker.inspect_container(name, None).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(during(format!("looking at the node {name}"))(error)),
        }
    }

    pub async fn pause(&self, name: &str) -> Result<(), DockerError> {
        self.docker.pause_container(name).await.map_err(during("pausing the node"))
    }

    pub async fn unpause(&self, name: &str) -> Result<(), DockerError> {
        self.docker.unpause_container(name).await.map_err(during("waking the node"))
    }

    pub async fn rename(&self, id: &str, name: &str) -> Result<(), DockerError> {
        let options = RenameContainerOptions { name: name.to_owned() };
        self.docker.rename_container(id, options).await.map_err(during("claiming the node"))
    }

    /// What a node takes now: two looks, a second apart. `None`: it is gone, or does not run.
    pub async fn usage(&self, id: &str) -> Result<Option<Usage>, DockerError> {
        let stats = self.docker.stats(id, Some(StatsOptions { stream: false, one_shot: false }));
        let Some(stats) = Box::pin(stats).try_next().await.map_err(during("measuring a node"))? else { return Ok(None) };
        let (Some(memory), Some(now), Some(before)) = (stats.memory_stats, stats.cpu_stats, stats.precpu_stats) else { return Ok(None) };
        let Some(held) = memory.usage else { return Ok(None) };
        let details = memory.stats.unwrap_or_default();
        // What the kernel would give back: by its name with cgroup v2, and with v1.
        let cache = details.get("inactive_file").or_else(|| details.get("total_inactive_file")).copied().unwrap_or_default();
        let total = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref().and_then(|usage| usage.total_usage).unwrap_or_default();
        let system = |stats: &ContainerCpuStats| stats.system_cpu_usage.unwrap_or_default();
        let (own, all) = (total(&now).saturating_sub(total(&before)), system(&now).saturating_sub(system(&before)));
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a second")]
        let share = if all == 0 { 0.0 } else { own as f64 / all as f64 };
        Ok(Some(Usage {
            memory: held.saturating_sub(cache),
            cpus: share * f64::from(now.online_cpus.unwrap_or(1)),
            pids: stats.pids_stats.and_then(|pids| pids.current).unwrap_or_default(),
        }))
    }

    /// Containers, running or not, that carry all these labels (`key=value`).
    pub async fn containers(&self, labels: &[String]) -> Result<Vec<Listed>, DockerError> {
        let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        let found = self.docker.list_containers(Some(options)).await.map_err(during("listing nodes"))?;
        let listed = found.into_iter().filter_map(|container| {
            Some(Listed {
                id: container.id?,
                name: container.names?.into_iter().next()?.trim_start_matches('/').to_owned(),
                state: container.state.map(|state| state.to_string()).unwrap_or_default(),
                labels: container.labels.unwrap_or_default(),
                created: container.created.unwrap_or_default(),
            })
        });
        Ok(listed.collect())
    }

    /// Networks that carry all these labels: name and labels.
    pub async fn networks(&self, labels: &[String]) -> Result<Vec<(String, HashMap<String, String>)>, DockerError> {
        let options = ListNetworksOptions { filters: Some(HashMap::from([("label".to_owned(), labels.to_vec())])) };
        let found = self.docker.list_networks(Some(options)).await.map_err(during("listing networks"))?;
        Ok(found.into_iter().filter_map(|network| Some((network.id?, network.labels.unwrap_or_default()))).collect())
    }

    /// Removes containers with their volumes and networks that carry all these labels. What is gone already is no error.
    pub async fn remove_all(&self, labels: &[String]) -> Result<(), DockerError> {
        for container in self.containers(labels).await? {
            self.remove_container(&container.id).await?;
        }
        for (network, _) in self.networks(labels).await? {
            self.remove_network(&network).await?;
        }
        Ok(())
    }

    /// A busy machine kills a node more slowly than Docker waits, and Docker then refuses what succeeds a moment later.
    pub async fn remove_container(&self, id: &str) -> Result<(), DockerError> {
        let mut tries = 0;
        loop {
            let options = RemoveContainerOptions { v: true, force: true, link: false };
            match self.docker.remove_container(id, Some(options)).await {
                Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
                // 409: its removal is under way.
                Err(Error::DockerResponseServerError { status_code: 409 | 500, .. }) if tries < REMOVALS => {
                    tries += 1;
                    thaw(id);
                }
                Err(error) => return Err(during("removing a node")(error)),
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    pub async fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        match self.docker.remove_network(id).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(during("removing a network")(error)),
        }
    }

    /// Follows the node's output until a line says one of `words`. Has no end of its own where none comes.
    pub async fn wait_for_line(&self, id: &str, words: &[&str]) -> Result<(), DockerError> {
        let options = LogsOptions { follow: true, stdout: true, stderr: true, tail: "all".to_owned(), ..LogsOptions::default() };
        let mut lines = self.docker.logs(id, Some(options));
        let mut last = String::new();
        while let Some(line) = lines.next().await {
            let line = line.map_err(during("reading what the node says"))?;
            let text = String::from_utf8_lossy(&line.into_bytes()).into_owned();
            if words.iter().any(|word| text.contains(word)) {
                return Ok(());
            }
            if !text.trim().is_empty() {
                last = text.trim().chars().take(300).collect();
            }
        }
        Err(DockerError::known(format!("the node ended while it started; it said: {last}"), "see `docker logs` of a node that kind makes"))
    }

    /// Puts small files into a container: absolute paths, their texts and modes.
    pub async fn upload(&self, id: &str, files: &BTreeMap<String, (String, u32)>) -> Result<(), DockerError> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, (text, mode)) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(*mode);
            header.set_cksum();
            let added = archive.append_data(&mut header, path.trim_start_matches('/'), text.as_bytes());
            added.map_err(|error| during("packing files for a node")(Error::IOError { err: error }))?;
        }
        let bytes = archive.into_inner().map_err(|error| during("packing files for a node")(Error::IOError { err: error }))?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let sent = self.docker.upload_to_container(id, Some(options), bollard::body_full(bytes.into())).await;
        sent.map_err(during("writing files into a node"))
    }

    /// Runs a command in a node, as kind does: privileged, as root.
    pub async fn exec(&self, id: &str, command: &[&str], input: &[u8]) -> Result<Printed, DockerError> {
        let doing = || format!("running {} in a node", command.first().unwrap_or(&"nothing"));
        let options = CreateExecOptions {
            attach_stdin: Some(!input.is_empty()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            privileged: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let made = self.docker.create_exec(id, options).await.map_err(during(doing()))?;
        let started = self.docker.start_exec(&made.id, None).await.map_err(during(doing()))?;
        let mut printed = Printed { code: -1, stdout: String::new(), stderr: String::new() };
        if let StartExecResults::Attached { mut output, input: mut stdin } = started {
            if !input.is_empty() {
                // A command that does not read its input to the end says so by its exit code.
                let _ = stdin.write_all(input).await;
                let _ = stdin.shutdown().await;
            }
            while let Some(piece) = output.next().await {
                let piece = piece.map_err(during(doing()))?;
                let into = if matches!(piece, LogOutput::StdErr { .. }) { &mut printed.stderr } else { &mut printed.stdout };
                if into.len() < OUTPUT {
                    into.push_str(&String::from_utf8_lossy(&piece.into_bytes()));
                }
            }
        }
        printed.code = self.docker.inspect_exec(&made.id).await.map_err(during(doing()))?.exit_code.unwrap_or(-1);
        Ok(printed)
    }

    /// As [`Self::exec`], where anything but exit code 0 is an error with the command's last words.
    pub async fn run(&self, id: &str, command: &[&str], input: &[u8]) -> Result<String, DockerError> {
        let printed = self.exec(id, command, input).await?;
        if printed.code == 0 {
            return Ok(printed.stdout);
        }
        let words = format!("{}\n{}", printed.stdout, printed.stderr);
        let lines: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(6)..].join("\n");
        Err(DockerError::Refused {
            doing: format!("{} in the node ended with code {}", command.first().unwrap_or(&"a command"), printed.code),
            code: 0,
            message: last,
        })
    }
}

/// What the kernel and the disk of this machine say.
fn local_facts(docker_root: Option<&str>) -> Facts {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
    });
    Facts {
        inotify_instances: number("/proc/sys/fs/inotify/max_user_instances"),
        inotify_watches: number("/proc/sys/fs/inotify/max_user_watches"),
        disk: docker_root.and_then(free_bytes),
        memory,
        ..Facts::default()
    }
}

fn free_bytes(folder: &str) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail * found.f_frsize)
}

/// With cgroup v1 a process in a frozen group cannot be killed, and a node that is killed while its runc starts a pod leaves such a
/// group (runc freezes it to set its devices). Works where this process may, as root on Docker's own machine.
fn thaw(id: &str) {
    fn walk(folder: &std::path::Path) {
        let _ = std::fs::write(folder.join("freezer.state"), "THAWED");
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&entry.path());
            }
        }
    }
    let root = std::path::Path::new("/sys/fs/cgroup/freezer");
    for group in [root.join("docker").join(id), root.join("system.slice").join(format!("docker-{id}.scope"))] {
        if group.is_dir() {
            walk(&group);
        }
    }
}

/// `key=value` as Docker's filters want it.
pub fn label(key: &str, value: &str) -> String {
    format!("{key}={value}")
}

/// The filter for everything that a server made.
pub fn of_instance(instance: &str) -> String {
    label(names::INSTANCE, instance)
}
