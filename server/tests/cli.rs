//! Tier: process. What the command line does when its reader goes away, and what it says of bad input.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

fn cordon(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.current_dir(folder).stdin(Stdio::null()).env_clear().env("HOME", folder);
    command
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: [{name: a, image: b}]}\n";

/// `cordon … | head -0`, standard error included: it ends with its own exit code, without a panic (101) and without a signal.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pod.yaml"), POD).unwrap();
    for (line, code) in [
        ("--help", 0),
        ("help check", 0),
        ("nonsense", 2),
        ("labs lint", 0),
        ("labs lint none", 1),
        ("labs test none", 1),
        ("user list --data data", 0),
        ("user role nobody admin --data data", 1),
        ("check pod-security pod.yaml", 1),
        ("check pod-security --format json pod.yaml", 1),
        ("check pod-security none.yaml", 2),
        ("check network-policy pod.yaml", 0),
        ("verify none.json", 1),
        ("doctor", 0),
        ("doctor --format json", 0),
        ("--log trace labs lint", 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = cordon(folder.path());
        command.args(line.split(' ')).stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(command.status().unwrap().code(), Some(code), "cordon {line}");
    }
}

/// What is wrong, and where: a file, an option, a field. Once.
#[test]
fn bad_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    std::fs::write(folder.path().join("bad.toml"), "[web]\nlisten = 3\n").unwrap();
    std::fs::write(folder.path().join("bomb.yaml"), "[".repeat(100_000)).unwrap();
    std::fs::write(folder.path().join("latin.yaml"), b"a: \xff\xfe\n").unwrap();
    for (line, code, words) in [
        (
            format!("serve --data d --listen 127.0.0.1:{port}"),
            1,
            format!("the pages cannot listen on 127.0.0.1:{port}: Address already in use"),
        ),
        ("serve --config none.toml --data d".to_owned(), 1, "cannot read none.toml: No such file".to_owned()),
        ("serve --config bad.toml --data d".to_owned(), 1, "bad.toml, line 2: ".to_owned()),
        ("serve --public-url lab --data d".to_owned(), 1, "the command line: --public-url: \"lab\" is no URL".to_owned()),
        ("scan a".to_owned(), 1, "KUBECONFIG must lead to your lab's cluster".to_owned()),
        ("verify none.json".to_owned(), 1, "cannot read none.json: No such file".to_owned()),
        ("check pod-security bomb.yaml".to_owned(), 2, "bomb.yaml: ".to_owned()),
        ("check pod-security latin.yaml".to_owned(), 2, "latin.yaml: ".to_owned()),
        ("check pod-security --level none a".to_owned(), 2, "privileged, baseline, restricted".to_owned()),
        ("sandbox up --node name=A".to_owned(), 2, "a node needs a name".to_owned()),
        ("user role nobody admin --data d".to_owned(), 1, "there is no account \"nobody\"".to_owned()),
        ("user add ada --data d".to_owned(), 1, "no password on standard input".to_owned()),
    ] {
        let output = cordon(folder.path()).args(line.split(' ')).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "cordon {line}: {said}");
        assert!(said.contains(&words) && said.matches("No such file").count() <= 1 && said.len() < 2_000, "cordon {line}: {said}");
    }
    let mut adding = cordon(folder.path());
    let mut adding = adding.args(["user", "add", "ada", "--data", "d"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    adding.stdin.take().unwrap().write_all(b"short\n").unwrap();
    let said = String::from_utf8(adding.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(said, "cordon: password: at least 10 characters\n");
}

/// A server that knows one image; answers `times` requests.
fn scanner(times: usize) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let report = r#"{"ArtifactName":"a:1","CordonSimulated":true,"Metadata":{"RepoDigests":["a@sha256:1"]},"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","PkgName":"p","InstalledVersion":"1","Severity":"CRITICAL","Title":"t"}]}]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{report}",
        report.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().take(times) {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut some = [0; 4096];
            while !request.ends_with(b"}") {
                let count = stream.read(&mut some).unwrap();
                assert_ne!(count, 0, "the request ended early");
                request.extend_from_slice(&some[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn a_scan_is_printed_and_its_reader_may_go() {
    let folder = tempfile::tempdir().unwrap();
    let address = scanner(4);
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: a\n  cluster: {{server: \"http://{address}/clusters/a\"}}\n\
         users:\n- name: a\n  user: {{token: t}}\ncontexts:\n- name: a\n  context: {{cluster: a, user: a}}\n"
    );
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let scan = |more: &[&str]| {
        let mut command = cordon(folder.path());
        command.env("KUBECONFIG", folder.path().join("kubeconfig")).args(["scan", "a:1"]).args(more);
        command
    };
    let printed = scan(&["--format", "table"]).output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.status.success() && text.starts_with("a:1 (simulated)\na@sha256:1\nCRITICAL  CVE-1"), "{text}");
    for (arguments, code) in [(&["--format", "table"][..], 0), (&[], 0), (&["--format", "table", "--fail-on", "HIGH"], 1)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(scan(arguments).stdout(writer).status().unwrap().code(), Some(code), "{arguments:?}");
    }
    let lost = cordon(folder.path()).args(["scan", "a:1"]).output().unwrap();
    assert!(String::from_utf8(lost.stderr).unwrap().contains("KUBECONFIG must lead to your lab's cluster"));
}
