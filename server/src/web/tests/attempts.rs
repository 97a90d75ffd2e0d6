//! The life of an attempt through the router: starts that fail, live updates, broken again, resets, timers, second attempts, errors of ours.

use super::*;
use http_body_util::BodyExt;

/// What an open page is told.
struct Watching {
    body: Body,
    text: String,
}

impl Watching {
    /// Reads on until an update holds `words`; that update.
    async fn until(&mut self, words: &str) -> Value {
        let limit = Duration::from_secs(20);
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let update: Value = event.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
                let found = update.to_string().contains(words);
                self.text = rest.to_owned();
                if found {
                    return update;
                }
            }
            let frame = tokio::time::timeout(limit, self.body.frame()).await.unwrap_or_else(|_| panic!("nobody says {words:?}"));
            let frame = frame.unwrap_or_else(|| panic!("it ended before {words:?}")).unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }
}

impl Browser {
    async fn watch(&self, path: &str) -> Watching {
        let cookies = self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = Request::get(path).header(header::HOST, "127.0.0.1:8080").header(header::COOKIE, cookies);
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        Watching { body: answer.into_body(), text: String::new() }
    }

    /// A second tab of the same browser.
    fn tab(&self) -> Self {
        let tab = self.another();
        tab.cookies.lock().unwrap().clone_from(&self.cookies.lock().unwrap());
        tab
    }

    /// Takes the mark away, past the pages.
    async fn break_it(&self, lab: &str) {
        let cluster = self.app.engine.open(lab.trim_start_matches("/attempts/")).await.unwrap();
        let path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/mark";
        let answer = cluster.serve(provision::UserInfo::admin(), http::Request::delete(path).body(provision::Body::empty()).unwrap()).await;
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

#[tokio::test]
async fn a_start_that_hangs_ends_with_its_cause() {
    let browser = site(|settings| settings.start_limit = Duration::ZERO).await;
    let started = browser.post("/labs/one", "/labs/one/start", &[]).await;
    let lab = started.location().to_owned();
    let update = browser.watch(&format!("{lab}/events?page=startup")).await.until("could not be started").await;
    assert_eq!(update["fragments"][0]["id"], "stages");
    let page = browser.get(&lab).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in ["could not be started", "not done after 0 seconds", "href=\"/labs/one\""] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains("data-follow"), "nothing more will come");
    let intro = browser.get("/labs/one").await.body;
    assert!(intro.contains("did not start") && intro.contains("Try again with a new cluster"));
    for path in ["/check", "/finish"] {
        assert_eq!(browser.post("/labs/one", &format!("{lab}{path}"), &[]).await.status, StatusCode::CONFLICT);
    }
}

#[tokio::test]
async fn a_page_that_starts_is_led_to_the_lab() {
    let browser = site(|_| ()).await;
    let started = browser.post("/labs/one", "/labs/one/start", &[]).await;
    let lab = started.location();
    let update = browser.watch(&format!("{lab}/events?page=startup")).await.until("redirect").await;
    assert_eq!(update["redirect"], lab);
}

#[tokio::test]
async fn verdicts_reach_every_tab_as_they_fall() {
    let browser = site(|_| ()).await;
    let lab = browser.start().await;
    let other = browser.tab();
    let mut watching = other.watch(&format!("{lab}/events")).await;
    let first = watching.until("task-mark").await;
    assert!(first["fragments"].to_string().contains("id=\\\"score\\\""), "all parts come first: {first}");
    browser.post(&lab, &format!("{lab}/check"), &[]).await;
    watching.until("it marks").await;
    browser.post(&lab, &format!("{lab}/hints/mark"), &[("number", "1")]).await;
    watching.until("<strong>mark.yaml</strong>").await;
    browser.post(&lab, &format!("{lab}/apply"), &[("path", "mark.yaml")]).await;
    browser.post(&lab, &format!("{lab}/check"), &[]).await;
    watching.until("90 of 100 points").await;
    browser.post(&lab, &format!("{lab}/reset"), &[("to", "start")]).await;
    assert_eq!(watching.until("The attempt was reset.").await["announce"], "The attempt was reset.");
    browser.post(&lab, &format!("{lab}/finish"), &[]).await;
    assert_eq!(watching.until("redirect").await["redirect"], format!("{lab}/result"));
    // A page that comes back later learns it, too.
    assert_eq!(other.watch(&format!("{lab}/events")).await.until("redirect").await["redirect"], format!("{lab}/result"));
}

#[tokio::test]
async fn a_passed_task_stays_passed_until_a_check_shows_it_broken() {
    let browser = site(|_| ()).await;
    let lab = browser.start().await;
    browser.post(&lab, &format!("{lab}/apply"), &[("path", "mark.yaml")]).await;
    browser.post(&lab, &format!("{lab}/check"), &[("task", "mark")]).await;
    browser.break_it(&lab).await;
    assert!(browser.get(&lab).await.body.contains("100 of 100 points"), "nobody has looked since");
    browser.post(&lab, &format!("{lab}/check"), &[("task", "mark")]).await;
    let page = browser.get(&lab).await.body;
    assert!(page.contains("passed before, broken now") && page.contains("Step 1, broken again:"));
    // The step's own snapshot leads back to where it was passed.
    assert!(page.contains("value=\"step.first\""));
    let back = browser.post(&lab, &format!("{lab}/reset"), &[("to", "step.first")]).await;
    assert_eq!(back.location(), lab);
    browser.post(&lab, &format!("{lab}/check"), &[]).await;
    assert!(browser.get(&lab).await.body.contains("100 of 100 points"));
    for (to, status) in [("step.none", StatusCode::NOT_FOUND), ("nonsense", StatusCode::BAD_REQUEST), ("", StatusCode::BAD_REQUEST)] {
        assert_eq!(browser.post(&lab, &format!("{lab}/reset"), &[("to", to)]).await.status, status, "{to:?}");
    }
    // Finish looks again, whatever the page still shows.
    browser.break_it(&lab).await;
    browser.post(&lab, &format!("{lab}/finish"), &[]).await;
    let result = browser.get(&format!("{lab}/result")).await.body;
    assert!(result.contains("<span>0</span>") && result.contains("What was still open") && result.contains("it marks"), "{result}");
}

#[tokio::test]
async fn two_tabs_share_an_attempt_and_a_second_one_is_asked_for() {
    let browser = site(|_| ()).await;
    let old = browser.get("/labs/one").await.csrf();
    let first = browser.start().await;
    // A tab that was open before holds a form of the visitor who has become a guest meanwhile.
    let other = browser.tab();
    assert_eq!(other.post_with("/labs/one/start", &old, &[], &[]).await.location(), first, "it comes to the same attempt");
    assert!(other.get("/labs/one").await.body.contains(&format!("href=\"{first}\"")));
    browser.post(&first, &format!("{first}/finish"), &[]).await;
    assert!(browser.get("/labs/one").await.body.contains("Try again with a new cluster"));
    let again = browser.get("/labs/one").await.csrf();
    let second = browser.start().await;
    assert_ne!(first, second);
    assert_eq!(browser.tab().post_with("/labs/one/start", &again, &[], &[]).await.location(), second, "pressed twice, it is one");
    let account = browser.get("/account").await.body;
    assert!(account.contains(&first) && account.contains(&second), "both are kept");
    assert!(browser.get(&first).await.body.contains("id=\"final-score\""));
    assert!(browser.get("/labs/one").await.body.contains("Earlier attempts"));
}

#[tokio::test]
async fn when_the_time_is_over_nothing_changes_any_more() {
    let browser = site_with(Duration::ZERO, |_| ()).await;
    let lab = browser.start().await;
    let changes: [(&str, &[(&str, &str)]); 5] = [
        ("/check", &[]),
        ("/hints/mark", &[("number", "1")]),
        ("/reset", &[("to", "start")]),
        ("/apply", &[("path", "mark.yaml")]),
        ("/kubeconfig", &[]),
    ];
    let try_all = async |words: &str| {
        let csrf = browser.get("/sign-in").await.csrf();
        for (path, fields) in changes {
            let path = format!("{lab}{path}");
            let answer =
                if path.ends_with("kubeconfig") { browser.get(&path).await } else { browser.post_with(&path, &csrf, fields, &[]).await };
            assert_eq!(answer.status, StatusCode::CONFLICT, "{path}");
            assert!(answer.body.contains(words), "{path}: {}", answer.body);
        }
        let put = Request::put(format!("{lab}/files/mark.yaml")).header("x-csrf-token", &csrf).header("accept", "application/json");
        let answer = browser.send(put.body(Body::from("lost?")).unwrap()).await;
        assert!(answer.status == StatusCode::CONFLICT && answer.body.contains(words), "{}", answer.body);
        assert_eq!(browser.get(&format!("{lab}/files/mark.yaml")).await.body, MARK, "what was there can still be read");
    };
    try_all("The time is over.").await;
    let mut watching = browser.watch(&format!("{lab}/events")).await;
    browser.app.reap_once(false).await.unwrap();
    assert_eq!(watching.until("redirect").await["redirect"], format!("{lab}/result"), "open pages go to the result");
    assert!(browser.get(&lab).await.body.contains("id=\"final-score\""));
    assert_eq!(browser.get(&format!("{lab}/receipt")).await.status, StatusCode::OK);
    try_all("This attempt is finished.").await;
}

#[tokio::test]
async fn idle_clusters_sleep_and_wake_in_place() {
    let browser = site(|settings| settings.idle_after = Duration::ZERO).await;
    let lab = browser.start().await;
    browser.post(&lab, &format!("{lab}/apply"), &[("path", "mark.yaml")]).await;
    browser.app.reap_once(false).await.unwrap();
    assert!(browser.get("/account").await.body.contains("asleep"));
    let page = browser.get(&lab).await.body;
    assert!(page.contains("id=\"lab\"") && page.contains("The cluster sleeps because nobody used it for a while."));
    browser.post(&lab, &format!("{lab}/check"), &[]).await;
    let page = browser.get(&lab).await.body;
    assert!(page.contains("100 of 100 points") && !page.contains("The cluster sleeps"), "nothing was lost");
}

#[derive(Debug)]
struct Broken;

impl Content for Broken {
    fn labs(&self) -> Vec<LabText> {
        panic!("secret words")
    }

    fn intro(&self, _lab: &str, _params: Option<&Params>) -> String {
        String::new()
    }

    fn step(&self, _lab: &str, _step: &str, _params: &Params) -> String {
        String::new()
    }

    fn solution(&self, _lab: &str, _params: &Params) -> Option<Solution> {
        None
    }
}

#[tokio::test]
async fn an_error_of_ours_is_a_page_that_says_so() {
    let mut browser = site(|_| ()).await;
    browser.router = router(Site::new(browser.app.clone(), Arc::new(Broken), false));
    let page = browser.get("/").await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(page.body.contains("Something went wrong here") && page.body.contains("name this request: <code>"), "{}", page.body);
    assert!(page.body.contains("<nav") && !page.body.contains("secret words"));
    assert!(page.headers.contains_key(header::CONTENT_SECURITY_POLICY));
}
