//! `/proc` and `/sys`: files that the kernel makes up, as far as people look at them.

use super::{
    filesystem::{Errno, Found, Inode, MountKind, View},
    process::Process,
};
use std::sync::Arc;

/// A found path below `/proc` or `/sys` must exist there; it becomes a file or a folder as it is there.
pub fn check(process: &Process, mut found: Found) -> Result<Found, Errno> {
    if found.mount.kind == MountKind::Tree || is_directory(process, &found.path) {
        return Ok(found);
    }
    if let Some(target) = link(process, &found.path) {
        found.inode = Inode::symlink(target).at(process.now());
        return Ok(found);
    }
    match content(process, &found.path) {
        Some(text) => {
            found.inode = Inode::file(text, 0o444).at(process.now());
            Ok(found)
        }
        None => Err(Errno::NotFound),
    }
}

pub fn read(process: &Process, path: &str) -> Result<Vec<u8>, Errno> {
    if is_directory(process, path) {
        return Err(Errno::IsDirectory);
    }
    if path.ends_with("/environ") && !path.contains("/self/") && !may_inspect(process, path) {
        return Err(Errno::PermissionDenied);
    }
    content(process, path).map(String::into_bytes).ok_or(Errno::NotFound)
}

/// Namespaces of a process, with the numbers that the host's own have.
const NAMESPACES: &[(&str, u32)] = &[
    ("cgroup", 4_026_531_835),
    ("ipc", 4_026_531_839),
    ("mnt", 4_026_531_841),
    ("net", 4_026_531_840),
    ("pid", 4_026_531_836),
    ("pid_for_children", 4_026_531_836),
    ("time", 4_026_531_834),
    ("time_for_children", 4_026_531_834),
    ("user", 4_026_531_837),
    ("uts", 4_026_531_838),
];

/// Where the links of a process point: its program, its folder, its namespaces.
fn link(process: &Process, path: &str) -> Option<String> {
    let entry = process.machine.processes.get(pid_of(process, path)?)?;
    let facts = &process.machine.facts;
    match path.splitn(4, '/').nth(3)? {
        "exe" => {
            let program = super::commands::which(process, entry.arguments.first()?);
            let found = process.machine.view.find(&process.who, &program, true);
            Some(found.map_or(program, |found| found.path))
        }
        "cwd" | "root" => Some("/".to_owned()),
        rest => {
            let name = rest.strip_prefix("ns/")?;
            let (_, host) = NAMESPACES.iter().find(|(held, _)| *held == name)?;
            let kind = name.trim_end_matches("_for_children");
            let shared = matches!(kind, "user" | "time") || (kind == "net" && facts.host_network) || (kind == "pid" && facts.host_pid);
            // The node's own processes are in the host's; a container's are counted on from them.
            let own = 4_026_532_200 + u32::from(process.machine.network.address().octets()[3]) * 16 + host % 16;
            Some(format!("{kind}:[{}]", if shared || (facts.host_pid && entry.container.is_empty()) { *host } else { own }))
        }
    }
}

/// Files that the runtime hides from a container that is not privileged: there, and empty.
const MASKED: &[&str] = &["/proc/keys", "/proc/timer_list"];
/// Folders that it hides, and what it mounts so that nothing in it can be written.
const MASKED_FOLDERS: &[&str] = &["/proc/acpi", "/proc/scsi", "/sys/firmware"];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What lies behind `/proc/PID/root` or `/proc/PID/cwd`: the files of that process, and the path in them.
pub fn root_of(process: &Process, found: &Found) -> Option<Result<(Arc<View>, String), Errno>> {
    if found.mount.kind != MountKind::Proc {
        return None;
    }
    let mut parts = found.path.strip_prefix("/proc/")?.splitn(3, '/');
    let (pid, link) = (parts.next()?, parts.next()?);
    if !matches!(link, "root" | "cwd") {
        return None;
    }
    let rest = format!("/{}", parts.next().unwrap_or_default());
    let entry = process.machine.processes.get(if pid == "self" { process.pid } else { pid.parse().ok()? })?;
    if process.who.uid != 0 && (process.who.uid != entry.who.uid || entry.who.capabilities & !process.who.capabilities != 0) {
        return Some(Err(Errno::PermissionDenied));
    }
    Some(entry.root.map(|view| (view, rest)).ok_or(Errno::NotFound))
}

/// Nothing here may be written, unless the container is privileged.
pub fn open_for_write(process: &Process, path: &str) -> Result<(), Errno> {
    if content(process, path).is_none() {
        return Err(Errno::NotFound);
    }
    if path.starts_with("/proc/sys/") || path.starts_with("/sys/") || path == "/proc/sysrq-trigger" {
        if !process.machine.facts.privileged {
            return Err(Errno::ReadOnly);
        }
        return if process.who.uid == 0 { Ok(()) } else { Err(Errno::PermissionDenied) };
    }
    Err(Errno::PermissionDenied)
}

fn may_inspect(process: &Process, path: &str) -> bool {
    let entry = pid_of(process, path).and_then(|pid| process.machine.processes.get(pid));
    entry.is_some_and(|entry| process.who.uid == entry.who.uid || process.who.uid == 0)
}

fn pid_of(process: &Process, path: &str) -> Option<u32> {
    let part = path.strip_prefix("/proc/")?.split('/').next()?;
    if matches!(part, "self" | "thread-self") { Some(process.pid) } else { part.parse().ok() }
}

const SYS_FILES: &[(&str, &str)] = &[
    ("/proc/sys/kernel/panic", "0\n"),
    ("/proc/sys/kernel/shm_rmid_forced", "0\n"),
    ("/proc/sys/kernel/msgmax", "8192\n"),
    ("/proc/sys/net/core/somaxconn", "4096\n"),
    ("/proc/sys/net/ipv4/tcp_syncookies", "1\n"),
    ("/proc/sys/vm/max_map_count", "65530\n"),
    ("/proc/sys/fs/file-max", "9223372036854775807\n"),
    ("/proc/sys/kernel/ostype", "Linux\n"),
    ("/proc/sys/kernel/osrelease", "6.12.0-cordon-simulated\n"),
    ("/proc/sys/kernel/pid_max", "4194304\n"),
    ("/proc/sys/kernel/core_pattern", "core\n"),
    ("/proc/sys/net/ipv4/ip_forward", "1\n"),
    ("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("/proc/sys/net/ipv4/ping_group_range", "1\t0\n"),
    ("/proc/sys/vm/overcommit_memory", "1\n"),
    ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
];

const PROCESS_FILES: &[&str] = &["cgroup", "cmdline", "comm", "environ", "limits", "mountinfo", "mounts", "stat", "status"];
const GLOBAL_FILES: &[&str] = &["cmdline", "cpuinfo", "filesystems", "loadavg", "meminfo", "mounts", "stat", "uptime", "version"];

fn is_directory(process: &Process, path: &str) -> bool {
    if MASKED_FOLDERS.contains(&path) || matches!(path, "/proc/bus" | "/proc/fs" | "/proc/irq") {
        return true;
    }
    if matches!(path, "/proc" | "/sys" | "/proc/sys" | "/proc/net" | "/proc/driver") {
        return path != "/proc/driver" || !process.machine.facts.gpus.is_empty();
    }
    if SYS_FILES.iter().any(|(file, _)| file.starts_with(&format!("{path}/"))) || matches!(path, "/sys/class" | "/sys/devices") {
        return true;
    }
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    parts.len() == 2 && pid_of(process, path).is_some_and(|pid| process.machine.processes.get(pid).is_some())
        || (parts.len() == 3 && matches!(parts[2], "fd" | "ns") && pid_of(process, path).is_some())
        || (path.starts_with("/proc/driver/nvidia")
            && !process.machine.facts.gpus.is_empty()
            && !path.ends_with("/version")
            && path.len() <= 24)
}

pub fn list(process: &Process, path: &str) -> Result<Vec<String>, Errno> {
    if !is_directory(process, path) {
        return Err(Errno::NotDirectory);
    }
    if path == "/proc" {
        let pids = process.machine.processes.all().into_iter().map(|entry| entry.pid.to_string());
        let mut names: Vec<String> = pids.chain(GLOBAL_FILES.iter().map(|f| (*f).to_owned())).collect();
        names.extend(["net", "self", "sys"].map(str::to_owned));
        names.sort();
        return Ok(names);
    }
    if path.ends_with("/ns") {
        return Ok(NAMESPACES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
    if path.ends_with("/fd") {
        // The fourth is the folder itself, for who lists it.
        return Ok(["0", "1", "2", "3"].map(str::to_owned).to_vec());
    }
    if path == "/proc/net" {
        return Ok(["dev", "route", "tcp", "udp"].map(str::to_owned).to_vec());
    }
    if pid_of(process, path).is_some() && path.matches('/').count() == 2 {
        return Ok(PROCESS_FILES.iter().map(|f| (*f).to_owned()).collect());
    }
    let prefix = format!("{path}/");
    let mut names: Vec<String> =
        SYS_FILES.iter().filter_map(|(file, _)| Some(file.strip_prefix(&prefix)?.split('/').next()?.to_owned())).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn content(process: &Process, path: &str) -> Option<String> {
    if let Some(name) = path.strip_prefix("/proc/sys/")
        && let Some(value) = process.machine.facts.sysctls.get(&name.replace('/', "."))
    {
        return Some(format!("{value}\n"));
    }
    if let Some((_, text)) = SYS_FILES.iter().find(|(file, _)| *file == path) {
        return Some((*text).to_owned());
    }
    let facts = &process.machine.facts;
    if path == "/proc/sysrq-trigger" || (MASKED.contains(&path) && !facts.privileged) {
        return Some(String::new());
    }
    match path {
        "/proc/sys/kernel/hostname" => return Some(format!("{}\n", facts.hostname)),
        "/proc/sys/net/ipv4/ip_unprivileged_port_start" => return Some(format!("{}\n", facts.unprivileged_port_start)),
        "/sys/fs/cgroup/memory.max" => {
            return Some(if facts.memory_limit == 0 { "max\n".to_owned() } else { format!("{}\n", facts.memory_limit) });
        }
        "/proc/driver/nvidia/version" if !facts.gpus.is_empty() => {
            return Some("NVRM version: simulated by Cordon (cordon.dev/simulated)\n".to_owned());
        }
        "/proc/version" => return Some("Linux version 6.12.0-cordon-simulated (cordon.dev/simulated)\n".to_owned()),
        "/proc/loadavg" => return Some(format!("0.00 0.01 0.05 1/{} {}\n", process.machine.processes.count(), process.pid)),
        "/proc/uptime" => return Some("86400.00 172800.00\n".to_owned()),
        "/proc/stat" => return Some("cpu  0 0 0 0 0 0 0 0 0 0\n".to_owned()),
        "/proc/cmdline" => return Some("BOOT_IMAGE=/boot/vmlinuz cordon.dev/simulated\n".to_owned()),
        "/proc/filesystems" => return Some("nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\nnodev\toverlay\n\text4\n".to_owned()),
        "/proc/mounts" => return Some(mounts(process)),
        "/proc/meminfo" => {
            let total = facts.memory_total / 1024;
            return Some(format!("MemTotal:       {total} kB\nMemFree:        {} kB\nMemAvailable:   {} kB\n", total / 2, total / 4 * 3));
        }
        "/proc/cpuinfo" => {
            let one = |n| format!("processor\t: {n}\nmodel name\t: simulated by Cordon\n\n");
            return Some((0..facts.cpus.clamp(1, 256)).map(one).collect());
        }
        "/proc/net/dev" | "/proc/net/route" | "/proc/net/tcp" | "/proc/net/udp" => return Some(String::new()),
        _ => {}
    }
    let pid = pid_of(process, path)?;
    let entry = process.machine.processes.get(pid)?;
    if path.contains("/fd/") {
        return Some(String::new());
    }
    let file = path.splitn(4, '/').nth(3)?;
    let program = entry.arguments.first().map_or("", |a| a.rsplit('/').next().unwrap_or(a));
    Some(match file {
        "cmdline" => entry.arguments.iter().flat_map(|a| [a.as_str(), "\0"]).collect(),
        "comm" => format!("{}\n", program.chars().take(15).collect::<String>()),
        "environ" => entry.environment.iter().map(|(n, v)| format!("{n}={v}\0")).collect(),
        "cgroup" => "0::/\n".to_owned(),
        "mounts" => mounts(process),
        "mountinfo" => mounts(process),
        "limits" => "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1048576              1048576              files     \n".to_owned(),
        "stat" => format!("{pid} ({program}) S {} {pid} {pid} 0 -1\n", entry.parent),
        "status" => {
            let who = &entry.who;
            let groups: Vec<_> = who.all_groups().iter().map(ToString::to_string).collect();
            let ids = |id: i64| format!("{id}\t{id}\t{id}\t{id}");
            format!(
                "Name:\t{program}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{}\nTracerPid:\t0\nUid:\t{}\nGid:\t{}\nFDSize:\t64\nGroups:\t{} \nThreads:\t1\nCapInh:\t0000000000000000\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t{}\nSeccomp:\t{}\nSeccomp_filters:\t{}\n",
                entry.parent,
                ids(who.uid),
                ids(who.gid),
                groups.join(" "),
                who.capabilities,
                who.capabilities,
                facts.bounding,
                u8::from(facts.no_new_privileges),
                facts.seccomp,
                u8::from(facts.seccomp == 2),
            )
        }
        _ => return None,
    })
}

/// `/proc/mounts`.
pub fn mounts(process: &Process) -> String {
    let line = |m: super::filesystem::Mount| {
        format!("{} {} {} {}{} 0 0\n", m.source, m.path, m.file_system, if m.read_only { "ro" } else { "rw" }, m.options)
    };
    let own: String = process.machine.view.mounts().into_iter().map(line).collect();
    if process.machine.facts.privileged {
        return own;
    }
    let read_only = READ_ONLY.iter().map(|path| format!("proc {path} proc ro,nosuid,nodev,noexec,relatime 0 0\n"));
    let hidden = MASKED_FOLDERS.iter().map(|path| format!("tmpfs {path} tmpfs ro,relatime 0 0\n"));
    let empty = MASKED.iter().map(|path| format!("tmpfs {path} tmpfs rw,nosuid,size=65536k,mode=755 0 0\n"));
    own + &read_only.chain(hidden).chain(empty).collect::<String>()
}
