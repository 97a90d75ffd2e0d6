//! Starting one container: files, devices, credentials, process. What containerd and runc do.

use super::{
    env,
    executor::ContainerTasks,
    live::Instance,
    logs::Log,
    runtime::Runtime,
    security::{self, Effective},
    volumes::Volume,
};
use crate::{
    catalogue::{Resolved, ToolSet},
    network::{Listener, PodNetwork, Resolver, Sockets},
    shell::{
        commands,
        filesystem::{Credentials, Inode, Kind, Mount, MountKind, ROOT, Tree, View},
        machine::{Announce, Control, Facts, Gpu, Machine, ProcessEntry, Processes, Spawner as _, Timer},
        process::Process,
        streams::{Input, Output},
    },
};
use apiserver::Client;
use bytes::Bytes;
use jiff::Timestamp;
use machinery::{gvr, object};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};
use tokio::sync::{Notify, mpsc};

/// Where a pod lives, for the containers in it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub node: String,
    pub address: Ipv4Addr,
    pub sockets: Arc<Sockets>,
    pub volumes: BTreeMap<String, Volume>,
    /// The pod's own `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.
    pub files: Arc<Tree>,
    /// Shared where `shareProcessNamespace` says so.
    pub processes: Option<Arc<Processes>>,
    pub resolver: Resolver,
    pub hostname: String,
}

/// Why a container does not start: reason of the waiting state, message, event message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug)]
struct NodeLink {
    runtime: std::sync::Weak<Runtime>,
    node: String,
}

impl Announce for NodeLink {
    fn device_plugin(&self, _resource: &str, present: bool) {
        let Some(runtime) = self.runtime.upgrade() else { return };
        if let Some(node) = runtime.nodes.lock().get_mut(&self.node) {
            node.plugin = Some(present);
            node.plugin_changed = runtime.timer.now();
        }
        runtime.activity.notify_one();
    }

    fn node_labels(&self, labels: BTreeMap<String, String>) {
        let Some(runtime) = self.runtime.upgrade() else { return };
        if let Some(node) = runtime.nodes.lock().get_mut(&self.node) {
            node.labels.extend(labels);
        }
        runtime.activity.notify_one();
    }

    fn node_gpus(&self) -> Vec<Gpu> {
        self.runtime.upgrade().and_then(|r| r.nodes.lock().get(&self.node).map(|n| n.gpus.clone())).unwrap_or_default()
    }

    fn api_server(&self) -> Option<Listener> {
        let (node, listener) = self.runtime.upgrade()?.api_server.clone()?;
        (node == self.node).then_some(listener)
    }

    fn cluster(&self) -> Option<Client> {
        self.runtime.upgrade().map(|runtime| runtime.client.clone())
    }

    fn changes(&self, groups: &'static [&'static str]) -> Arc<Notify> {
        self.runtime.upgrade().map(|runtime| runtime.informers.listen(groups)).unwrap_or_default()
    }
}

const CONFIG: &str = "CreateContainerConfigError";
const CREATE: &str = "CreateContainerError";

/// Everything that is decided before a process exists.
pub struct Prepared {
    machine: Arc<Machine>,
    process: Process,
    arguments: Vec<String>,
    tasks: Arc<ContainerTasks>,
    log: Arc<Log>,
    keyboard: Option<mpsc::Sender<Bytes>>,
    known: bool,
    pub user: (i64, i64, Vec<i64>),
}

/// Makes the container (`Created`), or says why it cannot be.
pub fn prepare(
    runtime: &Arc<Runtime>,
    pod: &Value,
    container: &Value,
    image: &Resolved,
    sandbox: &Sandbox,
    now: Timestamp,
) -> Result<Prepared, Refusal> {
    let config = |message: String| Refusal { reason: CONFIG, message };
    let name = container["name"].as_str().unwrap_or_default();
    let effective = security::effective(pod, container, &image.image).map_err(config)?;
    let devices = devices(runtime, pod, container, sandbox).map_err(config)?;
    let own = env::build(runtime, pod, container, &devices).map_err(config)?;
    if let Some(file) = &effective.seccomp_file {
        let path = format!("/var/lib/kubelet/seccomp/{file}");
        if runtime.node_tree(&sandbox.node, now).find(&path).is_none() {
            let message = format!(
                "failed to create containerd container: cannot load seccomp profile {path:?}: open {path}: no such file or directory"
            );
            return Err(Refusal { reason: CREATE, message });
        }
    }
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    environment.insert("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    environment.insert("HOSTNAME".to_owned(), sandbox.hostname.clone());
    environment.extend(image.image.env.iter().cloned());
    let home = match effective.who.uid {
        0 => "/root".to_owned(),
        uid => image.image.run_as.accounts.iter().find(|a| a.uid == uid && !a.home.is_empty()).map_or("/".to_owned(), |a| a.home.clone()),
    };
    environment.insert("HOME".to_owned(), home);
    if container["tty"] == true {
        environment.insert("TERM".to_owned(), "xterm".to_owned());
    }
    environment.extend(own);
    let visible = environment.get("NVIDIA_VISIBLE_DEVICES").cloned().unwrap_or_default();
    let gpus = if effective.privileged && visible.is_empty() { Vec::new() } else { runtime.visible_gpus(&sandbox.node, &visible) };
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|v| Some(env::expand(v.as_str()?, &environment))).collect()
    };
    let command = strings(&container["command"]);
    let mut given = strings(&container["args"]);
    let mut arguments = if command.is_empty() { image.image.entrypoint.clone() } else { command.clone() };
    if command.is_empty() && given.is_empty() {
        given.clone_from(&image.image.cmd);
    }
    arguments.extend(given);
    if arguments.is_empty() {
        return Err(Refusal {
            reason: CREATE,
            message: "failed to generate container spec: failed to generate spec: no command specified".to_owned(),
        });
    }
    let directory = container["workingDir"].as_str().filter(|d| !d.is_empty()).unwrap_or(&image.image.workdir).to_owned();
    let view = view(runtime, pod, container, image, sandbox, &effective, &gpus, now).map_err(config)?;
    let spec = &pod["spec"];
    let host = |field: &str| spec[field] == true;
    let limit = container["resources"]["limits"]["memory"].as_str().and_then(|m| machinery::quantity::Quantity::parse(m).ok());
    let (memory_total, cpus, node_address, host_processes) = {
        let nodes = runtime.nodes.lock();
        nodes.get(&sandbox.node).map_or((0, 1, sandbox.address, None), |n| (n.memory, n.cpus, n.address, Some(Arc::clone(&n.processes))))
    };
    let sysctls = spec["securityContext"]["sysctls"].as_array().into_iter().flatten();
    let sysctls: BTreeMap<String, String> =
        sysctls.filter_map(|s| Some((s["name"].as_str()?.to_owned(), s["value"].as_str()?.to_owned()))).collect();
    let port_start = sysctls.get("net.ipv4.ip_unprivileged_port_start").and_then(|value| value.parse().ok());
    let host_processes = host_processes.unwrap_or_default();
    if host("hostPID") && host_processes.count() == 0 {
        let files = Arc::new(node_view(runtime, &sandbox.node, now));
        for arguments in NODE_PROGRAMS {
            host_processes.add(node_process(arguments, &files, now));
        }
    }
    // A debugging container may share the processes of the one that it looks at.
    let target = container["targetContainerName"]
        .as_str()
        .and_then(|target| Some(Arc::clone(&runtime.pods.lock().get(object::uid(pod))?.instance(target)?.machine.processes)));
    let processes =
        if host("hostPID") { Arc::clone(&host_processes) } else { target.or_else(|| sandbox.processes.clone()).unwrap_or_default() };
    if !host("hostPID") {
        host_processes.hold(&processes);
    }
    let network = PodNetwork {
        fabric: Arc::clone(&runtime.fabric),
        pod: if host("hostNetwork") { String::new() } else { format!("{}/{}", object::namespace(pod), object::name(pod)) },
        address: sandbox.address,
        sockets: Arc::clone(&sandbox.sockets),
        resolver: sandbox.resolver.clone(),
    };
    let tasks = Arc::new(ContainerTasks::new(&runtime.tasks));
    let timer: Arc<dyn Timer> = runtime.timer.clone();
    let machine = Arc::new(Machine {
        facts: Facts {
            hostname: sandbox.hostname.clone(),
            node: sandbox.node.clone(),
            node_address: node_address.to_string(),
            gpus,
            memory_limit: limit.map_or(0, |q| u64::try_from(q.value()).unwrap_or(0)),
            memory_total,
            cpus,
            unprivileged_port_start: port_start.unwrap_or(1024),
            no_new_privileges: effective.no_new_privileges,
            seccomp: effective.seccomp,
            bounding: effective.bounding,
            permitted: effective.who.capabilities,
            privileged: effective.privileged,
            host_pid: host("hostPID"),
            host_network: host("hostNetwork"),
            container: name.to_owned(),
            sysctls,
        },
        image: Arc::clone(&image.image),
        tools: image.image.tools.clone(),
        view: Arc::new(view),
        processes,
        network: Arc::new(network),
        timer: Arc::clone(&timer),
        spawner: tasks.clone(),
        accounts: image.image.run_as.accounts.iter().map(|a| (a.name.clone(), a.uid, a.gid)).collect(),
        announce: Arc::new(NodeLink { runtime: Arc::downgrade(runtime), node: sandbox.node.clone() }),
        out_of_memory: Arc::default(),
    });
    let log = Arc::new(Log::new(&timer));
    let sink = |stderr| Output::Log { sink: log.clone(), stderr };
    let (keyboard, receiver) = mpsc::channel(16);
    let mut input = Input::channel(receiver);
    input.terminal = container["tty"] == true;
    let keyboard = (container["stdin"] == true).then_some(keyboard);
    let process = Process {
        machine: Arc::clone(&machine),
        who: effective.who.clone(),
        environment,
        directory,
        stdin: if keyboard.is_some() { input } else { Input::empty() },
        stdout: sink(false),
        stderr: sink(true),
        pid: 0,
        parent: 0,
        umask: 0o022,
        control: Arc::new(Control::default()),
        depth: 0,
        name: name.to_owned(),
    };
    let user = (effective.who.uid, effective.who.gid, [vec![effective.who.gid], effective.who.groups].concat());
    Ok(Prepared { machine, process, arguments, tasks, log, keyboard, known: image.known, user })
}

/// What runs on a node beside its pods, as its process list shows it.
const NODE_PROGRAMS: &[&[&str]] = &[
    &["/lib/systemd/systemd"],
    &["/usr/lib/systemd/systemd-journald"],
    &["/usr/bin/containerd"],
    &[
        "/usr/bin/kubelet",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--config=/var/lib/kubelet/config.yaml",
    ],
];

fn node_process(arguments: &[&str], files: &Arc<View>, now: Timestamp) -> ProcessEntry {
    ProcessEntry {
        pid: 0,
        parent: 0,
        arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
        who: Credentials { capabilities: security::ALL, ..Credentials::default() },
        environment: Arc::default(),
        started: now,
        control: Arc::default(),
        // Nobody ends them: a node without its kubelet is not simulated.
        init: true,
        container: String::new(),
        root: Some(Arc::clone(files)),
        from_outside: false,
    }
}

/// A node's own files, as its own processes see them.
fn node_view(runtime: &Runtime, node: &str, now: Timestamp) -> View {
    let mount = |path: &str, tree: Arc<Tree>, kind, source: &str, file_system: &str| Mount {
        path: path.to_owned(),
        tree,
        root: ROOT,
        read_only: false,
        kind,
        source: source.to_owned(),
        file_system: file_system.to_owned(),
        options: ",relatime".to_owned(),
    };
    let kernel = Arc::new(Tree::new(0o555, 0, now));
    let view = View::new(mount("/", runtime.node_tree(node, now), MountKind::Tree, "overlay", "overlay"));
    view.mount(mount("/proc", Arc::clone(&kernel), MountKind::Proc, "proc", "proc"), now);
    view.mount(mount("/sys", kernel, MountKind::Sys, "sysfs", "sysfs"), now);
    view
}

/// The runtime's words where a program cannot be executed.
pub fn cannot_execute(process: &Process, program: &str) -> Option<String> {
    let why = match commands::locate(process, program, process.environment.get("PATH").map(String::as_str)) {
        commands::Located::Program => return None,
        commands::Located::Denied if process.find(program, true).is_ok_and(|found| found.inode.is_directory()) => {
            "is a directory".to_owned()
        }
        commands::Located::Denied => "permission denied".to_owned(),
        commands::Located::Missing if program.contains('/') => format!("stat {program}: no such file or directory"),
        commands::Located::Missing => "executable file not found in $PATH".to_owned(),
    };
    Some(format!("exec: {program:?}: {why}"))
}

impl Prepared {
    /// Starts the first process (`Started`), or gives the runtime's message (`RunContainerError`).
    pub fn start(self, runtime: &Arc<Runtime>, now: Timestamp) -> Result<Instance, String> {
        let Self { machine, mut process, arguments, tasks, log, keyboard, known, .. } = self;
        // What an undescribed image's own program is called, nobody knows: it runs.
        let missing = commands::locate(&process, &arguments[0], None) == commands::Located::Missing;
        let run = if missing && !known { machine.image.entrypoint.clone() } else { arguments.clone() };
        if let Some(why) = cannot_execute(&process, &run[0]) {
            return Err(format!(
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: {why}: unknown"
            ));
        }
        if process.find(&process.directory, true).is_err() && machine.view.find(&process.who, "/", true).is_ok() {
            machine.view.mount(
                Mount {
                    path: process.directory.clone(),
                    tree: Arc::new(Tree::new(0o755, 4 << 20, now)),
                    root: ROOT,
                    read_only: false,
                    kind: MountKind::Tree,
                    source: "overlay".to_owned(),
                    file_system: "overlay".to_owned(),
                    options: String::new(),
                },
                now,
            );
        }
        let environment: Vec<(String, String)> = process.environment.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        let entry = ProcessEntry {
            pid: 0,
            parent: 0,
            arguments: arguments.clone(),
            who: process.who.clone(),
            environment: Arc::new(environment),
            started: now,
            control: Arc::clone(&process.control),
            init: machine.processes.count() == 0,
            container: machine.facts.container.clone(),
            root: Some(Arc::clone(&machine.view)),
            from_outside: false,
        };
        let pid = machine.processes.add(entry);
        process.pid = pid;
        let template = Process { stdin: Input::empty(), ..process.clone() };
        let exit = Arc::new(Mutex::new(None));
        let (done, ended) = (Arc::clone(&exit), Arc::clone(&log));
        let processes = Arc::clone(&machine.processes);
        let task = runtime.tasks.spawn(Box::pin(async move {
            let code = commands::run(&mut process, &run).await;
            processes.remove(pid);
            ended.end();
            *done.lock() = Some(code & 255);
        }));
        Ok(Instance { machine, template, tasks, pid, task, exit, log, stdin: Arc::new(Mutex::new(keyboard)), sessions: Arc::default() })
    }
}

/// Environment that a granted device brings.
fn devices(runtime: &Runtime, pod: &Value, container: &Value, sandbox: &Sandbox) -> Result<Vec<(String, String)>, String> {
    let wanted = gpus_wanted(container);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let granted = runtime.grant_gpus(&sandbox.node, object::uid(pod), container["name"].as_str().unwrap_or_default(), wanted);
    let granted = granted.ok_or_else(|| format!("requested number of devices unavailable for nvidia.com/gpu. Requested: {wanted}"))?;
    let list = granted.iter().map(|g| g.uuid.as_str()).collect::<Vec<_>>().join(",");
    Ok(vec![("NVIDIA_VISIBLE_DEVICES".to_owned(), list)])
}

pub fn gpus_wanted(container: &Value) -> usize {
    let amount = &container["resources"]["limits"]["nvidia.com/gpu"];
    amount.as_u64().or_else(|| amount.as_str()?.parse().ok()).and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}

#[expect(clippy::too_many_arguments, reason = "each is one layer of a container's files")]
fn view(
    runtime: &Runtime,
    pod: &Value,
    container: &Value,
    image: &Resolved,
    sandbox: &Sandbox,
    effective: &Effective,
    gpus: &[Gpu],
    now: Timestamp,
) -> Result<View, String> {
    let over = |path: &str, tree: &Arc<Tree>, root: u64| Mount {
        path: path.to_owned(),
        tree: Arc::clone(tree),
        root,
        read_only: false,
        kind: MountKind::Tree,
        source: "/dev/vda1".to_owned(),
        file_system: "ext4".to_owned(),
        options: ",relatime".to_owned(),
    };
    let tree = Arc::new(root_tree(image, now));
    let view = View::new(Mount { source: "overlay".to_owned(), file_system: "overlay".to_owned(), ..over("/", &tree, ROOT) });
    let kernel = Arc::new(Tree::new(0o555, 0, now));
    view.mount(
        Mount {
            kind: MountKind::Proc,
            source: "proc".to_owned(),
            file_system: "proc".to_owned(),
            options: ",nosuid,nodev,noexec,relatime".to_owned(),
            ..over("/proc", &kernel, ROOT)
        },
        now,
    );
    let dev = Arc::new(device_tree(effective.privileged, gpus, now));
    view.mount(
        Mount {
            source: "tmpfs".to_owned(),
            file_system: "tmpfs".to_owned(),
            options: ",nosuid,size=65536k,mode=755".to_owned(),
            ..over("/dev", &dev, ROOT)
        },
        now,
    );
    view.mount(
        Mount {
            kind: MountKind::Sys,
            read_only: !effective.privileged,
            source: "sysfs".to_owned(),
            file_system: "sysfs".to_owned(),
            options: ",nosuid,nodev,noexec,relatime".to_owned(),
            ..over("/sys", &kernel, ROOT)
        },
        now,
    );
    for file in ["hosts", "resolv.conf", "hostname"] {
        if let Some(id) = sandbox.files.find(file) {
            view.mount(over(&format!("/etc/{file}"), &sandbox.files, id), now);
        }
    }
    let mut mounts: Vec<&Value> = container["volumeMounts"].as_array().into_iter().flatten().collect();
    mounts.sort_by_key(|m| m["mountPath"].as_str().unwrap_or_default().len());
    for mount in mounts {
        let name = mount["name"].as_str().unwrap_or_default();
        let Some(volume) = sandbox.volumes.get(name) else { continue };
        let known: BTreeMap<String, String> = BTreeMap::new();
        let sub = match mount["subPathExpr"].as_str() {
            Some(expression) => {
                let own = env::build(runtime, pod, container, &[])?;
                Some(env::expand(expression, &own.into_iter().chain(known).collect()))
            }
            None => mount["subPath"].as_str().map(str::to_owned),
        };
        let mut root = volume.root;
        if let Some(sub) = sub.filter(|s| !s.is_empty()) {
            // The first name may be a link that the atomic writer made.
            let mode = volume.tree.get(volume.root).map_or(0o750, |inode| inode.mode);
            root = follow(&volume.tree, volume.root, &sub)
                .or_else(|| make_below(&volume.tree, volume.root, &sub, mode & 0o777, now))
                .unwrap_or(root);
        }
        let path = mount["mountPath"].as_str().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let path = crate::shell::filesystem::absolute("/", &path);
        if path == "/" {
            return Err("failed to generate container spec: mounting over / is not possible".to_owned());
        }
        let read_only = mount["readOnly"] == true || volume.read_only;
        view.mount(
            Mount {
                read_only,
                source: volume.source.clone(),
                file_system: volume.file_system.to_owned(),
                options: volume.options.clone(),
                ..over(&path, &volume.tree, root)
            },
            now,
        );
    }
    if effective.read_only_root {
        // From here on: the mount points above had to be made first.
        view.set_read_only("/");
    }
    Ok(view)
}

/// The folder `path` below `root`: it has the volume's permissions, those on the way have what the kubelet's umask leaves of them.
fn make_below(tree: &Tree, root: u64, path: &str, mode: u32, now: Timestamp) -> Option<u64> {
    let folder = Inode::directory(mode & !0o022).at(now);
    let parts = path.split('/').filter(|part| !part.is_empty());
    let made = parts.into_iter().try_fold(root, |at, part| tree.child(at, part).or_else(|| tree.add(at, part, folder.clone()).ok()))?;
    tree.change(made, |inode| inode.mode = mode);
    Some(made)
}

fn follow(tree: &Tree, root: u64, path: &str) -> Option<u64> {
    let mut at = root;
    for part in path.split('/').filter(|p| !p.is_empty()) {
        at = tree.child(at, part)?;
        let mut hops = 0;
        while let Some(Kind::Symlink(target)) = tree.get(at).map(|inode| inode.kind) {
            hops += 1;
            if hops > 8 {
                return None;
            }
            at = target.split('/').filter(|p| !p.is_empty()).try_fold(root, |at, part| {
                let id = tree.child(at, part)?;
                match tree.get(id)?.kind {
                    Kind::Symlink(inner) => tree.child(root, &inner),
                    _ => Some(id),
                }
            })?;
        }
    }
    Some(at)
}

fn root_tree(image: &Resolved, now: Timestamp) -> Tree {
    let tree = Tree::new(0o755, 48 << 20, now);
    let image = &image.image;
    let tools = &image.tools;
    let folder = |path: &str, mode| tree.put(path, Inode::directory(mode).at(now));
    for path in ["/dev", "/etc", "/proc", "/sys", "/var"] {
        folder(path, 0o755);
    }
    folder("/tmp", 0o1777);
    if tools.set != ToolSet::None {
        for path in ["/bin", "/home", "/mnt", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/var/log", "/var/spool"] {
            folder(path, 0o755);
        }
        folder("/root", 0o700);
        let programs = commands::NAMES.iter().filter(|name| tools.has(name) && !matches!(**name, "busybox"));
        if tools.set == ToolSet::Debian {
            for path in ["/opt", "/srv", "/run", "/lib", "/sbin", "/boot", "/media", "/usr/share"] {
                folder(path, 0o755);
            }
            for name in programs {
                tree.put(&format!("/bin/{name}"), Inode::file("\x7fELF", 0o755).at(now));
            }
        } else {
            tree.put("/bin/busybox", Inode::file("\x7fELF", 0o755).at(now));
            for name in programs {
                tree.put(&format!("/bin/{name}"), Inode::symlink("/bin/busybox").at(now));
            }
        }
    }
    let accounts = &image.run_as.accounts;
    let passwd: String = std::iter::once("root:x:0:0:root:/root:/bin/sh\n".to_owned())
        .chain(accounts.iter().map(|a| {
            format!("{}:x:{}:{}:{}:{}:/sbin/nologin\n", a.name, a.uid, a.gid, a.name, if a.home.is_empty() { "/" } else { &a.home })
        }))
        .collect();
    let group: String =
        std::iter::once("root:x:0:\n".to_owned()).chain(accounts.iter().map(|a| format!("{}:x:{}:\n", a.name, a.gid))).collect();
    tree.put("/etc/passwd", Inode::file(passwd, 0o644).at(now));
    tree.put("/etc/group", Inode::file(group, 0o644).at(now));
    tree.put("/etc/shadow", Inode::file("root:*:::::::\n", 0o640).at(now));
    if !image.os.is_empty() {
        let (id, version) = image.os.split_once(' ').unwrap_or((&image.os, ""));
        tree.put(
            "/etc/os-release",
            Inode::file(format!("PRETTY_NAME=\"{} (simulated by Cordon)\"\nID={id}\nVERSION_ID={version}\n", image.os), 0o644).at(now),
        );
    }
    for program in image.programs.iter().chain(image.entrypoint.first()).filter(|p| p.starts_with('/')) {
        tree.put(program, Inode::file("\x7fELF", 0o755).at(now));
    }
    let owner = image.run_as.uid();
    for path in &image.directories {
        tree.put(path, Inode::directory(0o755).owned(owner, image.run_as.gid(owner)).at(now));
    }
    for path in image.writes.iter().filter(|p| tree.find(p).is_none()) {
        tree.put(path, Inode::directory(0o755).owned(owner, image.run_as.gid(owner)).at(now));
    }
    for file in &image.files {
        let mode = u32::from_str_radix(&file.mode, 8).unwrap_or(0o644);
        tree.put(&file.path, Inode::file(file.content.clone(), mode).owned(file.uid, file.gid).at(now));
    }
    tree
}

fn device_tree(privileged: bool, gpus: &[Gpu], now: Timestamp) -> Tree {
    let tree = Tree::new(0o755, 1 << 20, now);
    for (name, major, minor) in
        [("full", 1, 7), ("null", 1, 3), ("ptmx", 5, 2), ("random", 1, 8), ("tty", 5, 0), ("urandom", 1, 9), ("zero", 1, 5)]
    {
        tree.put(name, Inode::device(major, minor).at(now));
    }
    for (name, target) in
        [("fd", "/proc/self/fd"), ("stderr", "/proc/self/fd/2"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1")]
    {
        tree.put(name, Inode::symlink(target).at(now));
    }
    for folder in ["mqueue", "pts", "shm"] {
        tree.put(folder, Inode::directory(0o1777).at(now));
    }
    tree.put("termination-log", Inode::file("", 0o666).at(now));
    if privileged {
        for (i, name) in [
            "autofs",
            "btrfs-control",
            "console",
            "cpu_dma_latency",
            "fuse",
            "hpet",
            "kmsg",
            "kvm",
            "loop-control",
            "loop0",
            "mem",
            "net",
            "rtc0",
            "snapshot",
            "vda",
            "vda1",
            "vfio",
            "vhost-net",
        ]
        .iter()
        .enumerate()
        {
            tree.put(name, Inode::device(10, u32::try_from(i).unwrap_or(0)).at(now));
        }
    }
    for number in (0..16).filter(|_| privileged) {
        tree.put(&format!("tty{number}"), Inode::device(4, number).at(now));
    }
    for gpu in gpus {
        tree.put(&format!("nvidia{}", gpu.index), Inode::device(195, gpu.index).at(now));
    }
    if !gpus.is_empty() {
        for (name, minor) in [("nvidiactl", 255), ("nvidia-uvm", 0), ("nvidia-uvm-tools", 1)] {
            tree.put(name, Inode::device(195, minor).at(now));
        }
    }
    tree
}

/// The process namespace of a pod whose containers share it: the sandbox's own program is the first.
pub fn shared_processes(now: Timestamp) -> Arc<Processes> {
    let processes = Arc::<Processes>::default();
    let who = Credentials { uid: 65_535, gid: 65_535, ..Credentials::default() };
    processes.add(ProcessEntry { who, root: None, ..node_process(&["/pause"], &Arc::new(View::empty(now)), now) });
    processes
}

/// The pod's sandbox files and resolver.
pub fn sandbox_files(runtime: &Runtime, pod: &Value, hostname: &str, address: Ipv4Addr, now: Timestamp) -> (Arc<Tree>, Resolver) {
    let spec = &pod["spec"];
    let namespace = object::namespace(pod);
    let mut hosts: BTreeMap<String, Ipv4Addr> =
        BTreeMap::from([("localhost".to_owned(), Ipv4Addr::LOCALHOST), (hostname.to_lowercase(), address)]);
    let whose = if spec["hostNetwork"] == true { " (host network)" } else { "" };
    let mut text = format!(
        "# Kubernetes-managed hosts file{whose}.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
    );
    text.push_str(&match spec["subdomain"].as_str().filter(|s| !s.is_empty() && spec["hostNetwork"] != true) {
        Some(subdomain) => {
            let full = format!("{hostname}.{subdomain}.{namespace}.svc.cluster.local");
            hosts.insert(full.to_lowercase(), address);
            format!("{address}\t{full}\t{hostname}\n")
        }
        None => format!("{address}\t{hostname}\n"),
    });
    let aliases: Vec<&Value> = spec["hostAliases"].as_array().into_iter().flatten().collect();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names: Vec<&str> = alias["hostnames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let ip = alias["ip"].as_str().unwrap_or_default();
            text.push_str(&format!("{ip}\t{}\n", names.join("\t")));
            if let Ok(ip) = ip.parse() {
                hosts.extend(names.iter().map(|n| (n.to_lowercase(), ip)));
            }
        }
    }
    let (resolv, resolver) = resolver(runtime, spec, namespace, hosts);
    let files = Tree::new(0o755, 1 << 20, now);
    files.put("hosts", Inode::file(text, 0o644).at(now));
    files.put("resolv.conf", Inode::file(resolv, 0o644).at(now));
    files.put("hostname", Inode::file(format!("{hostname}\n"), 0o644).at(now));
    (Arc::new(files), resolver)
}

/// `/etc/resolv.conf` as the policy and the pod's own settings make it (pkg/kubelet/network/dns/dns.go), and what it means.
fn resolver(runtime: &Runtime, spec: &Value, namespace: &str, hosts: BTreeMap<String, Ipv4Addr>) -> (String, Resolver) {
    let policy = spec["dnsPolicy"].as_str().unwrap_or("ClusterFirst");
    let of_cluster = policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && spec["hostNetwork"] != true);
    let dns = runtime.client.get(gvr::SERVICES, "kube-system", "kube-dns").and_then(|s| s["spec"]["clusterIP"].as_str()?.parse().ok());
    let dns = dns.unwrap_or(Ipv4Addr::new(10, 96, 0, 10));
    let (mut servers, mut search, mut options): (Vec<String>, Vec<String>, Vec<(String, String)>) = match policy {
        "None" => (Vec::new(), Vec::new(), Vec::new()),
        _ if of_cluster => (
            vec![dns.to_string()],
            vec![format!("{namespace}.svc.cluster.local"), "svc.cluster.local".to_owned(), "cluster.local".to_owned()],
            vec![("ndots".to_owned(), "5".to_owned())],
        ),
        // The node's own file.
        _ => (vec!["172.18.0.1".to_owned()], Vec::new(), Vec::new()),
    };
    let config = &spec["dnsConfig"];
    let more = |list: &mut Vec<String>, key: &str| {
        for item in config[key].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !list.iter().any(|held| held == item) {
                list.push(item.to_owned());
            }
        }
    };
    more(&mut servers, "nameservers");
    more(&mut search, "searches");
    for option in config["options"].as_array().into_iter().flatten() {
        let (name, value) = (option["name"].as_str().unwrap_or_default(), option["value"].as_str().unwrap_or_default().to_owned());
        match options.iter_mut().find(|(held, _)| held == name) {
            Some((_, held)) => *held = value,
            None => options.push((name.to_owned(), value)),
        }
    }
    let ndots = options.iter().find(|(name, _)| name == "ndots").and_then(|(_, value)| value.parse().ok()).unwrap_or(1);
    let mut resolv = if search.is_empty() { String::new() } else { format!("search {}\n", search.join(" ")) };
    resolv.extend(servers.iter().map(|server| format!("nameserver {server}\n")));
    if !options.is_empty() {
        let words: Vec<_> = options.iter().map(|(n, v)| if v.is_empty() { n.clone() } else { format!("{n}:{v}") }).collect();
        resolv.push_str(&format!("options {}\n", words.join(" ")));
    }
    let nameserver = servers.first().and_then(|server| server.parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST);
    (resolv, Resolver { cluster: nameserver == dns, nameserver, search, ndots, hosts })
}

/// Ends an instance at once: processes, tasks, sessions, ports.
pub fn kill(runtime: &Runtime, instance: &Instance, code: i32) {
    instance.template.control.signal(9);
    runtime.tasks.cancel(instance.task);
    instance.tasks.end();
    instance.machine.processes.remove(instance.pid);
    for session in instance.sessions.lock().drain(..).filter_map(|s| s.upgrade()) {
        session.signal(9);
    }
    instance.log.end();
    instance.exit.lock().get_or_insert(code);
}

/// How a background task inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// Exit code, everything that it wrote, and what of it went to the error stream.
    Exited(i32, String, String),
    /// The runtime could not start it.
    Failed(String),
}

/// A background task inside the container, as a probe or a hook.
pub fn spawn_inside(instance: &Instance, arguments: Vec<String>, done: impl FnOnce(Ran) + Send + 'static) {
    let (stdout, both) = Output::buffer();
    let (stderr, errors) = Output::buffer();
    let mut process = Process {
        stdout: stdout.clone(),
        stderr: Output::Both(Box::new(stdout), Box::new(stderr)),
        stdin: Input::empty(),
        control: Arc::new(Control::default()),
        pid: 0,
        ..instance.template.clone()
    };
    if let Some(why) = cannot_execute(&process, arguments.first().map_or("", String::as_str)) {
        let id = hex::encode(Sha256::digest(format!("{}{arguments:?}", instance.pid)));
        done(Ran::Failed(format!(
            "rpc error: code = Unknown desc = failed to exec in container: failed to start exec {id:?}: OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown"
        )));
        return;
    }
    instance.tasks.spawn(Box::pin(async move {
        let code = commands::run(&mut process, &arguments).await;
        let text = |buffer: &Mutex<Vec<u8>>| String::from_utf8_lossy(&buffer.lock()).into_owned();
        done(Ran::Exited(code, text(&both), text(&errors)));
    }));
}
