//! kill -9 and start again: what was acknowledged is there. Processes of the real binary.

use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, LogParams, ObjectMeta, PostParams, WatchEvent, WatchParams};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running `cordon`; killed when dropped.
struct Cordon {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Cordon {
    fn start(arguments: &[&str]) -> Self {
        let mut process =
            Command::new(env!("CARGO_BIN_EXE_cordon")).args(arguments).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the process ended early");
        line.trim().to_owned()
    }

    /// SIGKILL: nothing is flushed, nobody says goodbye.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Cordon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn client(folder: &Path) -> kube::Client {
    let file = kube::config::Kubeconfig::read_from(folder.join("admin.kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_acknowledged_survives() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["sandbox", "up", "--data", data.to_str().unwrap(), "--kubeconfig-dir", folder.path().to_str().unwrap()];
    let mut first = Cordon::start(&arguments);
    first.line();
    let maps: Api<ConfigMap> = Api::namespaced(client(folder.path()).await, "default");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let maps = maps.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0..500 {
                let name = format!("w{writer}-{number}");
                let data = Some(BTreeMap::from([("number".to_owned(), number.to_string())]));
                let map =
                    ConfigMap { metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() }, data, ..ConfigMap::default() };
                match maps.create(&PostParams::default(), &map).await {
                    Ok(made) => acknowledged.push((name, made.metadata.uid)),
                    Err(_) => break,
                }
            }
            acknowledged
        });
    }
    // In the middle of it: as soon as some are there.
    while maps.list_metadata(&kube::api::ListParams::default()).await.unwrap().items.len() < 20 {}
    first.kill();
    let acknowledged: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() >= 19, "{}", acknowledged.len());

    let mut second = Cordon::start(&arguments);
    second.line();
    let maps: Api<ConfigMap> = Api::namespaced(client(folder.path()).await, "default");
    for (name, uid) in &acknowledged {
        let found = maps.get(name).await.unwrap_or_else(|error| panic!("{name} was acknowledged and is lost: {error}"));
        assert_eq!(&found.metadata.uid, uid, "{name}");
    }
}

/// For the pods it was a reboot of their node: the process is another one, and says so; what was written to the disk is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_pods_wrote_down_survives() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["sandbox", "up", "--data", data.to_str().unwrap(), "--kubeconfig-dir", folder.path().to_str().unwrap()];
    let mut first = Cordon::start(&arguments);
    first.line();
    let pods: Api<Pod> = Api::namespaced(client(folder.path()).await, "default");
    let script = "touch /d/lives; echo life $(cat /d/lives | wc -l) >> /d/lives; cat /d/lives; sleep 10000";
    let pod = serde_json::from_value(serde_json::json!({"metadata": {"name": "p"}, "spec": {
        "volumes": [{"name": "d", "emptyDir": {}}],
        "containers": [{"name": "c", "image": "busybox:1.37", "command": ["sh", "-c", script], "volumeMounts": [{"name": "d", "mountPath": "/d"}]}]}}))
    .unwrap();
    let uid = pods.create(&PostParams::default(), &pod).await.unwrap().metadata.uid.unwrap();
    ready(&pods, 0).await;
    let disk = data.join("clusters/sandbox/disk/pods").join(uid);
    let mut looks = 0;
    while !disk.join("volumes/d").exists() || !disk.join("logs/c.log").exists() {
        pods.get("p").await.unwrap();
        looks += 1;
        assert!(looks < 5_000, "the disk is written a moment later");
    }
    first.kill();

    let mut second = Cordon::start(&arguments);
    second.line();
    let pods: Api<Pod> = Api::namespaced(client(folder.path()).await, "default");
    let pod = ready(&pods, 1).await;
    let status = &pod.status.unwrap().container_statuses.unwrap()[0];
    let last = status.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (255, Some("Unknown")));
    assert_eq!(pods.logs("p", &LogParams { previous: true, ..LogParams::default() }).await.unwrap(), "life 0\n");
    let follow = LogParams { follow: true, ..LogParams::default() };
    let lines = pods.log_stream("p", &follow).await.unwrap().lines().take(2);
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>().await, ["life 0", "life 1"]);
}

/// Waits until the pod `p` is ready after so many restarts.
async fn ready(pods: &Api<Pod>, restarts: i32) -> Pod {
    let watch = WatchParams::default().fields("metadata.name=p").timeout(120);
    let mut events = pods.watch(&watch, "0").await.unwrap().boxed();
    while let Some(event) = events.next().await {
        let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event.unwrap() else { continue };
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        if statuses.is_some_and(|all| all[0].ready && all[0].restart_count == restarts) {
            return pod;
        }
    }
    panic!("the pod did not become ready: {:?}", pods.get("p").await.unwrap().status);
}

/// One request, HTTP/1.1; the whole answer as text.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

#[test]
fn an_attempt_survives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"];
    let mut first = Cordon::start(&arguments);
    let address = first.line().split_once("http://").unwrap().1.to_owned();
    let mut twin = Cordon::start(&arguments);
    assert!(!twin.process.wait().unwrap().success(), "a second server on the same data folder is refused");

    let mut jar: BTreeMap<String, String> = BTreeMap::new();
    let call = |address: &str, method: &str, path: &str, body: &str, jar: &mut BTreeMap<String, String>| {
        let cookies = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nCookie: {cookies}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(address, &request);
        for line in answer.lines().take_while(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("set-cookie")
                && let Some((name, value)) = value.split(';').next().and_then(|pair| pair.split_once('='))
            {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    };
    let catalogue = call(&address, "GET", "/", "", &mut jar);
    let lab = between(&catalogue, "href=\"/labs/", "\"").expect("there is a lab").to_owned();
    let intro = call(&address, "GET", &format!("/labs/{lab}"), "", &mut jar);
    let csrf = between(&intro, "name=\"csrf\" value=\"", "\"").unwrap().to_owned();
    let started = call(&address, "POST", &format!("/labs/{lab}/start"), &format!("csrf={csrf}"), &mut jar);
    let attempt = between(&started, "location: ", "\r").unwrap_or_else(|| panic!("{started}")).to_owned();
    let running = |address: &str, jar: &mut BTreeMap<String, String>| {
        // The server itself ends the wait: a start that takes too long becomes a failure, which is no kubeconfig either.
        loop {
            let answer = call(address, "GET", &format!("{attempt}/kubeconfig"), "", jar);
            if answer.starts_with("HTTP/1.1 200") {
                return answer;
            }
            let page = call(address, "GET", &attempt, "", jar);
            assert!(page.starts_with("HTTP/1.1 200") && !page.contains("could not be started"), "{page}");
        }
    };
    let before = running(&address, &mut jar);
    let token = between(&before, "token: \"", "\"").unwrap().to_owned();
    first.kill();

    let mut second = Cordon::start(&arguments);
    let address = second.line().split_once("http://").unwrap().1.to_owned();
    let after = running(&address, &mut jar);
    assert_eq!(between(&after, "token: \"", "\""), Some(token.as_str()), "the same browser, the same attempt, the same token");
    let page = call(&address, "GET", &attempt, "", &mut jar);
    assert!(page.contains("id=\"workbench\""), "{page}");
}
