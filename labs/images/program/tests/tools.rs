//! Tier: processes. The shell and the tools as labs, hints and learners use them, run from links as in an image.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A folder with links to the program, and another to work in.
struct Image {
    folder: tempfile::TempDir,
}

impl Image {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for place in ["bin", "work"] {
            std::fs::create_dir(folder.path().join(place)).unwrap();
        }
        for name in images::description::TOOLS {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lab-image"), folder.path().join("bin").join(name)).unwrap();
        }
        Self { folder }
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.bin().join(words[0]));
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", self.bin())
            .env("HOME", self.work())
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        said(&self.command(words).output().unwrap())
    }

    fn sh(&self, line: &str) -> (i32, String, String) {
        self.run(&["sh", "-c", line])
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_program_is_static() {
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_lab-image")).unwrap();
    let number = |at: usize, length: usize| bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte));
    // The program headers of a 64-bit ELF file: their place, the size of one, how many.
    let (start, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    const INTERPRETER: usize = 3;
    let kinds: Vec<usize> = (0..count).map(|index| number(start + index * size, 4)).collect();
    assert!(!kinds.is_empty() && !kinds.contains(&INTERPRETER), "a FROM scratch image has no dynamic linker: {kinds:?}");
}

#[test]
fn scripts() {
    let image = Image::new();
    let rows = [
        // The lab's own init containers.
        (
            "mkdir -p models/resnet/1 && echo pb > models/resnet/1/saved_model.pb && mkdir vol && cp -r models/resnet vol/ && cat vol/resnet/1/saved_model.pb",
            0,
            "pb\n",
        ),
        (
            "mkdir -p prepared/resnet && cp -r models/resnet/1 prepared/resnet/ && find prepared -type f",
            0,
            "prepared/resnet/1/saved_model.pb\n",
        ),
        ("ls -R models", 0, "models:\nresnet\n\nmodels/resnet:\n1\n\nmodels/resnet/1:\nsaved_model.pb\n"),
        // The shell.
        ("for i in 1 2 3; do echo $i; done | tail -n 1", 0, "3\n"),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", 0, "3\n"),
        ("if [ -f nope ]; then echo yes; else echo no; fi", 0, "no\n"),
        ("false || echo or; true && echo and; exit 7", 7, "or\nand\n"),
        ("x=${Y:-default}; case $x in d*) echo \"is $x\";; esac", 0, "is default\n"),
        ("f() { echo \"fn $1\"; }; f a | sed s/a/b/", 0, "fn b\n"),
        ("cat <<END\nhere $((1+1))\nEND", 0, "here 2\n"),
        ("echo one > f; echo two >> f; wc -l < f; rm f; ls f 2>/dev/null || echo gone", 0, "2\ngone\n"),
        ("set -e; false; echo not reached", 1, ""),
        ("trap 'echo bye' EXIT; echo hi", 0, "hi\nbye\n"),
        ("nosuch 2>/dev/null; echo $?", 0, "127\n"),
        ("exec echo replaced", 0, "replaced\n"),
        // Tools in pipes.
        ("printf 'b 2\\na 1\\n' | sort | awk '{print $2}' | tr '\\n' ,", 0, "1,2,"),
        ("echo abc | grep -q b && echo found; echo abc | grep -c x", 1, "found\n0\n"),
        ("seq 1 5 | head -n 2 | xargs echo", 0, "1 2\n"),
        ("yes | head -n 1", 0, "y\n"),
        ("echo -n hi | sha256sum | cut -c1-8", 0, "8f434346\n"),
        ("timeout 0.1 sleep 5; echo $?", 0, "124\n"),
        ("which nope; echo $?", 0, "1\n"),
        ("env A=b sh -c 'echo $A'", 0, "b\n"),
        ("id -u root; id -gn root; id nobody-here 2>/dev/null || echo none", 0, "0\nroot\nnone\n"),
        ("ps | head -n 1", 0, "PID   USER     COMMAND\n"),
        ("busybox echo applet", 0, "applet\n"),
        ("echo x | base64 | base64 -d", 0, "x\n"),
    ];
    for (line, code, out) in rows {
        let (got, stdout, stderr) = image.sh(line);
        assert_eq!((got, stdout.as_str()), (code, out), "{line}\n{stderr}");
    }
}

#[test]
fn programs_without_a_shell() {
    let image = Image::new();
    let rows: &[(&[&str], i32, &str, &str)] = &[
        (&["cat", "nope"], 1, "", "cat: nope: No such file or directory\n"),
        (&["ls", "nope"], 2, "", "ls: cannot access 'nope': No such file or directory\n"),
        (&["[", "1", "=", "2", "]"], 1, "", ""),
        (&["printf", "%s-%03d\\n", "a", "5"], 0, "a-005\n", ""),
        (&["busybox", "nope"], 127, "", "nope: applet not found\n"),
        (&["python3", "-c", "1"], 1, "", "python: only 'python -m http.server' is in Cordon's lab images (cordon.dev/simulated)\n"),
        (&["mount", "/dev/sda", "/mnt"], 1, "", "mount: mounting is not in Cordon's lab images (cordon.dev/simulated)\n"),
        (&["curl"], 2, "", "curl: (2) no URL specified\n"),
        (&["curl", "ftp://x/"], 1, "", "curl: (1) Protocol \"ftp\" not supported\n"),
        (&["wget", "ftp://x/"], 1, "", "wget: not an http or ftp url: ftp://x/\n"),
    ];
    for (words, code, out, err) in rows {
        assert_eq!(image.run(words), (*code, (*out).to_owned(), (*err).to_owned()), "{words:?}");
    }
    let (code, out, _) = image.run(&["nvidia-smi"]);
    assert!(code == 255 && out.contains("cordon.dev/simulated"), "{out}");
    let gpus = serde_json::to_string(&images::gpu::of_node("n", 1, "NVIDIA-L40S")).unwrap();
    let mut command = image.command(&["nvidia-smi"]);
    let (code, out, _) = said(&command.env(images::gpu::GIVEN, gpus).env("NVIDIA_VISIBLE_DEVICES", "0").output().unwrap());
    assert!(code == 0 && out.contains("NVIDIA L40S") && out.contains("cordon.dev/simulated"), "{code} {out}");
}

#[test]
fn a_shell_reads_what_it_is_piped() {
    let image = Image::new();
    let mut shell = image.command(&["sh"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(b"echo from stdin\nexit 3\n").unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b"from stdin\n"[..]));
}

/// Answers every connection with these bytes, for ever.
fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            respond(stream, answer);
        }
    });
    port
}

fn respond(mut stream: TcpStream, answer: &str) {
    let mut buffer = [0; 4096];
    let _ = stream.read(&mut buffer);
    let _ = stream.write_all(answer.as_bytes());
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn what_looks_at_a_service() {
    let image = Image::new();
    let good = format!("127.0.0.1:{}", server("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n"));
    let bad = format!("127.0.0.1:{}", server("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nno!\n"));
    let moved = format!("127.0.0.1:{}", server("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"));
    let silent = format!("127.0.0.1:{}", server(""));
    let closed = format!("127.0.0.1:{}", closed_port());
    let (host, port) = closed.split_once(':').unwrap();
    let refused = format!("curl: (7) Failed to connect to {host} port {port} after 0 ms: Could not connect to server\n");
    let rows: &[(&str, i32, &str, &str)] = &[
        (&format!("curl -s {good}/x"), 0, "hi\n", ""),
        (&format!("curl -sm 3 {good} -w '%{{http_code}}'"), 0, "hi\n200", ""),
        (&format!("curl -s -o /dev/null -w '%{{http_code}}\\n' http://{bad}"), 0, "404\n", ""),
        (&format!("curl -sSf {bad}"), 22, "", "curl: (22) The requested URL returned error: 404\n"),
        (&format!("curl -sSm 3 {closed}"), 7, "", &refused),
        (&format!("curl -sm 3 {closed} -w '%{{http_code}}'"), 7, "000", ""),
        (&format!("curl -sS {silent}"), 52, "", "curl: (52) Empty reply from server\n"),
        (&format!("curl -sSL {moved}"), 47, "", "curl: (47) Maximum (20) redirects followed\n"),
        (&format!("curl -sS https://{good}"), 35, "", "curl: (35) TLS connect error: "),
        (&format!("wget -qO- -T 3 http://{good}"), 0, "hi\n", ""),
        (&format!("wget -q -O out http://{good} && cat out"), 0, "hi\n", ""),
        (&format!("wget -q --spider http://{bad}"), 1, "", "wget: server returned error: HTTP/1.1 404 Not Found\n"),
        (&format!("wget -qO- http://{closed}"), 1, "", "wget: can't connect to remote host: Connection refused\n"),
        (&format!("nc -z -w 2 {}", good.replace(':', " ")), 0, "", ""),
        (&format!("nc -vz -w 2 {}", closed.replace(':', " ")), 1, "", &format!("nc: {host} ({port}): Connection refused\n")),
        (&format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {} | tail -n 1", good.replace(':', " ")), 0, "hi\n", ""),
    ];
    for (line, code, out, err) in rows {
        let (got, stdout, stderr) = image.sh(line);
        let as_said = if err.ends_with(": ") { stderr.starts_with(err) } else { stderr == *err };
        assert!(got == *code && stdout == *out && as_said, "{line}\n{got} {stdout:?} {stderr:?}\nexpected {code} {out:?} {err:?}");
    }
}

/// As `kubectl run c --image=curlimages/curl -- -V` and `… -- echo hi` have it.
#[test]
fn an_entrypoint_hands_over() {
    let image = Image::new();
    let script = image.work().join("entrypoint.sh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lab-image"), &script).unwrap();
    for (words, code, out) in
        [(&["-V"][..], 0, "curl as simulated by Cordon"), (&["echo", "hi"], 0, "hi\n"), (&["nope"], 127, ""), (&[], 0, "")]
    {
        let (got, stdout, _) = said(&Command::new(&script).args(words).env("PATH", image.bin()).output().unwrap());
        assert!(got == code && stdout.starts_with(out), "{words:?}: {got} {stdout}");
    }
}

/// The program is what its link says, wherever the link lies.
#[test]
fn tools_are_listed_and_named() {
    let image = Image::new();
    let own = Path::new(env!("CARGO_BIN_EXE_lab-image"));
    let (code, out, _) = said(&Command::new(own).output().unwrap());
    assert!(code == 0 && out.contains("simulated by Cordon"), "{out}");
    let (_, out, _) = said(&Command::new(own).arg("--list").output().unwrap());
    assert_eq!(out.lines().collect::<Vec<_>>(), images::description::TOOLS);
    let (code, out, _) = said(&Command::new(own).args(["echo", "hi"]).output().unwrap());
    assert_eq!((code, out.as_str()), (0, "hi\n"));
    std::os::unix::fs::symlink(own, image.work().join("ping")).unwrap();
    let (code, _, err) = said(&Command::new(image.work().join("ping")).output().unwrap());
    assert_eq!((code, err.as_str()), (127, "ping: this program is not in Cordon's lab images (cordon.dev/simulated)\n"));
}
