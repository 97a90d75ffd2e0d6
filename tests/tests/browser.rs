//! Tier: browser. A guest does the first lab in headless Chromium, with terminal and editor, at two widths; axe-core and the console
//! must have nothing to say. Screenshots go to `target/screenshots` or to `CORDON_SCREENSHOTS`.

use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tests::{not_run, root, sandbox::cordon};
use tokio::time::Instant;

/// A process that dies with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `command` and gives what follows `mark` on the first line that holds it.
fn start(mut command: Command, mark: &str) -> Result<(Process, String), String> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().map_err(|error| error.to_string())?;
    let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let process = Process(child);
    let (sender, receiver) = std::sync::mpsc::channel();
    let mark = mark.to_owned();
    // The reader goes on for ever, so that the program never stands before a full pipe.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once(&mark) {
                let _ = sender.send(rest.trim().to_owned());
            }
        }
    });
    let found = receiver.recv_timeout(Duration::from_secs(60)).map_err(|_| "it did not say that it is ready".to_owned())?;
    Ok((process, found))
}

/// A command of chromedriver beyond the standard.
#[derive(Debug)]
struct Chrome(&'static str, Value);

impl WebDriverCompatibleCommand for Chrome {
    fn endpoint(&self, base_url: &url::Url, session_id: Option<&str>) -> Result<url::Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _request_url: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

struct Walk {
    client: Client,
    url: String,
    pictures: PathBuf,
}

impl Walk {
    async fn js(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until the expression is true in the page.
    async fn until(&self, what: &str, expression: &str) {
        let started = Instant::now();
        while self.client.execute(&format!("return !!({expression})"), vec![]).await.ok() != Some(Value::Bool(true)) {
            if started.elapsed() > Duration::from_secs(45) {
                self.picture("failed").await;
                let text = self.js("return document.body.innerText + document.querySelector('.xterm-rows')?.textContent").await;
                panic!("never: {what}\n{}", text.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn click(&self, selector: &str) {
        self.js(&format!("document.querySelector({selector:?}).scrollIntoView({{block: 'center'}})")).await;
        let element = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    async fn width(&self, width: u32, height: u32) {
        let metrics = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}});
        self.client.issue_cmd(Chrome("goog/cdp/execute", metrics)).await.expect("the window takes its size");
    }

    async fn picture(&self, name: &str) {
        let image = self.client.screenshot().await.expect("a picture");
        fs::write(self.pictures.join(format!("{name}.png")), image).expect("the picture is written");
    }

    /// The page at both widths: nothing wider than the window, nothing serious for axe-core.
    async fn judge(&self, name: &str) {
        for (width, height) in [(360, 740), (1280, 860)] {
            self.width(width, height).await;
            self.picture(&format!("{name}-{width}")).await;
            let wide = self.js("const e = document.scrollingElement; return e.scrollWidth - e.clientWidth").await;
            assert!(wide.as_i64() <= Some(0), "{name} at {width}: the page is {wide} pixels too wide");
            self.axe(&format!("{name} at {width}")).await;
        }
    }

    async fn axe(&self, what: &str) {
        let Ok(axe) = fs::read_to_string(root().join("web/node_modules/axe-core/axe.min.js")) else {
            not_run("axe-core", "web/node_modules is not installed; run: make web");
            return;
        };
        self.client.execute(&axe, vec![]).await.expect("axe-core loads");
        let script = "const done = arguments[arguments.length - 1]; axe.run().then((r) => done(r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))\
                      .map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 160) + ' ' + n.failureSummary).join('\\n'))), (e) => done([String(e)]))";
        let found = self.client.execute_async(script, vec![]).await.expect("axe-core runs");
        assert_eq!(found, json!([]), "{what}");
    }

    /// Nothing in the console but what the browser itself remarks on.
    async fn console(&self) {
        let log = self.client.issue_cmd(Chrome("se/log", json!({"type": "browser"}))).await.expect("the console's log");
        let bad: Vec<&Value> =
            log.as_array().into_iter().flatten().filter(|line| matches!(line["level"].as_str(), Some("SEVERE" | "WARNING"))).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }

    /// Pastes into whatever has the focus, as a person would.
    async fn paste(&self, text: &str) {
        let script = "const data = new DataTransfer(); data.setData('text/plain', arguments[0]); \
                      document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}))";
        self.client.execute(script, vec![json!(text)]).await.expect("it pastes");
    }

    async fn keys(&self, text: &str) {
        self.client.active_element().await.expect("something has the focus").send_keys(text).await.expect("keys");
    }

    /// Types a command into the terminal and waits until the shell has done it.
    async fn shell(&self, command: &str) {
        self.js("document.querySelector('#terminal textarea').focus()").await;
        let mark = format!("done{}", command.len() * 31 + usize::from(command.as_bytes()[0]));
        // The mark is put together by the shell, so that the echo of the command is not taken for it.
        self.paste(&format!("{command}; echo \"{}\"'{}'", &mark[..2], &mark[2..])).await;
        self.keys("\u{e007}").await;
        self.until(command, &format!("document.querySelector('.xterm-rows').textContent.includes('{mark}')")).await;
        self.keys("clear\u{e007}").await;
        self.until("an empty screen", &format!("!document.querySelector('.xterm-rows').textContent.includes('{mark}')")).await;
    }
}

/// A file of the lab with this attempt's values.
fn lab_file(path: &str, values: &[(&str, String)]) -> String {
    let folder = root().join("labs/content/beginner/secure-single-node-gpu-cluster");
    let mut text = fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (name, value) in values {
        text = text.replace(&format!("{{{{ .params.{name} }}}}"), value);
    }
    assert!(!text.contains("{{"), "{path} has a value that the page does not show");
    text
}

fn present(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_earns_a_hundred_points() {
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| present(name));
    let Some(chromium) = chromium.filter(|_| present("chromedriver")) else {
        return not_run("the browser suite", "Chromium or chromedriver is missing; install them: apt-get install chromium chromium-driver");
    };
    if !root().join("web/dist/lab.js").is_file() {
        return not_run("the browser suite", "the pages are not bundled; run: make web");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Command::new(cordon());
    serve.current_dir(folder.path()).env_remove("CORDON_CONFIG");
    serve.arg("serve").arg("--data").arg(folder.path().join("data")).args(["--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"]);
    let (_server, url) = start(serve, "Cordon is ready: ").expect("cordon serves");
    let mut driver = Command::new("chromedriver");
    driver.arg("--port=0");
    let (_driver, port) = start(driver, "started successfully on port ").expect("chromedriver starts");

    let profile = folder.path().join("profile");
    let arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([format!("--user-data-dir={}", profile.display())])
    .collect();
    let capabilities = json!({
        "goog:chromeOptions": {"args": arguments, "binary": which(chromium)},
        "goog:loggingPrefs": {"browser": "ALL"},
        "unhandledPromptBehavior": "accept",
    });
    let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities.as_object().cloned().unwrap_or_default())
        .connect(&format!("http://127.0.0.1:{}", port.trim_end_matches('.')))
        .await
        .expect("a browser");
    let pictures = std::env::var_os("CORDON_SCREENSHOTS").map_or_else(|| root().join("target/screenshots"), PathBuf::from);
    fs::create_dir_all(&pictures).expect("a folder for pictures");
    let walk = Walk { client: client.clone(), url, pictures };
    let result = tokio::spawn(async move { lab(&walk, folder.path()).await }).await;
    let _ = client.close().await;
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn lab(walk: &Walk, folder: &Path) {
    for (path, name) in
        [("/", "catalogue"), ("/sign-in", "sign-in"), ("/register", "register"), ("/labs/secure-single-node-gpu-cluster", "intro")]
    {
        walk.client.goto(&format!("{}{path}", walk.url)).await.expect("the page opens");
        walk.judge(name).await;
        walk.console().await;
    }
    walk.click("#start").await;
    walk.until("the lab", "document.getElementById('lab')").await;
    let attempt = walk.client.current_url().await.expect("an address").path().to_owned();
    let mut values = Vec::new();
    for (name, pattern) in [
        ("namespace", "namespace is ([\\\\w-]+)"),
        ("app", "workload is called ([\\\\w-]+)"),
        ("port", "listens on port (\\\\d+)"),
        ("monitoring", "in the namespace ([\\\\w-]+)"),
    ] {
        let value = walk.js(&format!("return document.getElementById('intro').textContent.match(new RegExp('{pattern}'))?.[1]")).await;
        values.push((name, value.as_str().unwrap_or_else(|| panic!("the introduction does not show {name}")).to_owned()));
    }
    let jail = walk.js("return !!document.getElementById('terminal')").await == Value::Bool(true);
    if jail {
        walk.until("the terminal", "document.getElementById('terminal-state').textContent === 'connected'").await;
        walk.shell("kubectl get nodes").await;
    } else {
        not_run("the terminal", "the shell's jail cannot run here");
    }
    walk.judge("lab").await;
    // A task that is not done says why; its hint shows the price.
    walk.click("#check-gpu").await;
    walk.until("a finding", "document.querySelector('#task-gpu .findings li')").await;
    walk.until("a price", "document.getElementById('hint-gpu').textContent.includes('costs')").await;
    walk.judge("findings").await;
    walk.click("#tab-cluster").await;
    walk.until("pods", "document.querySelector('#cluster .matrix')").await;
    walk.judge("cluster").await;
    // The editor: the cluster's own schema objects to a typing error, then the file is put right and applied.
    walk.click("#tab-editor").await;
    walk.until("the editor", "document.querySelector('.cm-content') && document.getElementById('file').value").await;
    let write = async |text: &str| {
        walk.js("document.querySelector('.cm-content').focus()").await;
        walk.keys("\u{e009}a").await;
        walk.paste(text).await;
    };
    let plugin = lab_file("solutions/pod-level/device-plugin.yaml", &values);
    write(&plugin.replacen("spec:", "spec:\n  replicaz: 1", 1)).await;
    walk.until("an objection", "document.querySelector('.cm-lintRange-error')").await;
    walk.judge("editor").await;
    write(&plugin).await;
    walk.until("no objection", "!document.querySelector('.cm-lintRange-error')").await;
    walk.click("[data-do=apply]").await;
    walk.until("what came of it", "document.getElementById('apply-result').textContent.includes('DaemonSet')").await;
    if !jail {
        return;
    }
    walk.click("#tab-terminal").await;
    walk.shell(
        "cordon scan tensorflow/serving:2.19.1-gpu > scan.json; cordon scan registry.cordon.dev/models/resnet:1 > scan2.json; sleep 2",
    )
    .await;
    for file in ["serving.yaml", "policy.yaml", "namespace.yaml"] {
        let text = lab_file(&format!("solutions/pod-level/{file}"), &values);
        walk.shell(&format!("cat > {file} <<'EOF'\n{}\nEOF\nkubectl apply -f {file}", text.trim_end())).await;
    }
    walk.shell(&format!("kubectl -n {} rollout status deployment/{} --timeout=60s", values[0].1, values[1].1)).await;
    walk.picture("terminal-1280").await;
    // The shell and what it printed are still there after a reload; F6 leaves the terminal by keyboard.
    walk.shell("remember=me-well").await;
    walk.client.refresh().await.expect("it reloads");
    walk.until("the terminal again", "document.getElementById('terminal-state').textContent === 'connected'").await;
    walk.js("document.querySelector('#terminal textarea').focus()").await;
    walk.keys("echo $remember | tr a-z A-Z\u{e007}").await;
    walk.until("the same shell", "document.querySelector('.xterm-rows').textContent.includes('ME-WELL')").await;
    walk.keys("\u{e036}").await;
    walk.until("a way out of the terminal", "document.activeElement.id === 'terminal-leave'").await;
    let started = Instant::now();
    loop {
        walk.click("#check-all").await;
        walk.until(
            "the answer",
            "document.querySelector('form[action$=\"/check\"][aria-busy]') === null && document.querySelector('#live .toast')",
        )
        .await;
        if walk.js("return document.querySelector('#score b').textContent").await == json!("100") {
            break;
        }
        if started.elapsed() > Duration::from_secs(60) {
            walk.picture("failed").await;
            panic!("{}", walk.js("return document.getElementById('main').innerText").await.as_str().unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    walk.judge("passed").await;
    walk.click("form[action$=\"/finish\"] button").await;
    let _ = walk.client.accept_alert().await;
    walk.until("the result", "document.getElementById('final-score')").await;
    assert_eq!(walk.js("return document.querySelector('#final-score span').textContent").await, json!("100"));
    walk.judge("result").await;
    walk.console().await;
    let fetch = async |path: &str| {
        let script = "const done = arguments[arguments.length - 1]; fetch(arguments[0]).then((a) => a.text()).then(done)";
        walk.client.execute_async(script, vec![json!(path)]).await.expect("it downloads").as_str().unwrap_or_default().to_owned()
    };
    for (name, path) in [("receipt.json", format!("{attempt}/receipt")), ("key.pem", "/receipts/public-key".to_owned())] {
        fs::write(folder.join(name), fetch(&path).await).expect("it is written");
    }
    let verified = Command::new(cordon())
        .arg("verify")
        .arg(folder.join("receipt.json"))
        .arg("--key")
        .arg(folder.join("key.pem"))
        .output()
        .expect("cordon verifies");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    walk.client.goto(&format!("{}/account", walk.url)).await.expect("the page opens");
    walk.judge("account").await;
    walk.console().await;
}

fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .map_or_else(|| program.to_owned(), |file| file.display().to_string())
}
