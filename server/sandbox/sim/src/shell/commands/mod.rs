//! The programs of a container: which exist, and running one.

mod archive;
mod awk;
mod content;
mod copy;
mod disk;
mod echo;
mod entries;
mod find;
mod grep;
mod identity;
mod kernel;
pub mod kill;
mod links;
mod ls;
mod namespaces;
mod net;
mod nslookup;
mod nvidia_smi;
mod options;
mod ownership;
mod printf;
mod ps;
mod python;
mod sed;
mod sh;
mod sleep;
mod sort;
mod system;
mod test;
mod text;
mod transfer;

use super::{
    filesystem::{Kind, MountKind},
    process::Process,
};
use futures::future::BoxFuture;
use options::Options;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    Program,
    /// There, but not to be executed.
    Denied,
    Missing,
}

/// Every program that the shell can run, image permitting.
pub const NAMES: &[&str] = &[
    "[",
    "arch",
    "arp",
    "ash",
    "awk",
    "base64",
    "basename",
    "bash",
    "busybox",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "clear",
    "cmp",
    "cp",
    "curl",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dig",
    "dirname",
    "dmesg",
    "dnsdomainname",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "free",
    "grep",
    "groups",
    "head",
    "hexdump",
    "host",
    "hostname",
    "halt",
    "httpd",
    "id",
    "ifconfig",
    "insmod",
    "install",
    "ip",
    "kill",
    "killall",
    "less",
    "link",
    "ln",
    "ls",
    "lsmod",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "modprobe",
    "more",
    "mount",
    "mv",
    "nc",
    "netstat",
    "nohup",
    "nproc",
    "nsenter",
    "nslookup",
    "nvidia-smi",
    "od",
    "pgrep",
    "pidof",
    "ping",
    "pkill",
    "poweroff",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "python",
    "python3",
    "readlink",
    "realpath",
    "reboot",
    "rev",
    "rm",
    "rmdir",
    "rmmod",
    "route",
    "sed",
    "seq",
    "setpriv",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "ss",
    "stat",
    "su",
    "sync",
    "sysctl",
    "tac",
    "tail",
    "tar",
    "tee",
    "telnet",
    "test",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "traceroute",
    "true",
    "truncate",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unshare",
    "unlink",
    "uptime",
    "usleep",
    "vi",
    "watch",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "xxd",
    "yes",
    "zsh",
];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether `name` is a program here, as `execvp` would find it.
pub fn locate(process: &Process, name: &str, path: Option<&str>) -> Located {
    let machine = &process.machine;
    if machine.image.is_own_program(name) || machine.tools.extra.iter().any(|extra| extra == name) {
        return Located::Program;
    }
    if name.contains('/') {
        return match process.find(name, true) {
            Ok(found) if found.inode.is_directory() || found.mount.kind != MountKind::Tree => Located::Denied,
            Ok(found) if process.who.allows(&found.inode, 1) && found.inode.mode & 0o111 != 0 => Located::Program,
            Ok(_) => Located::Denied,
            Err(super::filesystem::Errno::PermissionDenied) => Located::Denied,
            Err(_) => Located::Missing,
        };
    }
    if name == "nvidia-smi" && !machine.facts.gpus.is_empty() {
        return Located::Program;
    }
    if NAMES.contains(&name) && machine.tools.has(name) {
        return Located::Program;
    }
    let mut outcome = Located::Missing;
    for folder in path.unwrap_or(DEFAULT_PATH).split(':').filter(|f| f.starts_with('/')) {
        match locate(process, &format!("{folder}/{name}"), None) {
            Located::Program => return Located::Program,
            Located::Denied => outcome = Located::Denied,
            Located::Missing => {}
        }
    }
    outcome
}

pub fn which(process: &Process, name: &str) -> String {
    if name.contains('/') {
        return name.to_owned();
    }
    let own = process.machine.image.programs.iter().find(|own| base(own) == name && own.contains('/'));
    let in_folder = |folder: &&&str| process.exists(&format!("{folder}/{name}"));
    match (own, ["/usr/local/bin", "/usr/bin", "/bin"].iter().find(in_folder)) {
        (Some(own), _) => own.clone(),
        (None, Some(folder)) => format!("{folder}/{name}"),
        (None, None) => format!("/bin/{name}"),
    }
}

/// A program's future, made on the heap in a frame of its own: programs call each other, and all share one stack.
macro_rules! heap {
    ($future:expr) => {
        made(move || Box::pin($future)).await
    };
}

fn made<'a>(make: impl FnOnce() -> BoxFuture<'a, i32>) -> BoxFuture<'a, i32> {
    make()
}

/// Runs a program that [`locate`] has found; returns its exit code.
pub fn run<'a>(process: &'a mut Process, arguments: &'a [String]) -> BoxFuture<'a, i32> {
    Box::pin(program(process, arguments))
}

async fn program(process: &mut Process, arguments: &[String]) -> i32 {
    let Some(program) = arguments.first() else { return 0 };
    if process.depth > crate::shell::interpreter::MOST_DEPTH {
        process.err(format!("{program}: can't fork: Resource temporarily unavailable\n")).await;
        return 254;
    }
    process.depth += 1;
    if process.machine.image.is_own_program(program) {
        return crate::components::run(process, arguments).await;
    }
    let mut name = base(program).to_owned();
    if program.contains('/') && !process.machine.tools.extra.iter().any(|extra| extra == program) {
        // A link to busybox, a script, or nothing that we can run.
        match process.find(program, true).map(|found| (found.inode.kind, found.path)) {
            Ok((Kind::File(content), _)) if !content.is_empty() && !content.starts_with(b"\x7fELF") => {
                return sh::script(process, arguments, &content).await;
            }
            Ok((_, path)) if NAMES.contains(&base(&path)) && base(&path) != "busybox" => name = base(&path).to_owned(),
            _ => {}
        }
    } else if program.ends_with("/entrypoint.sh") || program.ends_with("_entrypoint.sh") {
        // An entrypoint that only hands over to its arguments.
        return match arguments.get(1) {
            Some(next) if locate(process, next, None) == Located::Program => Box::pin(run(process, &arguments[1..])).await,
            Some(_) => Box::pin(run(process, &[vec!["curl".to_owned()], arguments[1..].to_vec()].concat())).await,
            None => 0,
        };
    } else if !NAMES.contains(&name.as_str()) {
        let path = process.environment.get("PATH").cloned().unwrap_or_else(|| DEFAULT_PATH.to_owned());
        let found = path.split(':').map(|folder| format!("{folder}/{name}")).find(|p| process.exists(p));
        if let Some(full) = found {
            return Box::pin(run(process, &[vec![full], arguments[1..].to_vec()].concat())).await;
        }
    }
    if name == "busybox" {
        let Some(applet) = arguments.get(1) else {
            process.out("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n").await;
            return 0;
        };
        return if NAMES.contains(&applet.as_str()) {
            Box::pin(run(process, &arguments[1..])).await
        } else {
            process.err(format!("{applet}: applet not found\n")).await;
            127
        };
    }
    process.name.clone_from(&name);
    let rest = &arguments[1..];
    let name = name.as_str();
    match name {
        "sh" | "ash" | "bash" | "zsh" => heap!(sh::run(process, arguments)),
        "ls" => heap!(ls::run(process, rest)),
        "cat" | "tac" | "head" | "tail" | "tee" | "wc" | "rev" | "less" | "more" => heap!(content::run(process, name, rest)),
        "touch" | "mkdir" | "rmdir" | "rm" | "mkfifo" | "mknod" | "truncate" | "mktemp" | "unlink" => {
            heap!(entries::run(process, name, rest))
        }
        "cp" | "mv" | "install" => heap!(copy::run(process, name, rest)),
        "ln" | "link" | "readlink" | "realpath" | "stat" => heap!(links::run(process, name, rest)),
        "chmod" | "chown" | "chgrp" => heap!(ownership::run(process, name, rest)),
        "df" | "du" | "mount" | "umount" | "dd" | "sync" => heap!(disk::run(process, name, rest)),
        "find" => heap!(find::run(process, rest)),
        "echo" | "yes" => heap!(echo::run(process, name, rest)),
        "printf" => heap!(printf::run(process, rest)),
        "test" | "[" => heap!(test::run(process, name, rest)),
        "grep" | "egrep" | "fgrep" => heap!(grep::run(process, name, rest)),
        "sed" => heap!(sed::run(process, rest)),
        "awk" => heap!(awk::run(process, rest)),
        "sort" | "uniq" => heap!(sort::run(process, name, rest)),
        "cut" | "tr" | "seq" | "xargs" | "base64" | "md5sum" | "sha256sum" | "od" | "hexdump" | "xxd" | "basename" | "dirname" | "expr"
        | "cmp" | "diff" => heap!(text::run(process, name, rest)),
        "id" | "whoami" | "groups" | "su" => heap!(identity::run(process, name, rest)),
        "hostname" | "dnsdomainname" | "uname" | "date" | "uptime" | "free" | "nproc" | "arch" | "env" | "printenv" | "pwd" | "which"
        | "tty" | "clear" | "true" | "false" | "vi" => heap!(system::run(process, name, rest)),
        "ps" | "top" | "pidof" | "pgrep" => heap!(ps::run(process, name, rest)),
        "kill" | "killall" | "pkill" => heap!(kill::run(process, name, rest)),
        "sleep" | "usleep" | "timeout" | "nohup" | "time" | "watch" => heap!(sleep::run(process, name, rest)),
        "chroot" | "nsenter" | "unshare" | "setpriv" | "setsid" => heap!(namespaces::run(process, name, rest)),
        "tar" => heap!(archive::run(process, rest)),
        "sysctl" | "dmesg" | "lsmod" | "insmod" | "modprobe" | "rmmod" | "reboot" | "halt" | "poweroff" => {
            heap!(kernel::run(process, name, rest))
        }
        "wget" | "curl" => heap!(transfer::run(process, name, rest)),
        "nslookup" => heap!(nslookup::run(process, rest)),
        "nc" | "telnet" | "dig" | "host" | "ping" | "ip" | "ifconfig" | "route" | "arp" | "netstat" | "ss" | "httpd" | "traceroute" => {
            heap!(net::run(process, name, rest))
        }
        "nvidia-smi" => heap!(nvidia_smi::run(process, rest)),
        "python" | "python3" => heap!(python::run(process, rest)),
        _ => {
            process.err(format!("{name}: this program is not simulated by Cordon (cordon.dev/simulated)\n")).await;
            126
        }
    }
}

/// Content of the operands, or of the input where there are none; complains of those that cannot be read.
async fn inputs(process: &Process, files: &[String]) -> (Vec<(String, Vec<u8>)>, i32) {
    if files.is_empty() {
        return (vec![("-".to_owned(), process.stdin.all().await)], 0);
    }
    let (mut out, mut status) = (Vec::new(), 0);
    for file in files {
        if file == "-" {
            out.push((file.clone(), process.stdin.all().await));
            continue;
        }
        match process.open(file) {
            Ok(input) => out.push((file.clone(), input.all().await)),
            Err(error) => {
                status = 1;
                cannot_open(process, file, error).await;
            }
        }
    }
    (out, status)
}

async fn cannot_open(process: &Process, file: &str, error: super::filesystem::Errno) {
    match error {
        super::filesystem::Errno::IsDirectory => process.complain(format!("read error: {error}")).await,
        _ if matches!(process.name.as_str(), "cat" | "tail" | "tac" | "rev" | "uniq" | "md5sum" | "sha256sum" | "less" | "more") => {
            process.complain(format!("can't open '{file}': {error}")).await;
        }
        _ => process.complain(format!("{file}: {error}")).await,
    }
}
