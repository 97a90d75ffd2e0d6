//! Attacks on what is not the learner's, made from inside the jail. Where bubblewrap cannot run they print why and judge nothing.

mod common;

use common::{again_without_root, not_run, room, run};
use std::{collections::BTreeMap, os::linux::net::SocketAddrExt, os::unix::net, path::Path};
use tokio::net::TcpListener;

#[test]
fn the_same_without_root() {
    again_without_root("the_same_without_root");
}

#[tokio::test]
async fn nothing_of_the_host_is_within_reach() {
    let Some(room) = room(|_| ()).await else { return };
    let other = room.jails.workspace("other").unwrap();
    other.write("secret.yaml", b"another learner's").unwrap();
    let mut spec = room.spec();
    spec.kubeconfig.push_str("# token-of-the-other\n");
    room.jails.shell("other", &spec).await.unwrap();
    std::fs::write(room.folder.path().join("database"), "the data folder").unwrap();
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host_port = host.local_addr().unwrap().port();
    let pid = std::process::id();
    let name = format!("cordon-attack-{pid}");
    let _abstract = net::UnixListener::bind_addr(&net::SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let data = room.folder.path().display().to_string();
    let shell = room.shell("one").await;
    let mut failures = Vec::new();
    for (what, command, expected, never) in [
        ("it is a shell with job control", "sleep 50 & jobs; kill %1; set -o | cat | tr -s ' \\t' '  ' | sed -n 's/^monitor/mon/p'".to_owned(), "mon on", "no job control"),
        ("who", "id -u; id -un; hostname".to_owned(), "learner", "root"),
        ("other learners' files", format!("cat {data}/jail/workspaces/other/secret.yaml; find / -name secret.yaml 2>/dev/null"), "No such file", "another learner"),
        ("another learner's kubeconfig", format!("cat {data}/jail/workspaces/other/.kube/config {data}/jail/run/other/kubeconfig; grep -rs ken-of-the-other /home /run /tmp /opt /etc /var /dev/shm"), "No such file", "token"),
        ("images of workspaces", format!("ls {data}/jail/images /dev/loop0 /dev/loop-control"), "No such file", "ext4\r\n"),
        ("the data folder", format!("cat {data}/database; ls {data}"), "No such file", "the data folder"),
        ("the host's /etc", "cat /etc/shadow; grep -c . /etc/passwd".to_owned(), "3\r\n", "root:$"),
        ("host processes", format!("ls /proc | grep -x {pid}; ls /proc | grep -cE '^[0-9]+$'; kill -0 {pid}"), "No such process", "Operation not permitted"),
        ("signalling pid 1", "kill -9 1; kill -TERM 1; echo alive".to_owned(), "alive", "ended"),
        ("reading pid 1", "ls -l /proc/1/exe /proc/1/fd /proc/1/root; cat /proc/1/environ; head -c 1 /proc/1/mem".to_owned(), "Permission denied", "cordon-jail"),
        ("host network", format!("ls /sys/class/net; cat /proc/net/dev | grep -c :; (exec 3<>/dev/tcp/127.0.0.1/{host_port})"), "Connection refused", "eth0"),
        ("another address", "(exec 3<>/dev/tcp/10.255.255.1/80)".to_owned(), "unreachable", "<0>"),
        ("abstract sockets of the host", format!("perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); print connect(S, pack_sockaddr_un(\"\\0{name}\")) ? \"inside\" : \"outside: $!\"'"), "outside: Connection refused", "inside"),
        ("the relay reaches the gateway", "(exec 3<>/dev/tcp/127.0.0.1/6443; echo hello >&3; cat <&3)".to_owned(), "gateway heard hello", "refused"),
        ("the relay does not take orders", format!("(exec 3<>/dev/tcp/127.0.0.1/6443; printf 'CONNECT 127.0.0.1:{host_port} HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3)"), "gateway heard CONNECT", " 200 "),
        ("the way to the gateway stays", "rm -f /run/cordon/gateway.sock; ln -sf /tmp/x /run/cordon/gateway.sock; touch /run/cordon/x; ls /run/cordon".to_owned(), "cannot remove", "<1>"),
        ("kernel settings", "echo 1 > /proc/sys/kernel/hostname; echo c > /proc/sysrq-trigger; echo 7 > /proc/sys/vm/drop_caches".to_owned(), "drop_caches: ", "<0>"),
        ("kernel memory and log", "for f in kcore kmsg timer_list 1/mem; do head -c 1 /proc/$f > /dev/null 2>&1 && echo open $f; done; cat /sys/kernel/notes; dmesg".to_owned(), "No such file", "open "),
        ("control groups", "ls /sys/fs/cgroup; mount -t cgroup2 none /tmp".to_owned(), "No such file", "cgroup.procs"),
        ("its own limits", "ulimit -u 100000; ulimit -f unlimited; ulimit -n 100000; prlimit --pid $$ --nproc=100000".to_owned(), "cannot modify limit", "<0>"),
        ("programs are read-only", "touch /usr/bin/x /bin/x /lib/x /etc/x /opt/cordon/bin/x /x /run/x /dev/x 2>&1 | grep -c -e 'Read-only' -e denied".to_owned(), "8", "No such"),
        ("hard links to what is not the learner's", "ln /etc/passwd ~/p; ln /opt/cordon/bin/cordon ~/c; ln /usr/bin/passwd ~/q; ls ~".to_owned(), "ross-device link", "passwd\r\n"),
        ("setuid gives nothing", "cp /bin/bash ~/b; chmod u+s ~/b; ~/b -p -c 'id -u; grep -e CapEff -e NoNewPrivs /proc/self/status'; su -c id </dev/null; rm ~/b".to_owned(), "NoNewPrivs:\t1", "uid=0"),
        ("no capabilities", "cat /proc/self/status | tr '\\t' ' '".to_owned(), "CapEff: 0000000000000000", "CapBnd: 000001ff"),
        ("new namespaces", "unshare -Ur id; unshare -m true; mount -t tmpfs x /tmp".to_owned(), "Operation not permitted", "uid=0"),
        ("namespaces by clone", "perl -e 'for (0x10000000, 0x20000, 0x40000000) { my $r = syscall(56, $_ | 17, 0, 0, 0, 0); exit if $r == 0; print \"$r \" }'; uname -m | sed 's/aarch64/-1 -1 -1/'".to_owned(), "-1 -1 -1", "Killed"),
        ("typing into the terminal", "perl -e '$x = \"x\"; ioctl(STDIN, 0x5412, $x) or print \"denied: $!\\n\"'".to_owned(), "denied: Operation not permitted", "<1>"),
        ("other terminals", "ls /dev/pts; for n in 0 1 2 3; do echo planted > /dev/pts/$n; done".to_owned(), "ptmx", "<0>"),
        ("the host's devices", "ls /dev/sda /dev/vda /dev/kmsg /dev/mem /dev/nvidia0 /dev/fuse 2>&1 | grep -c 'No such file'; mknod ~/disk b 8 0".to_owned(), "Operation not permitted", "<0>"),
        ("the host's environment", "env | grep -c -e CARGO -e PATH=/root; cat /proc/self/environ | tr '\\0' '\\n' | grep -c CARGO".to_owned(), "0\r\n0\r\n", "CARGO_"),
        ("the server's descriptors", "command ls -m /proc/$$/fd".to_owned(), "0, 1, 2, 255\r\n", " 3"),
        ("keys of the host", "cat /proc/keys | grep -v _pid\\\\. | grep -c -e cifs -e kerberos -e user:".to_owned(), "0\r\n", "<0>"),
        ("other people's sockets", "ls /run /tmp /var 2>&1".to_owned(), "cordon", "docker.sock"),
    ] {
        let printed = run(&shell, &command).await;
        if !printed.contains(expected) || printed.contains(never) {
            failures.push(format!("{what}: expected {expected:?} and never {never:?} in\n{printed}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n---\n"));
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn dangerous_system_calls_are_refused() {
    let Some(room) = room(|_| ()).await else { return };
    let shell = room.shell("one").await;
    let printed = run(&shell, "perl -MSocket -e 'socket(S, 40, SOCK_STREAM, 0) or print \"$!\\n\"'").await;
    assert!(printed.contains("Address family not supported"), "AF_VSOCK: {printed}");
    if !cfg!(target_arch = "x86_64") {
        return not_run("the table of system calls", "its numbers are those of x86-64");
    }
    let calls = [
        ("keyctl", 250),
        ("add_key", 248),
        ("request_key", 249),
        ("ptrace", 101),
        ("process_vm_readv", 310),
        ("process_vm_writev", 311),
        ("kcmp", 312),
        ("bpf", 321),
        ("perf_event_open", 298),
        ("io_uring_setup", 425),
        ("io_uring_enter", 426),
        ("io_uring_register", 427),
        ("userfaultfd", 323),
        ("unshare", 272),
        ("setns", 308),
        ("mount", 165),
        ("umount2", 166),
        ("pivot_root", 155),
        ("chroot", 161),
        ("open_tree", 428),
        ("move_mount", 429),
        ("fsopen", 430),
        ("mount_setattr", 442),
        ("open_by_handle_at", 304),
        ("pidfd_getfd", 438),
        ("init_module", 175),
        ("finit_module", 313),
        ("kexec_load", 246),
        ("kexec_file_load", 320),
        ("reboot", 169),
        ("swapon", 167),
        ("quotactl", 179),
        ("acct", 163),
        ("syslog", 103),
        ("settimeofday", 164),
        ("clock_settime", 227),
        ("personality", 135),
        ("iopl", 172),
        ("modify_ldt", 154),
        ("fanotify_init", 300),
        ("x32 getpid", 0x4000_0027),
    ];
    let numbers: Vec<_> = calls.iter().map(|(_, number)| number.to_string()).collect();
    let script = format!("for ({}) {{ $! = 0; my $r = syscall($_, 0, 0, 0, 0, 0); print \"[$_=$r,\", $! + 0, \"]\" }}", numbers.join(","));
    let printed = run(&shell, &format!("perl -e '{script}'")).await;
    let open: Vec<_> = calls.iter().filter(|(_, number)| !printed.contains(&format!("[{number}=-1,1]"))).collect();
    assert!(open.is_empty(), "{open:?}: {printed}");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn what_is_planted_for_the_server_leads_nowhere() {
    let Some(room) = room(|_| ()).await else { return };
    std::fs::write(room.folder.path().join("database"), "the data folder").unwrap();
    let shell = room.shell("one").await;
    let data = room.folder.path().display().to_string();
    // Where limits are only counted, what lies deeper than can be counted is itself too much.
    let depth = if room.holds("workspace") { 400 } else { 50 };
    let printed = run(
        &shell,
        &format!(
            "ln -s {data}/database link; ln -s / root; mkfifo pipe; ln -s /proc/self/environ env; rm -rf .kube; ln -s /tmp .kube; \
             perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(\"socket\"))'; \
             truncate -s 10M sparse; echo mine > mine; ln mine twin; chmod 0 twin; \
             echo x > $'\\xff\\xfe'; echo x > $'two\\nlines'; echo x > $'\\e]0;title\\a\\e[2J'; echo x > '<img src=x onerror=alert(1)>'; echo x > -rf; \
             (for i in $(seq {depth}); do mkdir d && cd d || break; done); ls -la | wc -l"
        ),
    )
    .await;
    assert!(printed.contains("<0>"), "{printed}");
    let workspace = room.jails.workspace("one").unwrap();
    for path in ["link", "root/etc/passwd", "pipe", "env", "socket", "two\nlines", "\u{1b}]0;title\u{7}\u{1b}[2J"] {
        assert!(workspace.read(path, 1000).is_err(), "{path:?}");
    }
    assert!(matches!(workspace.read("sparse", 1 << 20), Err(jail::WorkspaceError::TooLarge { .. })));
    // What a page lists can be opened, holds no control characters, and is text: escaping is the page's.
    let listed: Vec<_> = workspace.list().unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(listed, ["-rf", "<img src=x onerror=alert(1)>", "mine", "sparse", "twin"]);
    room.jails.stop("one", "again").await;
    // The kubeconfig is put in its place, not through the link.
    let printed = run(&*room.shell("one").await, "cat ~/.kube/config; ls -ld ~/.kube").await;
    assert!(printed.contains("kind: Config") && printed.contains("drwx"), "{printed}");
    workspace.reset(&BTreeMap::from([("fresh.yaml".to_owned(), b"start".to_vec())])).unwrap();
    let printed = run(&*room.shell("one").await, "echo \"[$(ls)]\"; cat fresh.yaml").await;
    assert!(printed.contains("[fresh.yaml]\r\nstart<0>"), "{printed}");
    assert_eq!(std::fs::read(room.folder.path().join("database")).unwrap(), b"the data folder");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn every_learner_has_a_uid_of_their_own() {
    use std::os::unix::fs::MetadataExt;
    let Some(room) = room(|_| ()).await else { return };
    if !room.jails.report().own_uid {
        return not_run("own uids", "they need root");
    }
    let uid = |id: &str| std::fs::metadata(room.jails.workspace(id).unwrap().path()).unwrap().uid();
    let (one, two) = (uid("one"), uid("two"));
    assert!(one != two && one >= 1_610_000_000 && two >= 1_610_000_000);
    let shell = room.shell("one").await;
    let processes = || std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(|entry| entry.metadata().ok());
    assert!(run(&shell, "echo x > file; stat -c %u file").await.contains("1000\r\n"));
    assert!(processes().any(|process| process.uid() == one), "the shell runs as {one}");
    room.jails.stop_all("done").await;
    assert!(Path::new(room.jails.workspace("one").unwrap().path()).exists());
}
