//! Attacks on what the learners share: processes, memory, disk, output. And that nobody's work is lost by a limit, or by a kill.

mod common;

use common::{again_without_root, config, not_run, room, run, type_in, until};
use jail::{Jails, ShellEvent, WorkspaceError};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

#[test]
fn the_same_without_root() {
    again_without_root("the_same_without_root");
}

#[tokio::test]
async fn a_fork_bomb_hurts_only_its_own_shell() {
    let Some(room) = room(|limits| limits.processes = 40).await else { return };
    let (victim, attacker) = (room.shell("victim").await, room.shell("attacker").await);
    type_in(&attacker, "b() { b | b & }; b 2>/dev/null; for i in $(seq 200); do sleep 100 & done 2>&1 | grep -m1 -i resource\n").await;
    for _ in 0..5 {
        let printed = run(&victim, "for i in 1 2 3; do /bin/true || echo broken; done; echo fine").await;
        assert!(printed.contains("fine\r\n") && !printed.contains("\nbroken"), "{printed}");
    }
    room.jails.stop("attacker", "enough").await;
    assert!(room.jails.running("attacker").is_none());
    assert_eq!(attacker.ended().await, "enough");
    // And it starts again.
    let printed = run(&*room.shell("attacker").await, "echo back").await;
    assert!(printed.contains("back\r\n"), "{printed}");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn memory_is_bounded() {
    let Some(room) = room(|limits| (limits.process_memory_bytes, limits.memory_bytes) = (64 << 20, 192 << 20)).await else { return };
    // A name of its own: the control group is called after it, and the suites run side by side.
    let shell = room.shell("memory").await;
    let printed = run(&shell, "perl -e '$x = \"x\" x 200_000_000; print length $x'").await;
    assert!(!printed.contains("200000000<"), "{printed}");
    assert!(run(&shell, "echo alive").await.contains("alive\r\n"));
    if room.holds("memory of the whole shell") {
        // Each stays below the limit of a process; a child says that it has its memory, or its pipe closes when it is killed; those that are left are counted.
        let printed = run(
            &shell,
            "perl -e 'pipe G, H; for (1..8) { pipe my $r, my $w; my $p = fork; die unless defined $p; if (!$p) { close $r; my $x = chr(65) x 4096; \
             my @all; push @all, $x . $_ for 1..10_000; syswrite $w, \"k\"; sysread G, $_, 1; exit } close $w; push @pids, $p; sysread $r, $_, 1 } \
             $n = grep { waitpid($_, 1) == 0 } @pids; kill 9, @pids; print \"held $n\\n\"'",
        )
        .await;
        let held: u32 = printed.split_once("held ").and_then(|(_, rest)| rest.get(..1)).unwrap_or("9").parse().unwrap();
        assert!((1..8).contains(&held), "{printed}");
        assert!(run(&shell, "echo alive").await.contains("alive\r\n"));
    } else {
        not_run("memory of the whole shell", "no cgroup can be made here");
    }
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn files_and_scratch_space_are_bounded() {
    let Some(room) = room(|limits| limits.tmp_files = 300).await else { return };
    let shell = room.shell("one").await;
    for (what, command, expected, never) in [
        (
            "a large file",
            "truncate -s 1T big; head -c 100000000 /dev/zero > big; stat -c 'size %s' big; rm -f big",
            "size 16777216",
            "100000000",
        ),
        (
            "a program lives on after it",
            "(echo before; head -c 100000000 /dev/zero > big; echo after); rm -f big",
            "File too large",
            "exceeded",
        ),
        ("shared memory", "for i in 1 2; do head -c 12000000 /dev/zero > /dev/shm/x$i; done; rm -f /dev/shm/x*", "No space left", "Killed"),
        ("/tmp", "for i in 1 2 3 4 5 6; do head -c 16000000 /dev/zero > /tmp/x$i; done; rm -f /tmp/x*", "No space left", "Killed"),
    ] {
        let printed = run(&shell, command).await;
        assert!(printed.contains(expected) && !printed.contains(never), "{what}: {printed}");
    }
    let printed = run(&shell, "for i in $(seq 2000); do : > /tmp/$i || break; done 2>&1 | tail -n 1; ls /tmp | wc -l").await;
    if room.holds("files in /tmp") {
        assert!(printed.contains("No space left"), "{printed}");
    } else {
        not_run("files in /tmp", "limiting them needs root");
    }
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn a_full_workspace_loses_nothing() {
    for (what, attack) in [
        ("bytes", "for i in $(seq 1000); do head -c 1000000 /dev/zero > fill$i || break; done"),
        ("files", "mkdir many; for i in $(seq 100000); do : > many/$i || break; done"),
    ] {
        let Some(mut room) = room(|limits| (limits.workspace_bytes, limits.workspace_files) = (20 << 20, 500)).await else { return };
        let workspace = room.jails.workspace("one").unwrap();
        workspace.write("mine.yaml", b"kept").unwrap();
        let shell = room.shell("one").await;
        // The newest file is what the learner works on.
        let printed = run(&shell, &format!("{attack}; printf newest > mine.yaml; find . -type f | wc -l")).await;
        let limits = room.jails.limits().clone();
        if room.holds("workspace") {
            assert!(printed.contains("No space left on device"), "{what}: {printed}");
            assert!(shell.is_running());
            let usage = workspace.usage().unwrap();
            assert!(usage.bytes < limits.workspace_bytes * 11 / 10 && usage.files < limits.workspace_files + 32, "{what}: {usage:?}");
            let stored = run(&shell, "du -sm . | cut -f 1; find . | wc -l").await;
            let promised = stored.contains(if what == "bytes" { "\r2" } else { "\r\n5" });
            assert!(promised, "{what}: the limit is what was promised: {stored}");
            // The editor still saves where there is a file to be had; where there is none, it says so.
            let saved = workspace.write("mine.yaml", b"saved");
            assert!(if what == "bytes" { saved.is_ok() } else { matches!(saved, Err(WorkspaceError::Full(_))) }, "{what}: {saved:?}");
            // A shell with a new way to the cluster starts all the same.
            room.jails.stop("one", "again").await;
            let mut spec = room.spec();
            spec.kubeconfig.push_str("# renewed\n");
            let again = room.jails.shell("one", &spec).await.unwrap();
            let printed = run(&again, "cat mine.yaml; rm -rf fill3 many/3*; echo more > more.yaml; cat more.yaml").await;
            assert!(
                printed.contains(if what == "bytes" { "saved" } else { "newest" }) && printed.contains("more\r\n"),
                "{what}: {printed}"
            );
        } else {
            assert!(printed.contains("in the workspace"), "{what}: {printed}");
            assert!(shell.ended().await.contains("Every file is kept"), "{what}");
            assert_eq!(workspace.read("mine.yaml", 10).unwrap(), b"kept");
            let before = workspace.usage().unwrap();
            assert!(before.broken(&limits).is_some(), "{what}: nothing was removed: {before:?}");
            match room.jails.shell("one", &room.spec()).await {
                Ok(cleaning) => {
                    // Nothing can grow, anything can go.
                    let printed = run(&cleaning, "echo more >> mine.yaml; rm -rf fill* many; ls | cat").await;
                    assert!(printed.contains("File too large") && printed.contains("mine.yaml"), "{what}: {printed}");
                    room.jails.stop("one", "again").await;
                }
                // A fast disk: more than four times the limit between two counts.
                Err(error) => {
                    assert!(error.to_string().contains("reset the lab"), "{what}: {error}");
                    workspace.reset(&[("mine.yaml".to_owned(), b"kept".to_vec())].into()).unwrap();
                }
            }
            let printed = run(&*room.shell("one").await, "echo more >> mine.yaml; cat mine.yaml").await;
            assert!(printed.contains("keptmore"), "{what}: {printed}");
        }
        room.jails.delete("one").await.unwrap();
        assert!(!room.folder.path().join("jail/workspaces/one").exists() && !room.folder.path().join("jail/images/one.ext4").exists());
        // What is deleted and made again is empty.
        assert_eq!(room.jails.workspace("one").unwrap().list().unwrap(), []);
        room.jails.stop_all("done").await;
        room.jails = Jails::open(config(room.folder.path())).unwrap();
        assert_eq!(room.jails.workspace("one").unwrap().list().unwrap(), []);
    }
}

/// SIGKILL when dropped: nothing is flushed, nobody says goodbye.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `kill -9` of the server, with a shell at work: what was written is there when the next server starts, at once.
#[tokio::test]
async fn work_survives_the_death_of_the_server() {
    const VICTIM: &str = "CORDON_JAIL_VICTIM";
    if let Some(folder) = std::env::var_os(VICTIM) {
        let jails = Jails::open(config(folder.as_ref())).unwrap();
        let shell = jails.shell("one", &common::spec(([127, 0, 0, 1], 9).into())).await.unwrap();
        jails.workspace("one").unwrap().write("editor.yaml", b"from the editor").unwrap();
        let printed = run(&shell, "echo 'from the shell' > shell.yaml; cat shell.yaml").await;
        // Standard output is the test runner's.
        writeln!(std::io::stderr(), "ready: {:?}", printed).unwrap();
        return std::future::pending().await;
    }
    let Some(room) = room(|_| ()).await else { return };
    for _ in 0..2 {
        let mut victim = Victim(
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "work_survives_the_death_of_the_server", "--nocapture"])
                .env(VICTIM, room.folder.path().join("data"))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut lines = BufReader::new(victim.0.stderr.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("ready: "))).unwrap().unwrap();
        assert!(ready.contains("from the shell"), "{ready}");
        drop(victim);
        let jails = Jails::open(config(&room.folder.path().join("data"))).unwrap();
        let workspace = jails.workspace("one").unwrap();
        assert_eq!(workspace.read("shell.yaml", 100).unwrap(), b"from the shell\n");
        assert_eq!(workspace.read("editor.yaml", 100).unwrap(), b"from the editor");
        let shell = jails.shell("one", &room.spec()).await.unwrap();
        assert!(run(&shell, "cat shell.yaml editor.yaml; echo; rm shell.yaml").await.contains("from the shell\r\nfrom the editor\r\n"));
        jails.stop_all("done").await;
    }
}

#[tokio::test]
async fn a_flood_of_output_is_slowed_and_bounded() {
    let Some(room) = room(|limits| (limits.output_bytes_per_second, limits.scrollback_bytes) = (100 << 10, 20 << 10)).await else { return };
    let shell = room.shell("one").await;
    let mut attachment = shell.attach();
    type_in(&shell, "yes flood\n").await;
    until(&mut attachment, "flood\r\nflood\r\n").await;
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
    assert!(bytes > 1 << 10 && bytes < 200 << 10, "{bytes} bytes in a second");
    assert!(shell.attach().replay.len() <= 20 << 10);
    // Keys are heard all the same: first more of them than the terminal holds at once, then Ctrl-C, then what was typed behind it.
    let mut attachment = shell.attach();
    for _ in 0..40 {
        type_in(&shell, &"ignored ".repeat(256)).await;
    }
    type_in(&shell, "\u{3}").await;
    type_in(&shell, "echo $((6 * 7))-heard\n").await;
    until(&mut attachment, "42-heard").await;
    assert!(run(&shell, "echo quiet").await.contains("quiet\r\n"));
    room.jails.stop_all("done").await;
}
