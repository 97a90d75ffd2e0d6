//! `jail-launch`: from the server's process to bubblewrap. Started with the terminal as its three streams and an empty environment.
//!
//! As root it first joins the learner's cgroups, makes a mount namespace of its own in which only what the jail needs is put
//! together under `/run/cordon` (so that the learner's uid need not be able to walk through the data folder), and becomes the
//! learner's own unprivileged uid. Then, in every case, it becomes bubblewrap.

use crate::{
    command::{InitPlan, LaunchPlan},
    seccomp,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::stat::{FchmodatFlags, Mode, fchmodat},
    unistd::{Gid, Uid, setgid, setgroups, setuid},
};
use rustix::fs::{MemfdFlags, OFlags};
use std::{
    fs,
    io::{self, Seek, SeekFrom, Write},
    os::{
        fd::{AsRawFd, IntoRawFd, OwnedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

/// Where the launcher puts together what the jail binds. `/run` is there on every Linux and covered only in our own namespace.
const STAGE: &str = "/run";
/// Bytes of `/dev/shm`.
const SHARED_MEMORY: u64 = 16 << 20;

struct Sources {
    tool: PathBuf,
    kubectl: Option<PathBuf>,
    workspace: PathBuf,
    etc: PathBuf,
    socket: PathBuf,
    /// File systems with a limited number of files, for `/tmp` and `/dev/shm`: bubblewrap can limit only the size of those it makes.
    scratch: Option<[PathBuf; 2]>,
}

pub(crate) fn launch(plan: &LaunchPlan) -> Result<u8, String> {
    close_what_was_inherited();
    for procs in &plan.cgroup_procs {
        fs::write(procs, std::process::id().to_string()).map_err(|error| format!("cannot join {}: {error}", procs.display()))?;
    }
    let sources = match plan.uid {
        Some(uid) => {
            let sources = stage(plan)?;
            become_user(uid)?;
            sources
        }
        None => Sources {
            tool: plan.tool.clone(),
            kubectl: plan.kubectl.clone(),
            workspace: plan.workspace.clone(),
            etc: plan.etc.clone(),
            socket: plan.socket.clone(),
            scratch: None,
        },
    };
    let filter = filter_file()?;
    let init = InitPlan { relay_port: plan.relay_port, limits: plan.limits.clone(), argv: plan.argv.clone() };
    let init = serde_json::to_string(&init).map_err(|error| error.to_string())?;
    let mut command = Command::new(&plan.bwrap);
    command.args(arguments(&sources, &plan.limits, &filter)).args(["--", "/opt/cordon/bin/cordon", "jail-init", &init]);
    command.env_clear().envs(plan.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    command.current_dir("/");
    // `exec` returns only when it failed.
    Err(format!("cannot start {}: {}", plan.bwrap.display(), command.exec()))
}

/// The server closes what it opens by itself, but not what it was started with; a script or a service manager may have left
/// anything open. This process has opened nothing yet but its three streams.
fn close_what_was_inherited() {
    let open = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let numbers: Vec<i32> = fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(open).filter(|number| *number > 2).collect();
    for number in numbers {
        // The folder's own is closed already.
        let _ = nix::unistd::close(number);
    }
}

fn become_user(uid: u32) -> Result<(), String> {
    let failed = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
    // The terminal becomes the learner's, so that programs may open it by name.
    if rustix::termios::isatty(std::io::stdin()) {
        nix::unistd::fchown(std::io::stdin(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))
            .map_err(failed("cannot hand over the terminal"))?;
    }
    setgroups(&[]).map_err(failed("cannot drop the groups"))?;
    setgid(Gid::from_raw(uid)).map_err(failed("cannot change the group"))?;
    setuid(Uid::from_raw(uid)).map_err(failed("cannot change the user"))?;
    Ok(())
}

/// Puts the sources together under `/run/cordon` of a mount namespace of our own.
fn stage(plan: &LaunchPlan) -> Result<Sources, String> {
    let failed = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed("cannot make a mount namespace"))?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .map_err(failed("cannot detach the mounts"))?;
    // Opened before /run is covered: the data folder may lie below it.
    let opened: Vec<(&str, OwnedFd, bool)> = [
        ("tool", Some(&plan.tool)),
        ("kubectl", plan.kubectl.as_ref()),
        ("workspace", plan.device.is_none().then_some(&plan.workspace)),
        ("etc", Some(&plan.etc)),
        ("gateway.sock", Some(&plan.socket)),
    ]
    .into_iter()
    .filter_map(|(name, path)| path.map(|path| (name, path)))
    .map(|(name, path)| {
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty())
            .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        Ok((name, file, path.is_dir()))
    })
    .collect::<Result<_, String>>()?;
    mount(Some("cordon"), STAGE, Some("tmpfs"), MsFlags::MS_NODEV | MsFlags::MS_NOSUID, Some("size=64k,mode=755"))
        .map_err(failed("cannot mount the stage"))?;
    let base = Path::new(STAGE).join("cordon");
    fs::create_dir(&base).map_err(|error| format!("cannot make the stage: {error}"))?;
    fchmodat(nix::fcntl::AT_FDCWD, &base, Mode::from_bits_truncate(0o755), FchmodatFlags::FollowSymlink)
        .map_err(failed("cannot open the stage"))?;
    for (name, file, folder) in &opened {
        let target = base.join(name);
        let made = if *folder { fs::create_dir(&target) } else { fs::write(&target, b"") };
        made.map_err(|error| format!("cannot make {}: {error}", target.display()))?;
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        mount(Some(source.as_str()), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(failed("cannot bind a source"))?;
    }
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    let make = |name: &str, source: &Path, kind: &str, flags: MsFlags, data: Option<&str>| {
        let target = base.join(name);
        fs::create_dir(&target).map_err(|error| format!("cannot make {}: {error}", target.display()))?;
        mount(Some(source), &target, Some(kind), flags, data).map_err(failed("cannot mount a file system of the jail"))?;
        Ok::<_, String>(target)
    };
    if let Some(device) = &plan.device {
        let workspace = make("workspace", device, "ext4", flags | MsFlags::MS_NOATIME, None)?;
        // A server that was killed has let go of the device, and it may be another image's by now.
        let owner = fs::metadata(&workspace).map_err(|error| format!("cannot look at the workspace: {error}"))?.uid();
        if plan.uid != Some(owner) {
            return Err(format!("{} is not this learner's any more", device.display()));
        }
    }
    let scratch = |name: &str, bytes: u64| {
        let data = format!("mode=1777,size={bytes},nr_inodes={}", plan.limits.tmp_files);
        make(name, Path::new("tmpfs"), "tmpfs", flags, Some(&data))
    };
    let scratch = Some([scratch("tmp", plan.limits.tmp_bytes)?, scratch("shm", SHARED_MEMORY)?]);
    Ok(Sources {
        scratch,
        tool: base.join("tool"),
        kubectl: plan.kubectl.as_ref().map(|_| base.join("kubectl")),
        workspace: base.join("workspace"),
        etc: base.join("etc"),
        socket: base.join("gateway.sock"),
    })
}

/// The system call filter in a file that bubblewrap inherits.
fn filter_file() -> Result<String, String> {
    let file =
        rustix::fs::memfd_create("cordon-seccomp", MemfdFlags::empty()).map_err(|error| format!("cannot make the filter: {error}"))?;
    let mut file = fs::File::from(file);
    file.write_all(&seccomp::program())
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .map_err(|error| format!("cannot write the filter: {error}"))?;
    // Not close-on-exec, and ours no longer: it belongs to the program that we become.
    Ok(file.into_raw_fd().to_string())
}

/// Bubblewrap's arguments up to the program. Order matters: later mounts lie on earlier ones.
fn arguments(sources: &Sources, limits: &crate::Limits, filter: &str) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| list.extend(words.iter().map(|word| (*word).to_owned()));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    add(&["--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--uid", "1000", "--gid", "1000", "--hostname", "cordon"]);
    add(&["--seccomp", filter, "--ro-bind", "/usr", "/usr"]);
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let path = format!("/{name}");
        match fs::read_link(&path) {
            Ok(target) => add(&["--symlink", &text(&target), &path]),
            Err(_) if Path::new(&path).is_dir() => add(&["--ro-bind", &path, &path]),
            Err(_) => {}
        }
    }
    // What an administrator keeps under /usr/local and /usr/src is not the learner's business.
    for covered in ["/usr/local", "/usr/src"] {
        if Path::new(covered).is_dir() {
            add(&["--size", "4096", "--tmpfs", covered, "--remount-ro", covered]);
        }
    }
    add(&["--ro-bind", &text(&sources.etc), "/etc"]);
    add(&["--ro-bind-try", "/etc/alternatives", "/etc/alternatives", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]);
    add(&["--proc", "/proc", "--dev", "/dev"]);
    match &sources.scratch {
        Some([tmp, shm]) => add(&["--bind", &text(shm), "/dev/shm", "--bind", &text(tmp), "/tmp"]),
        None => {
            for (place, bytes) in [("/dev/shm", SHARED_MEMORY), ("/tmp", limits.tmp_bytes)] {
                add(&["--perms", "1777", "--size", &bytes.to_string(), "--tmpfs", place]);
            }
        }
    }
    add(&["--remount-ro", "/dev"]);
    add(&["--bind", &text(&sources.workspace), "/home/learner"]);
    add(&["--bind", &text(&sources.socket), "/run/cordon/gateway.sock"]);
    add(&["--ro-bind", &text(&sources.tool), "/opt/cordon/bin/cordon"]);
    if let Some(kubectl) = &sources.kubectl {
        add(&["--ro-bind", &text(kubectl), "/opt/cordon/bin/kubectl"]);
    }
    add(&["--remount-ro", "/", "--chdir", "/home/learner"]);
    list
}
