//! A person before a browser: a server of our own, headless Chromium, and the few things that hands and eyes do.
//! Screenshots go to `target/screenshots` or to `CORDON_SCREENSHOTS`.

use crate::{not_run, root, sandbox::cordon};
use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// A process that dies with the test.
#[derive(Debug)]
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

/// A server, a browser, and what a person does with them.
#[derive(Debug)]
pub struct Walk {
    pub client: Client,
    pub url: String,
    /// The server's and the browser's folder.
    pub folder: TempDir,
    pictures: PathBuf,
    _server: Process,
    _driver: Process,
}

impl Walk {
    /// `Err`: why there can be none here.
    pub async fn begin() -> Result<Self, String> {
        let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| present(name));
        let Some(chromium) = chromium.filter(|_| present("chromedriver")) else {
            return Err("Chromium or chromedriver is missing; install them: apt-get install chromium chromium-driver".to_owned());
        };
        if !root().join("web/dist/lab.js").is_file() {
            return Err("the pages are not bundled; run: make web".to_owned());
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mut serve = Command::new(cordon());
        serve.current_dir(folder.path()).env_remove("CORDON_CONFIG");
        serve.arg("serve").arg("--data").arg(folder.path().join("data")).args([
            "--listen",
            "127.0.0.1:0",
            "--gateway-listen",
            "127.0.0.1:0",
        ]);
        let (server, url) = start(serve, "Cordon is ready: ").expect("cordon serves");
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0");
        let (driver, port) = start(driver, "started successfully on port ").expect("chromedriver starts");

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
        Ok(Self { client, url, folder, pictures, _server: server, _driver: driver })
    }

    pub async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.url)).await.expect("the page opens");
    }

    async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let media =
            json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": [{"name": "prefers-color-scheme", "value": value}]}});
        self.client.issue_cmd(Chrome("goog/cdp/execute", media)).await.expect("the colours change");
    }

    pub async fn js(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until the expression is true in the page.
    pub async fn until(&self, what: &str, expression: &str) {
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

    pub async fn click(&self, selector: &str) {
        self.js(&format!("document.querySelector({selector:?}).scrollIntoView({{block: 'center'}})")).await;
        let element = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    pub async fn width(&self, width: u32, height: u32) {
        let metrics = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}});
        self.client.issue_cmd(Chrome("goog/cdp/execute", metrics)).await.expect("the window takes its size");
    }

    pub async fn picture(&self, name: &str) {
        let image = self.client.screenshot().await.expect("a picture");
        fs::write(self.pictures.join(format!("{name}.png")), image).expect("the picture is written");
    }

    /// The page on a phone, a tablet and a desk, and in the dark: nothing wider than the window, nothing serious for axe-core.
    pub async fn judge(&self, name: &str) {
        for (width, height) in [(768, 1024), (360, 740), (1280, 860)] {
            self.width(width, height).await;
            self.picture(&format!("{name}-{width}")).await;
            let wide = self.js("const e = document.scrollingElement; return e.scrollWidth - e.clientWidth").await;
            assert!(wide.as_i64() <= Some(0), "{name} at {width}: the page is {wide} pixels too wide");
            self.axe(&format!("{name} at {width}")).await;
        }
        self.dark(true).await;
        self.picture(&format!("{name}-dark")).await;
        self.axe(&format!("{name} in the dark")).await;
        self.dark(false).await;
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
    pub async fn console(&self) {
        let log = self.client.issue_cmd(Chrome("se/log", json!({"type": "browser"}))).await.expect("the console's log");
        let bad: Vec<&Value> =
            log.as_array().into_iter().flatten().filter(|line| matches!(line["level"].as_str(), Some("SEVERE" | "WARNING"))).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }

    /// Pastes into whatever has the focus, as a person would.
    pub async fn paste(&self, text: &str) {
        let script = "const data = new DataTransfer(); data.setData('text/plain', arguments[0]); \
                      document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}))";
        self.client.execute(script, vec![json!(text)]).await.expect("it pastes");
    }

    pub async fn keys(&self, text: &str) {
        self.client.active_element().await.expect("something has the focus").send_keys(text).await.expect("keys");
    }

    /// Types a command into the terminal and waits until the shell has done it.
    pub async fn shell(&self, command: &str) {
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

/// Keys as WebDriver names them.
pub mod key {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const SHIFT: &str = "\u{e008}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const HOME: &str = "\u{e011}";
    pub const RIGHT: &str = "\u{e014}";
    pub const DOWN: &str = "\u{e015}";
    pub const F6: &str = "\u{e036}";
}

/// What a person sees of the focus: what has it, whether it is marked, whether it is in the window.
const FOCUS: &str = "const e = document.activeElement; if (!e || e === document.body) return {what: 'nothing', seen: true}; \
     const marked = (x) => x && (getComputedStyle(x).outlineStyle !== 'none' && parseFloat(getComputedStyle(x).outlineWidth) >= 2); \
     const box = e.closest('#terminal, .cm-editor') ?? e; const r = box.getBoundingClientRect(); \
     const inside = r.width > 1 && r.height > 1 && r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth; \
     return {what: e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + ' ' + (e.getAttribute('aria-label') ?? e.textContent).trim().slice(0, 40), \
             seen: inside && (marked(e) || marked(box))}";

impl Walk {
    /// Presses Tab (or Shift and Tab) until the focus is on what `selector` names. Every stop on the way must be seen.
    pub async fn tab_to(&self, selector: &str, back: bool) {
        let mut stops = Vec::new();
        let press = if back { format!("{}{}", key::SHIFT, key::TAB) } else { key::TAB.to_owned() };
        for _ in 0..120 {
            self.keys(&press).await;
            let started = Instant::now();
            let mut focus = self.js(FOCUS).await;
            // The editor marks itself a moment later.
            while focus["seen"] != true {
                assert!(started.elapsed() < Duration::from_secs(5), "the focus is not seen on {} after {stops:#?}", focus["what"]);
                tokio::time::sleep(Duration::from_millis(20)).await;
                focus = self.js(FOCUS).await;
            }
            if self.js(&format!("return document.activeElement.matches({selector:?})")).await == Value::Bool(true) {
                return;
            }
            stops.push(focus["what"].as_str().unwrap_or_default().to_owned());
        }
        panic!("Tab never comes to {selector}: {stops:#?}");
    }

    /// Says yes to the question that the page asks.
    pub async fn say_yes(&self) {
        let started = Instant::now();
        while self.client.accept_alert().await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "the page asks nothing");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn present(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .map_or_else(|| program.to_owned(), |file| file.display().to_string())
}
