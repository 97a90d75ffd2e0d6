//! Attacks on the jail, made from inside it. Where bubblewrap cannot run they print why and judge nothing.

use jail::{JailConfig, Jails, Limits, Shell, ShellEvent, ShellSpec};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

struct Room {
    folder: tempfile::TempDir,
    jails: Jails,
    gateway: SocketAddr,
}

/// Jails with a gateway that answers every connection with `gateway`; `None` where no jail can run.
async fn room(change: impl FnOnce(&mut Limits)) -> Option<Room> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = JailConfig::new(folder.path().join("jail"), env!("CARGO_BIN_EXE_cordon-jail"));
    change(&mut config.limits);
    let jails = Jails::open(config).unwrap();
    if !jails.report().available {
        eprintln!("not attacked, the jail cannot run here: {}\n{}", jails.report().problem, jails.report().hint);
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

impl Room {
    fn spec(&self) -> ShellSpec {
        ShellSpec {
            gateway: self.gateway,
            relay_port: 6443,
            kubeconfig: "apiVersion: v1\nkind: Config\n".to_owned(),
            env: BTreeMap::new(),
            greeting: String::new(),
            columns: 200,
            rows: 50,
        }
    }

    async fn shell(&self, id: &str) -> Arc<Shell> {
        self.jails.shell(id, &self.spec()).await.unwrap()
    }
}

/// Types a command and gives what it printed, with its exit code at the end.
async fn run(shell: &Shell, command: &str) -> String {
    let mut attachment = shell.attach();
    // The mark is put together by the shell, so that the echo of what was typed is not taken for it.
    shell.input(format!("{command}; echo \"<$?>\"'END'\n").into()).await.unwrap();
    let mut seen = String::new();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match attachment.events.recv().await {
                Ok(ShellEvent::Output(bytes)) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                Ok(ShellEvent::Ended(reason)) => {
                    seen.push_str(&reason);
                    return;
                }
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => seen.push_str("[lagged]"),
                Err(_) => return,
            }
            if seen.contains(">END") {
                return;
            }
        }
    });
    assert!(waited.await.is_ok(), "{command} never ended: {seen}");
    seen
}

#[tokio::test]
async fn nothing_of_the_host_is_within_reach() {
    let Some(room) = room(|_| ()).await else { return };
    let other = room.jails.workspace("other").unwrap();
    other.write("secret.yaml", b"another learner's").unwrap();
    std::fs::write(room.folder.path().join("database"), "the data folder").unwrap();
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host_port = host.local_addr().unwrap().port();
    let data = room.folder.path().display().to_string();
    let shell = room.shell("one").await;
    let pid = std::process::id();
    let mut failures = Vec::new();
    for (what, command, expected, never) in [
        ("it is a shell with job control", "sleep 50 & jobs; kill %1; set -o | cat | tr -s ' \\t' '  ' | sed -n 's/^monitor/mon/p'".to_owned(), "mon on", "no job control"),
        ("who", "id -u; id -un; hostname".to_owned(), "learner", "root"),
        ("other learners' files", format!("cat {data}/jail/workspaces/other/secret.yaml; find / -name secret.yaml 2>/dev/null"), "No such file", "another learner"),
        ("the data folder", format!("cat {data}/database; ls {data}"), "No such file", "the data folder"),
        ("the host's /etc", "cat /etc/shadow; grep -c . /etc/passwd".to_owned(), "3\r\n", "root:$"),
        ("host processes", format!("ls /proc | grep -x {pid}; ls /proc | grep -cE '^[0-9]+$'; kill -0 {pid}"), "No such process", "Operation not permitted"),
        ("signalling pid 1", "kill -9 1; kill -TERM 1; echo alive".to_owned(), "alive", "ended"),
        ("reading pid 1", "ls -l /proc/1/exe /proc/1/fd /proc/1/root; cat /proc/1/environ".to_owned(), "Permission denied", "cordon-jail"),
        ("host network", format!("ls /sys/class/net; cat /proc/net/dev | grep -c :; (exec 3<>/dev/tcp/127.0.0.1/{host_port})"), "Connection refused", "eth0"),
        ("another address", "(exec 3<>/dev/tcp/10.255.255.1/80)".to_owned(), "unreachable", "<0>"),
        ("the relay reaches the gateway", "(exec 3<>/dev/tcp/127.0.0.1/6443; echo hello >&3; cat <&3)".to_owned(), "gateway heard hello", "refused"),
        ("the relay does not take orders", format!("(exec 3<>/dev/tcp/127.0.0.1/6443; printf 'CONNECT 127.0.0.1:{host_port} HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3)"), "gateway heard CONNECT", " 200 "),
        ("kernel settings", "echo 1 > /proc/sys/kernel/hostname; echo c > /proc/sysrq-trigger; echo 7 > /proc/sys/vm/drop_caches".to_owned(), "drop_caches: ", "<0>"),
        ("programs are read-only", "touch /usr/bin/x /bin/x /lib/x /etc/x /opt/cordon/bin/x /x /run/x /dev/x 2>&1 | grep -c -e 'Read-only' -e denied".to_owned(), "8", "No such"),
        ("setuid gives nothing", "cp /bin/bash ~/b; chmod u+s ~/b; ~/b -p -c 'id -u; grep -e CapEff -e NoNewPrivs /proc/self/status'; su -c id </dev/null; rm ~/b".to_owned(), "NoNewPrivs:\t1", "uid=0"),
        ("no capabilities", "cat /proc/self/status | tr '\\t' ' '".to_owned(), "CapEff: 0000000000000000", "CapBnd: 000001ff"),
        ("new namespaces", "unshare -Ur id; unshare -m true; mount -t tmpfs x /tmp".to_owned(), "Operation not permitted", "uid=0"),
        ("typing into the terminal", "perl -e '$x = \"x\"; ioctl(STDIN, 0x5412, $x) or print \"denied: $!\\n\"'".to_owned(), "denied: Operation not permitted", "<1>"),
        ("the host's devices", "ls /dev/sda /dev/vda /dev/kmsg /dev/mem /dev/nvidia0 2>&1 | grep -c 'No such file'; mknod ~/disk b 8 0".to_owned(), "Operation not permitted", "<0>"),
        ("the host's environment", "env | grep -c -e CARGO -e PATH=/root; cat /proc/self/environ | tr '\\0' '\\n' | grep -c CARGO".to_owned(), "0\r\n0\r\n", "CARGO_"),
        ("shared memory is bounded", "head -c 50000000 /dev/zero > /dev/shm/x; rm -f /dev/shm/x".to_owned(), "", "Killed"),
        ("other people's sockets", "ls /run /tmp /var 2>&1".to_owned(), "cordon", "docker.sock"),
        ("sparse and large files", "truncate -s 1T big; head -c 100000000 /dev/zero > big; ls -l big | wc -l; rm -f big".to_owned(), "File size limit exceeded", "100000000"),
    ] {
        let seen = run(&shell, &command).await;
        let printed = seen.rsplit_once("'END'").map_or(seen.as_str(), |(_, printed)| printed);
        if !printed.contains(expected) || printed.contains(never) {
            failures.push(format!("{what}: expected {expected:?} and never {never:?} in\n{printed}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n---\n"));
    #[cfg(target_arch = "x86_64")]
    for (what, number) in [
        ("keyctl", 250),
        ("add_key", 248),
        ("ptrace", 101),
        ("bpf", 321),
        ("perf_event_open", 298),
        ("io_uring_setup", 425),
        ("userfaultfd", 323),
        ("setns", 308),
    ] {
        let seen = run(&shell, &format!("perl -e '$! = 0; print syscall({number}, 0, 0, 0, 0, 0), \" $!\\n\"'")).await;
        assert!(seen.contains("-1 Operation not permitted"), "{what}: {seen}");
    }
    let seen = run(&shell, "perl -MSocket -e 'socket(S, 40, SOCK_STREAM, 0) or print \"$!\\n\"'").await;
    assert!(seen.contains("Address family not supported"), "AF_VSOCK: {seen}");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn a_fork_bomb_hurts_only_its_own_shell() {
    let Some(room) = room(|limits| limits.processes = 40).await else { return };
    let (victim, attacker) = (room.shell("victim").await, room.shell("attacker").await);
    attacker
        .input("b() { b | b & }; b 2>/dev/null; for i in $(seq 200); do sleep 100 & done 2>&1 | grep -m1 -i resource\n".into())
        .await
        .unwrap();
    for _ in 0..5 {
        let seen = run(&victim, "for i in 1 2 3; do /bin/true || echo broken; done; echo fine").await;
        assert!(seen.contains("fine\r\n") && !seen.contains("\nbroken"), "{seen}");
    }
    room.jails.stop("attacker", "enough").await;
    assert!(room.jails.running("attacker").is_none());
    assert_eq!(attacker.ended().await, "enough");
    // And it starts again.
    let seen = run(&*room.shell("attacker").await, "echo back").await;
    assert!(seen.contains("back\r\n"), "{seen}");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn memory_of_a_process_is_bounded() {
    let Some(room) = room(|limits| limits.process_memory_bytes = 64 << 20).await else { return };
    let shell = room.shell("one").await;
    let seen = run(&shell, "perl -e '$x = \"x\" x 200_000_000; print length $x'").await;
    assert!(!seen.contains("200000000<"), "{seen}");
    assert!(run(&shell, "echo alive").await.contains("alive\r\n"));
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn a_full_workspace_stops_the_shell_and_comes_back() {
    for (what, attack) in [
        ("bytes", "for i in $(seq 1000); do head -c 1000000 /dev/zero > fill$i; done"),
        ("files", "mkdir many; for i in $(seq 100000); do : > many/$i; done"),
    ] {
        let Some(room) = room(|limits| (limits.workspace_bytes, limits.workspace_files) = (20 << 20, 500)).await else { return };
        let workspace = room.jails.workspace("one").unwrap();
        workspace.write("mine.yaml", b"kept").unwrap();
        let shell = room.shell("one").await;
        let seen = run(&shell, attack).await;
        assert!(seen.contains("in the workspace"), "{what}: {seen}");
        assert!(shell.ended().await.contains("in the workspace"), "{what}");
        let seen = run(&*room.shell("one").await, "cat mine.yaml; echo; ls | wc -l").await;
        assert!(seen.contains("kept"), "{what}: {seen}");
        assert_eq!(workspace.usage().unwrap().broken(room.jails.limits()), None, "{what}");
        room.jails.stop_all("done").await;
    }
}

#[tokio::test]
async fn what_is_planted_for_the_server_leads_nowhere() {
    let Some(room) = room(|_| ()).await else { return };
    std::fs::write(room.folder.path().join("database"), "the data folder").unwrap();
    let shell = room.shell("one").await;
    let data = room.folder.path().display().to_string();
    run(
        &shell,
        &format!("ln -s {data}/database link; ln -s / root; mkfifo pipe; ln -s /proc/self/environ env; rm -rf .kube; ln -s /tmp .kube"),
    )
    .await;
    let workspace = room.jails.workspace("one").unwrap();
    for path in ["link", "root/etc/passwd", "pipe", "env"] {
        assert!(workspace.read(path, 1000).is_err(), "{path}");
    }
    assert_eq!(workspace.list().unwrap(), []);
    room.jails.stop("one", "again").await;
    // The kubeconfig is put in its place, not through the link.
    let seen = run(&*room.shell("one").await, "cat ~/.kube/config; ls -ld ~/.kube").await;
    assert!(seen.contains("kind: Config") && seen.contains("drwx"), "{seen}");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn a_flood_of_output_is_slowed_and_bounded() {
    let Some(room) = room(|limits| (limits.output_bytes_per_second, limits.scrollback_bytes) = (100 << 10, 20 << 10)).await else { return };
    let shell = room.shell("one").await;
    let mut attachment = shell.attach();
    shell.input("yes flood\n".into()).await.unwrap();
    let mut bytes = 0;
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        loop {
            match attachment.events.recv().await {
                Ok(ShellEvent::Output(output)) => bytes += output.len(),
                _ => return,
            }
        }
    })
    .await;
    assert!(bytes > 10 << 10 && bytes < 200 << 10, "{bytes} bytes in a second");
    assert!(shell.attach().replay.len() <= 20 << 10);
    // Ctrl-C is heard all the same.
    shell.input("\u{3}".into()).await.unwrap();
    assert!(run(&shell, "echo quiet").await.contains("quiet\r\n"));
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn viewers_come_and_go_and_resize() {
    let Some(room) = room(|_| ()).await else { return };
    let shell = room.shell("one").await;
    run(&shell, "echo first-line").await;
    let (one, two) = (shell.attach(), shell.attach());
    assert!(String::from_utf8_lossy(&one.replay).contains("first-line") && one.replay == two.replay);
    shell.resize(111, 33);
    assert!(run(&shell, "stty size").await.contains("33 111"));
    assert!(Arc::ptr_eq(&shell, &room.shell("one").await), "a second tab gets the same shell");
    shell.input("exit\n".into()).await.unwrap();
    assert_eq!(shell.ended().await, "The shell has ended.");
    assert!(room.jails.running("one").is_none());
    assert!(room.jails.shell("../two", &room.spec()).await.is_err());
    room.jails.delete("one").await.unwrap();
    assert!(!room.folder.path().join("jail/workspaces/one").exists());
}

#[tokio::test]
async fn every_learner_has_a_uid_of_their_own() {
    let Some(room) = room(|_| ()).await else { return };
    if !room.jails.report().own_uid {
        eprintln!("not judged: own uids need root");
        return;
    }
    use std::os::unix::fs::MetadataExt;
    let uid = |id: &str| std::fs::metadata(room.jails.workspace(id).unwrap().path()).unwrap().uid();
    let (one, two) = (uid("one"), uid("two"));
    assert!(one != two && one >= 1_610_000_000 && two >= 1_610_000_000);
    let shell = room.shell("one").await;
    run(&shell, "echo x > file").await;
    assert_eq!(std::fs::metadata(room.folder.path().join("jail/workspaces/one/file")).unwrap().uid(), one);
    room.jails.stop_all("done").await;
}
