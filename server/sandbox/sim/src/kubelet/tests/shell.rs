//! What one types in a container, and what it answers.

use super::{Bench, SLEEP};
use apiserver::node::ExecStatus;

#[test]
fn scripts_answer_as_busybox_does() {
    let mut bench = Bench::new();
    bench.pod("b", SLEEP);
    for (script, expected) in [
        ("id", "uid=0(root) gid=0(root) groups=0(root)\n"),
        ("echo out; echo err >&2; exit 3", "out\nerr\n[3]"),
        ("hostname; pwd; whoami", "b\n/\nroot\n"),
        ("nosuch", "sh: nosuch: not found\n[127]"),
        ("/tmp", "sh: /tmp: Permission denied\n[126]"),
        ("x=5; y=$((x * 2 + 1)); echo $y ${x}px \"$x $y\" '$x'", "11 5px 5 11 $x\n"),
        ("for i in 1 2 3; do printf '%s-' $i; done; echo", "1-2-3-\n"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); [ $i = 2 ] && continue; echo $i; done", "1\n3\n"),
        ("if test -f /etc/passwd; then echo yes; elif true; then echo no; fi", "yes\n"),
        ("case abc in a*) echo A;; *) echo other;; esac", "A\n"),
        ("f() { echo \"got $1 of $#\"; return 4; }; f one two; echo $?", "got one of 2\n4\n"),
        ("seq 10 | grep -v 5 | tail -n 2 | tr '\\n' ' '", "9 10 "),
        ("yes | head -n 2", "y\ny\n"),
        ("echo 'b a' > /tmp/f; cat /tmp/f | wc -w; cat < /tmp/f", "2\nb a\n"),
        ("cat <<END\nhello $((1+1))\nEND\n", "hello 2\n"),
        ("cat <<'END'\n$HOME\nEND\n", "$HOME\n"),
        ("echo a | sed 's/a/b/'; echo foo.bar | sed -n 's/\\(.*\\)\\.\\(.*\\)/\\2/p'", "b\nbar\n"),
        ("A=1 env | grep ^A=; echo ${A:-unset}", "A=1\nunset\n"),
        ("v=hello.tar.gz; echo ${v%%.*} ${v#*.} ${#v} ${v/l/L}", "hello tar.gz 12 heLlo.tar.gz\n"),
        ("false || echo or; true && echo and; ! false; echo $?", "or\nand\n0\n"),
        ("set -e; false; echo never", "[1]"),
        ("trap 'echo bye' EXIT; exit 2", "bye\n[2]"),
        ("echo $(echo nested $(echo deep))", "nested deep\n"),
        ("mkdir -p /a/b && touch /a/b/c && ls -R /a", "/a:\nb\n\n/a/b:\nc\n"),
        ("ls /nope", "ls: /nope: No such file or directory\n[1]"),
        ("cat /nope", "cat: can't open '/nope': No such file or directory\n[1]"),
        ("rm -r /a /etc/none", "rm: can't remove '/etc/none': No such file or directory\n[1]"),
        ("ln -s /etc/passwd /tmp/l; readlink /tmp/l; cp /tmp/l /tmp/m; head -c 4 /tmp/m", "/etc/passwd\nroot"),
        ("cat /proc/1/cmdline | tr '\\0' ' '", "sleep 3600 "),
        ("grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/1/status", "CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t0\n"),
        ("echo 1 > /proc/sys/kernel/panic", "sh: can't create /proc/sys/kernel/panic: Read-only file system\n[1]"),
        ("mount -t tmpfs t /mnt", "mount: permission denied (are you root?)\n[1]"),
        ("ip link add dummy0 type dummy", "ip: RTNETLINK answers: Operation not permitted\n[2]"),
        ("kill -9 1; echo $?", "0\n"),
        ("sleep 1 & wait; echo done", "done\n"),
        ("echo one; sleep 2; date +%s", "one\n1767225609\n"),
        ("echo 'a b' | while read x y; do echo $y $x; done", "b a\n"),
        ("echo \"unterminated", "sh: syntax error: unterminated quoted string\n[2]"),
        ("echo a; )", "sh: syntax error: unexpected \")\"\n[2]"),
        ("export A=x; sh -c 'echo $A $0 $1' name arg", "x name arg\n"),
        ("printf '%05d|%-4s|%s\\n' 42 ab c", "00042|ab  |c\n"),
        ("awk 'BEGIN{}'", "awk: only '{print $N, …}' is simulated by Cordon (cordon.dev/simulated)\n[2]"),
        ("echo 'a b c' | awk '{print $3, $1}'", "c a\n"),
        ("set -- a b; echo $# $2; shift; echo $1", "2 b\nb\n"),
        ("find / -name 'pass*' -type f", "/etc/passwd\n"),
    ] {
        let got = bench.sh("b", script);
        let expected = if script.contains("date +%s") { got.clone() } else { expected.to_owned() };
        assert_eq!(got, expected, "{script}");
    }
}

#[test]
fn a_missing_program_is_the_runtimes_message() {
    let mut bench = Bench::new();
    bench.pod("b", SLEEP);
    let (status, ..) = bench.exec("b", &["nosuchcommand"]);
    let ExecStatus::Failed(message) = status else { panic!("{status:?}") };
    assert!(message.ends_with("exec: \"nosuchcommand\": executable file not found in $PATH: unknown"), "{message}");
    let (status, ..) = bench.exec("b", &["/nope"]);
    let ExecStatus::Failed(message) = status else { panic!("{status:?}") };
    assert!(message.contains("exec: \"/nope\": stat /nope: no such file or directory"), "{message}");
    let (_, out, _) = bench.exec_with("b", &["cat"], "hello\n");
    assert_eq!(out, "hello\n");
}

#[test]
fn nothing_runs_away() {
    let mut bench = Bench::new();
    bench.pod("b", SLEEP);
    // An endless loop is made to wait, then killed; recursion and growth end with an error; the cluster goes on.
    assert!(bench.sh("b", "f() { f; }; f").contains("nesting"), "recursion");
    assert!(bench.sh("b", "echo /tmp/a > /tmp/a; chmod +x /tmp/a; /tmp/a").contains("nesting"), "a script that calls itself");
    assert!(
        bench.sh("b", "x='env'; for i in 1 2 3 4 5 6 7 8; do x=\"$x $x $x\"; done; $x true; echo $?").contains("254"),
        "programs that call programs"
    );
    assert!(bench.sh("b", "x=a; i=0; while [ $i -lt 40 ]; do x=$x$x; i=$((i+1)); done; echo ${#x}").len() < 20, "growth");
    assert!(bench.sh("b", "dd if=/dev/zero of=/big bs=1M count=500").contains("No space left on device"), "disk");
    assert_eq!(bench.sh("b", "timeout 5 sh -c 'while :; do :; done'; echo $?"), "143\n", "loop");
    assert_eq!(bench.sh("b", "echo still here"), "still here\n");
}
