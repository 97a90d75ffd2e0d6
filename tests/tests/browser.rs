//! Tier: browser. A guest does the first lab in headless Chromium, with terminal and editor, at three widths, in light and dark, and once
//! with the keyboard alone; axe-core and the console must have nothing to say.

use serde_json::{Value, json};
use std::{fs, process::Command, time::Duration};
use tests::{
    browser::{Walk, key},
    not_run, root,
    sandbox::cordon,
};
use tokio::time::Instant;

/// One browser at a time: two of them, each with its server, are more than a small machine can do in the time that people wait.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs `steps` with a browser, and closes it however they end.
async fn with_browser<F: Future<Output = ()> + Send + 'static>(what: &str, steps: impl FnOnce(std::sync::Arc<Walk>) -> F) {
    let _one = ONE.lock().await;
    let walk = match Walk::begin().await {
        Ok(walk) => std::sync::Arc::new(walk),
        Err(why) => return not_run(what, &why),
    };
    let result = tokio::spawn(steps(walk.clone())).await;
    let _ = walk.client.clone().close().await;
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_earns_a_hundred_points() {
    with_browser("the browser suite", async |walk| lab(&walk).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_is_enough() {
    with_browser("the keyboard's walk", async |walk| keyboard(&walk).await).await;
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

async fn lab(walk: &Walk) {
    let folder = walk.folder.path();
    for (path, name) in
        [("/", "catalogue"), ("/sign-in", "sign-in"), ("/register", "register"), ("/labs/secure-single-node-gpu-cluster", "intro")]
    {
        walk.goto(path).await;
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
    walk.click(".step[open] [data-copy]").await;
    walk.until("a copy", "document.querySelector('#live .toast')?.textContent === 'Copied.'").await;
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
    walk.goto("/account").await;
    walk.judge("account").await;
    walk.console().await;
}

/// Nothing is clicked, and no script moves the focus.
async fn keyboard(walk: &Walk) {
    let active = async |selector: &str| walk.until(selector, &format!("document.activeElement.matches({selector:?})")).await;
    walk.width(1280, 860).await;
    walk.goto("/labs/secure-single-node-gpu-cluster").await;
    walk.tab_to(".skip", false).await;
    walk.keys(key::ENTER).await;
    active("#main").await;
    walk.tab_to("#start", false).await;
    walk.keys(key::ENTER).await;
    walk.until("the lab", "document.getElementById('lab')").await;

    // The second link of the page skips to the workbench; arrows choose a panel.
    walk.tab_to(".skip[href='#workbench']", false).await;
    walk.keys(key::ENTER).await;
    active("#workbench").await;
    walk.tab_to("[role=tab][aria-selected=true]", false).await;
    walk.keys(key::HOME).await;
    walk.keys(key::RIGHT).await;
    active("#tab-editor").await;
    walk.until("a file", "document.querySelector('.cm-content') && document.getElementById('file').value").await;
    walk.tab_to(".cm-content", false).await;
    walk.keys("# typed").await;
    walk.keys(key::TAB).await;
    active(".cm-content").await;
    walk.until("text that is not saved", "document.querySelector('[data-state]').textContent === 'not saved'").await;
    walk.keys(key::ESCAPE).await;
    walk.keys(key::TAB).await;
    walk.until("a way out of the editor", "!document.activeElement.matches('.cm-content')").await;
    walk.tab_to("[data-do=save]", true).await;
    walk.keys(key::ENTER).await;
    walk.until("a file that is saved", "document.querySelector('[data-state]').textContent === 'saved'").await;

    // The matrix: one stop for Tab, arrows inside, the reason below.
    walk.tab_to("#tab-editor", true).await;
    walk.keys(key::RIGHT).await;
    active("#tab-cluster").await;
    walk.until("a matrix", "document.querySelector('#cell-1-1')").await;
    walk.tab_to(".matrix .cell", false).await;
    walk.keys(key::RIGHT).await;
    active("#cell-0-1").await;
    walk.keys(key::DOWN).await;
    walk.keys(key::DOWN).await;
    active("#cell-2-1").await;
    walk.until("the reason", "document.getElementById('matrix-why').textContent === document.activeElement.title").await;
    let reason = walk.js("return document.activeElement.title").await;
    assert!(reason.as_str().is_some_and(|reason| reason.contains(" to ")), "{reason}");
    walk.picture("matrix-by-keyboard").await;

    // Into the terminal and out of it again.
    walk.tab_to("#tab-cluster", true).await;
    walk.keys(key::HOME).await;
    active("#tab-terminal").await;
    let jail = walk.js("return !!document.getElementById('terminal')").await == Value::Bool(true);
    if jail {
        walk.until("the terminal", "document.getElementById('terminal-state').textContent === 'connected'").await;
        walk.tab_to("#terminal textarea", false).await;
        walk.keys(&format!("echo by-keyboard | tr a-z A-Z{}", key::ENTER)).await;
        walk.until("what the shell answers", "document.querySelector('.xterm-rows').textContent.includes('BY-KEYBOARD')").await;
        walk.keys(key::TAB).await;
        active("#terminal textarea").await;
        walk.keys(key::F6).await;
        active("#terminal-leave").await;
        walk.picture("terminal-left").await;
        walk.keys(key::ENTER).await;
        active("#tab-terminal").await;
        // A command of the instructions goes to the command line and waits there for Enter.
        walk.tab_to(".step[open] button[data-run]", true).await;
        let command = walk.js("return document.activeElement.closest('figure').querySelector('code').textContent.split('\\n').pop()").await;
        let words = command.as_str().and_then(|command| command.split(' ').next()).unwrap_or_default().to_owned();
        walk.keys(key::ENTER).await;
        active("#terminal textarea").await;
        walk.until("the command", &format!("document.querySelector('.xterm-rows').textContent.includes({words:?})")).await;
        walk.keys(key::F6).await;
        active("#terminal-leave").await;
    } else {
        not_run("the terminal", "the shell's jail cannot run here");
    }

    // A check, its findings, a hint: what has the focus keeps it although the card is drawn anew.
    walk.tab_to("#check-gpu", true).await;
    walk.keys(key::ENTER).await;
    walk.until("a finding", "document.querySelector('#task-gpu .findings li')").await;
    active("#check-gpu").await;
    walk.tab_to("#hint-gpu", true).await;
    walk.keys(key::ENTER).await;
    walk.until("a hint", "document.querySelector('#task-gpu .hint')").await;

    // A reset and the end ask first.
    walk.tab_to("#more > summary", false).await;
    walk.keys(key::ENTER).await;
    walk.tab_to("#resets button", false).await;
    walk.keys(key::ENTER).await;
    walk.say_yes().await;
    walk.until("a reset", "document.querySelector('.note.good')?.textContent.includes('as they were')").await;
    walk.tab_to("form[action$='/finish'] button", false).await;
    walk.keys(key::ENTER).await;
    walk.say_yes().await;
    walk.until("the result", "document.getElementById('final-score')").await;
    walk.tab_to("a[href$='/receipt']", false).await;
    walk.tab_to("figure.code button[data-copy]", false).await;
    walk.console().await;
}
