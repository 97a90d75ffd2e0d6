//! The shell as a learner has it: viewers, sizes, completion, editor and pager.

mod common;

use common::{again_without_root, not_run, room, run, type_in, until};
use std::sync::Arc;

#[test]
fn the_same_without_root() {
    again_without_root("the_same_without_root");
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
    type_in(&shell, "exit\n").await;
    assert_eq!(shell.ended().await, "The shell has ended.");
    assert!(room.jails.running("one").is_none());
    assert!(room.jails.shell("../two", &room.spec()).await.is_err());
    room.jails.delete("one").await.unwrap();
    assert!(!room.folder.path().join("jail/workspaces/one").exists());
}

/// A full-screen program draws when the size changes. This one says the size, each time.
#[tokio::test]
async fn a_late_viewer_has_the_picture_drawn_anew() {
    const PROGRAM: &str = "perl -e '$| = 1; $SIG{WINCH} = sub { ioctl(STDIN, 0x5413, $b = \"x\" x 8); print join(\"/\", \"now\", unpack(\"S2\", $b)), \"\\n\" }; \
                           print \"\\e[?1049hfull\", \"screen\\n\"; select(undef, undef, undef, 0.02) while 1'\n";
    let Some(room) = room(|_| ()).await else { return };
    let shell = room.shell("one").await;
    shell.resize(100, 40);
    run(&shell, "stty size").await;
    let mut first = shell.attach();
    type_in(&shell, PROGRAM).await;
    until(&mut first, "fullscreen\r\n").await;
    let mut late = shell.attach();
    let printed = until(&mut late, "now/40/100\r\n").await;
    assert!(printed.contains("now/39/100\r\n"), "{printed}");
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn the_shell_is_set_up() {
    let Some(room) = room(|_| ()).await else { return };
    let mut spec = room.spec();
    spec.greeting = "welcome to the lab".to_owned();
    let shell = room.jails.shell("one", &spec).await.unwrap();
    run(&shell, "echo 'echo my-own-file' >> ~/.bashrc; echo 'COUNT=$((COUNT + 1))' >> ~/.bashrc").await;
    let start = String::from_utf8_lossy(&shell.attach().replay).into_owned();
    assert_eq!(start.matches("welcome to the lab").count(), 1, "{start}");
    assert!(start.contains("\u{1b}[1;32mlearner\u{1b}[0m:\u{1b}[1;34m~\u{1b}[0m$ "), "{start:?}");
    room.jails.stop("one", "again").await;
    let shell = room.jails.shell("one", &spec).await.unwrap();
    for (what, command, expected) in [
        ("the learner's own file, once", "echo count $COUNT", "count 1\r\n"),
        ("a shell in the shell", "bash -ic 'echo count $COUNT; alias k'", "my-own-file\r\ncount 1\r\nalias k="),
        ("a login shell", "bash -lic 'echo count $COUNT; alias k'", "count 1\r\nalias k="),
        ("no greeting twice", "bash -ic 'echo greeting ${CORDON_GREETING-none}'", "greeting none"),
        ("characters", "locale charmap; printf 'h\\303\\251' | wc -m", "UTF-8\r\n2\r\n"),
        ("terminal", "echo $TERM $(tput colors) $COLORTERM", "xterm-256color 256 truecolor"),
        (
            "a terminal of one's own",
            "echo typed < /dev/tty > /dev/tty; stty -a | tr ' ' '\\n' | cat -n | sed -n 's/.*\\t-ixon/-ixon/p'",
            "typed\r\n-ixon",
        ),
        ("kubectl's way", "echo $KUBECONFIG; test -r $KUBECONFIG && echo there", "/home/learner/.kube/config\r\nthere"),
        ("time and names", "date +%Z; echo $HOME $USER $PWD", "UTC\r\n/home/learner learner /home/learner"),
        ("jq", "echo '{\"a\": [1, 2]}' | jq -cM .a", "[1,2]"),
    ] {
        if what == "jq" && !room.has("jq") {
            not_run("jq in the shell", "it is not installed");
            continue;
        }
        let printed = run(&shell, command).await;
        assert!(printed.contains(expected), "{what}: {printed}");
    }
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn kubectl_is_completed() {
    let Some(room) = room(|_| ()).await else { return };
    if !room.has("kubectl") || !room.has("bash-completion") {
        return not_run("kubectl's completion", "/usr/bin/kubectl or bash-completion is not installed");
    }
    let shell = room.shell("one").await;
    for (typed, expected) in [("kubectl api-v\t", "kubectl api-versions "), ("k rollout hi\t", "k rollout history ")] {
        let mut attachment = shell.attach();
        type_in(&shell, typed).await;
        until(&mut attachment, expected).await;
        type_in(&shell, "\u{15}").await;
    }
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn the_pager_follows_the_window() {
    let Some(room) = room(|_| ()).await else { return };
    let shell = room.shell("one").await;
    shell.resize(80, 24);
    run(&shell, "stty size").await;
    let mut attachment = shell.attach();
    type_in(&shell, "seq 1000 | less\n").await;
    let printed = until(&mut attachment, "23\r\n").await;
    assert!(printed.contains("\u{1b}[?1049h") && !printed.contains("24\r\n"), "{printed:?}");
    shell.resize(100, 40);
    // Programs that have just drawn may sleep through the signal, and look at the size with the next key: "repaint".
    type_in(&shell, "r").await;
    let printed = until(&mut attachment, "39\r\n").await;
    assert!(!printed.contains("40\r\n"), "{printed:?}");
    type_in(&shell, "q").await;
    until(&mut attachment, "\u{1b}[?1049l").await;
    assert!(run(&shell, "stty size").await.contains("40 100"));
    room.jails.stop_all("done").await;
}

#[tokio::test]
async fn the_editor_edits() {
    let Some(room) = room(|_| ()).await else { return };
    if !room.has("nano") {
        return not_run("nano in the shell", "it is not installed");
    }
    let shell = room.shell("one").await;
    shell.resize(80, 24);
    run(&shell, "stty size").await;
    let mut attachment = shell.attach();
    type_in(&shell, "nano pod.yaml\n").await;
    let printed = until(&mut attachment, "Exit").await;
    assert!(printed.contains("GNU nano") && printed.contains("\u{1b}[24d") && !printed.contains("\u{1b}[25d"), "{printed:?}");
    shell.resize(100, 30);
    // As for the pager: Ctrl-L.
    type_in(&shell, "\u{c}").await;
    let printed = until(&mut attachment, "Exit").await;
    assert!(printed.contains("\u{1b}[30d"), "{printed:?}");
    type_in(&shell, "kind: Pod\u{f}").await;
    until(&mut attachment, "File Name to Write").await;
    type_in(&shell, "\r").await;
    until(&mut attachment, "Wrote 1 line").await;
    type_in(&shell, "\u{18}").await;
    until(&mut attachment, "\u{1b}[?1049l").await;
    assert!(run(&shell, "cat pod.yaml").await.contains("kind: Pod\r\n"));
    assert_eq!(room.jails.workspace("one").unwrap().read("pod.yaml", 100).unwrap(), b"kind: Pod\n");
    room.jails.stop_all("done").await;
}
