//! The pages through the router: a real application, a lab of one step made for these tests, clusters in memory.

mod accounts;
mod attempts;
mod bad_input;

use super::{Content, LabText, Site, Solution, content::Params, router};
use crate::app::{
    App, Parts, Settings,
    course::{Course, CourseError, LabPlan, NamedProbe, Start, StepPlan, TaskPlan},
    keys::Keys,
};
use crate::state::{SystemClock, SystemRandom};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use checkers::{Evidence, Finding, Outcome, Verdict};
use provision::{ClusterSpec, NodeSpec};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::ServiceExt;

/// With the time that an attempt has.
#[derive(Debug)]
struct OneLab(Duration);

const HOUR: Duration = Duration::from_secs(3600);

impl Course for OneLab {
    fn labs(&self) -> Vec<Arc<LabPlan>> {
        self.lab("one").into_iter().collect()
    }

    fn lab(&self, id: &str) -> Option<Arc<LabPlan>> {
        (id == "one").then(|| {
            Arc::new(LabPlan {
                id: "one".to_owned(),
                title: "Lab <One>".to_owned(),
                digest: "sha256:1".to_owned(),
                time_limit: Some(self.0),
                cluster: ClusterSpec { nodes: vec![NodeSpec { name: "node".to_owned(), ..NodeSpec::default() }], ..ClusterSpec::default() },
                steps: vec![StepPlan { id: "first".to_owned(), title: "First".to_owned(), tasks: vec!["mark".to_owned()] }],
                tasks: vec![TaskPlan {
                    id: "mark".to_owned(),
                    title: "Make the mark".to_owned(),
                    points: 100,
                    needs: vec![],
                    hint_costs: vec![10],
                }],
            })
        })
    }

    fn params(&self, _lab: &str, _key: &[u8; 32], _attempt: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("namespace".to_owned(), "default".to_owned())])
    }

    fn start(&self, _lab: &str, _params: &BTreeMap<String, String>) -> Result<Start, CourseError> {
        Ok(Start {
            objects: vec![],
            workspace: BTreeMap::from([("mark.yaml".to_owned(), MARK.into())]),
            namespace: Some("default".to_owned()),
        })
    }

    fn probes(&self, _lab: &str, _params: &BTreeMap<String, String>, _objects: &[Value]) -> Vec<NamedProbe> {
        vec![]
    }

    fn check(&self, _lab: &str, _task: &str, evidence: &Evidence) -> Verdict {
        if evidence.objects.iter().any(|object| object["kind"] == "NetworkPolicy" && object["metadata"]["name"] == "mark") {
            return Verdict { outcome: Outcome::Passed, findings: vec![] };
        }
        let finding = Finding {
            control: "mark".to_owned(),
            object: "NetworkPolicy/default/mark".to_owned(),
            field: String::new(),
            actual: "<none>".to_owned(),
            expected: "a policy".to_owned(),
            why: "it marks".to_owned(),
            read: String::new(),
        };
        Verdict { outcome: Outcome::Failed, findings: vec![finding] }
    }

    fn hint(&self, _lab: &str, _task: &str, _number: usize, _params: &BTreeMap<String, String>) -> Option<String> {
        Some("Apply **mark.yaml**.".to_owned())
    }

    fn checker_version(&self) -> String {
        "test".to_owned()
    }
}

const MARK: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: mark\nspec:\n  podSelector: {}\n";

impl Content for OneLab {
    fn labs(&self) -> Vec<LabText> {
        vec![LabText {
            id: "one".to_owned(),
            title: "Lab <One>".to_owned(),
            track: "Beginner".to_owned(),
            minutes: 60,
            ..LabText::default()
        }]
    }

    fn intro(&self, _lab: &str, _params: Option<&Params>) -> String {
        "Read <b>this</b>.".to_owned()
    }

    fn step(&self, _lab: &str, _step: &str, _params: &Params) -> String {
        "```sh\nkubectl get pods\n```".to_owned()
    }

    fn solution(&self, _lab: &str, _params: &Params) -> Option<Solution> {
        Some(Solution { files: vec![("mark.yaml".to_owned(), MARK.to_owned())], why: "Because.".to_owned() })
    }
}

#[derive(Debug)]
struct NoImages;

impl crate::app::scan::Scanner for NoImages {
    fn scan(&self, image: &str) -> Result<crate::app::scan::Scanned, String> {
        Err(format!("{image} is not known here"))
    }
}

/// A browser: keeps cookies, knows the token of the last page.
struct Browser {
    app: Arc<App>,
    router: Router,
    https: bool,
    cookies: Mutex<BTreeMap<String, String>>,
    _folder: Arc<tempfile::TempDir>,
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Answer {
    fn csrf(&self) -> String {
        self.body.split("name=\"csrf\" value=\"").nth(1).and_then(|part| part.split('"').next()).unwrap_or("").to_owned()
    }

    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

async fn site(change: impl FnOnce(&mut Settings)) -> Browser {
    site_with(HOUR, change).await
}

async fn site_with(time_limit: Duration, change: impl FnOnce(&mut Settings)) -> Browser {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let store = store::Database::open_file(&folder.path().join("cordon.db")).await.unwrap();
    let files: [(&str, &str); 0] = [];
    let catalogue = Arc::new(sandbox::ImageCatalogue::parse(files).unwrap());
    let options = sandbox::Options {
        data: None,
        time: sandbox::Time::Running(Arc::new(SystemClock)),
        catalogue,
        certificate_authority: String::new(),
        issuer: sandbox::Options::DEFAULT_ISSUER.to_owned(),
        seed: 1,
        secret: [1; 32],
    };
    let engine = provision::sandbox::SandboxProvisioner::new(sandbox::Sandbox::new(options).unwrap());
    let mut config = jail::JailConfig::new(folder.path().join("jail"), "/nonexistent");
    config.bwrap = "/nonexistent/bwrap".into();
    let mut settings = Settings::default();
    change(&mut settings);
    let https = settings.public_url.starts_with("https");
    let app = App::new(Parts {
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        course: Arc::new(OneLab(time_limit)),
        engine: Arc::new(engine),
        scanner: Arc::new(NoImages),
        jails: Arc::new(jail::Jails::open(config).unwrap()),
        keys: Keys::temporary(&SystemRandom),
        settings,
    });
    let router = router(Site::new(app.clone(), Arc::new(OneLab(time_limit)), https));
    Browser { app, router, https, cookies: Mutex::default(), _folder: folder }
}

impl Browser {
    fn another(&self) -> Self {
        let (app, router) = (self.app.clone(), self.router.clone());
        Self { app, router, https: self.https, cookies: Mutex::default(), _folder: self._folder.clone() }
    }

    async fn send(&self, mut request: Request<Body>) -> Answer {
        let cookies = self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert("127.0.0.1:8080".parse().unwrap());
        headers.entry(header::ACCEPT).or_insert("text/html".parse().unwrap());
        headers.insert(header::COOKIE, cookies.parse().unwrap());
        let answer = self.router.clone().oneshot(request).await.unwrap();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            let notice = cookie.starts_with("cordon_notice=");
            assert!(notice || cookie.contains("; Secure") == self.https, "Secure exactly where the site is served by HTTPS: {cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.lock().unwrap().remove(name);
            } else {
                self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = String::from_utf8_lossy(&to_bytes(answer.into_body(), 8 << 20).await.unwrap()).into_owned();
        Answer { status, headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A form of the page at `page`, with its token.
    async fn post(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.get(page).await.csrf();
        assert!(!csrf.is_empty(), "no token on {page}");
        self.post_with(path, &csrf, fields, &[]).await
    }

    async fn post_with(&self, path: &str, csrf: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", csrf).extend_pairs(fields);
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(form.finish())).unwrap()).await
    }

    async fn start(&self) -> String {
        let started = self.post("/labs/one", "/labs/one/start", &[]).await;
        assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.body);
        let path = started.location().to_owned();
        // The cluster starts in the background; the page says how far it is.
        for _ in 0..600 {
            let page = self.get(&path).await;
            assert_eq!(page.status, StatusCode::OK, "{}", page.body);
            if page.body.contains("id=\"lab\"") {
                return path;
            }
            assert!(!page.body.contains("could not be started"), "{}", page.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the cluster never started");
    }
}

#[tokio::test]
async fn a_guest_does_the_whole_lab_without_script() {
    let browser = site(|_| ()).await;
    assert!(browser.get("/").await.body.contains("Lab &#60;One&#62;"));
    let lab = browser.start().await;
    let page = browser.get(&lab).await;
    assert!(page.body.contains("simulated cluster") && page.body.contains("costs 10 points") && page.body.contains("mark.yaml"));
    assert!(
        page.body.contains("The shell cannot run on this server") && page.body.contains("bwrap not found"),
        "the page says why there is no shell"
    );
    // Not yet, and why.
    let checked = browser.post(&lab, &format!("{lab}/check"), &[("task", "mark")]).await;
    assert_eq!((checked.status, checked.location()), (StatusCode::SEE_OTHER, format!("{lab}#task-mark").as_str()));
    let page = browser.get(&lab).await;
    assert!(page.body.contains("Not yet: one finding.") && page.body.contains("it marks"));
    assert!(!browser.get(&lab).await.body.contains("Not yet: one finding."), "a notice is shown once");
    browser.post(&lab, &format!("{lab}/hints/mark"), &[("number", "1")]).await;
    assert!(browser.get(&lab).await.body.contains("<strong>mark.yaml</strong>"));
    let applied = browser.post(&lab, &format!("{lab}/apply"), &[("path", "mark.yaml")]).await;
    assert_eq!(applied.status, StatusCode::SEE_OTHER, "{}", applied.body);
    let page = browser.get(&lab).await;
    assert!(
        page.body.contains("NetworkPolicy/mark created"),
        "{:?}",
        page.body.split("class=\"note").nth(1).map(|part| part.chars().take(300).collect::<String>())
    );
    browser.post(&lab, &format!("{lab}/check"), &[]).await;
    let page = browser.get(&lab).await;
    assert!(page.body.contains("90 of 100 points"), "the hint was paid: {:?}", page.body.split("id=\"task-mark\"").nth(1));
    let finished = browser.post(&lab, &format!("{lab}/finish"), &[]).await;
    assert_eq!(finished.location(), format!("{lab}/result"));
    let result = browser.get(&format!("{lab}/result")).await;
    assert!(result.body.contains("<span>90</span>") && result.body.contains("Because."), "{}", result.body);
    let (receipt, key) = (browser.get(&format!("{lab}/receipt")).await, browser.get("/receipts/public-key").await);
    assert_eq!(crate::app::receipts::verify(&receipt.body, &key.body).unwrap().score, 90);
    // The guest makes an account and keeps it all.
    let joined = browser.post("/register", "/register", &[("login", "ada"), ("password", "correct horse battery")]).await;
    assert_eq!(joined.location(), "/account", "{}", joined.body);
    assert!(browser.get("/account").await.body.contains(&lab));
}

#[tokio::test]
async fn the_script_gets_parts_and_data() {
    let browser = site(|_| ()).await;
    let lab = browser.start().await;
    let csrf = browser.get(&lab).await.csrf();
    let accept = [("accept", super::update::MEDIA_TYPE)];
    let answer = browser.post_with(&format!("{lab}/check"), &csrf, &[], &accept).await;
    let update: Value = serde_json::from_str(&answer.body).unwrap();
    let ids: Vec<_> = update["fragments"].as_array().unwrap().iter().map(|part| part["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["score", "resets", "mark-first", "task-mark"]);
    let answer = browser.post_with(&format!("{lab}/check"), &csrf, &[("task", "none")], &accept).await;
    assert_eq!(
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap()["tone"].clone()),
        (StatusCode::NOT_FOUND, json!("bad"))
    );
    // Files, with tags against lost changes.
    let file = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(format!("{lab}/files/{path}"))
            .header("x-csrf-token", &csrf)
            .header("accept", "application/json")
    };
    let listed = browser.send(file("GET", "").body(Body::empty()).unwrap()).await;
    assert_eq!(listed.body, format!("[{{\"path\":\"mark.yaml\",\"bytes\":{}}}]", MARK.len()));
    let read = browser.get(&format!("{lab}/files/mark.yaml")).await;
    assert_eq!(read.body, MARK);
    let tag = read.headers[header::ETAG].to_str().unwrap().to_owned();
    let put = |tag: &str, body: &'static str| file("PUT", "mark.yaml").header(header::IF_MATCH, tag).body(Body::from(body)).unwrap();
    assert_eq!(browser.send(put(&tag, "a: 1\n")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.send(put(&tag, "a: 2\n")).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(browser.get(&format!("{lab}/files/mark.yaml")).await.body, "a: 1\n");
    for (path, status) in [
        ("../secret", StatusCode::BAD_REQUEST),
        ("%2e%2e/secret", StatusCode::BAD_REQUEST),
        ("%2fetc%2fpasswd", StatusCode::BAD_REQUEST),
        ("none", StatusCode::NOT_FOUND),
    ] {
        let answer = browser.send(file("GET", path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    let large = file("PUT", "large").body(Body::from(vec![b'x'; (1 << 20) + 1])).unwrap();
    assert_eq!(browser.send(large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(browser.send(file("DELETE", "mark.yaml").body(Body::empty()).unwrap()).await.status, StatusCode::NO_CONTENT);
    for path in ["api/v1/../../secrets", "v2", "apis/apps", "api/v1/extra"] {
        assert_eq!(browser.get(&format!("{lab}/openapi/{path}")).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn nobody_elses_attempt_exists() {
    let browser = site(|_| ()).await;
    let lab = browser.start().await;
    let other = browser.another();
    let theirs = other.start().await;
    for path in ["", "/result", "/receipt", "/events", "/kubeconfig", "/files/", "/files/mark.yaml", "/openapi/api/v1"] {
        assert_eq!(other.get(&format!("{lab}{path}")).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let csrf = other.get(&theirs).await.csrf();
    for path in ["/check", "/hints/mark", "/reset", "/finish", "/apply"] {
        let answer = other.post_with(&format!("{lab}{path}"), &csrf, &[("number", "1"), ("to", "start"), ("path", "mark.yaml")], &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let stranger = browser.another();
    assert_eq!(stranger.get(&lab).await.location(), format!("/sign-in?next={}", lab.replace('/', "%2F")));
    assert_eq!(stranger.get("/admin/users").await.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get("/admin/users").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_answer_is_locked_down() {
    let browser = site(|settings| settings.public_url = "https://lab.example".to_owned()).await;
    for path in ["/", "/labs/one", "/sign-in", "/register", "/nowhere", "/assets/none", "/healthz"] {
        let answer = browser.get(path).await;
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        for name in
            ["x-content-type-options", "x-frame-options", "referrer-policy", "strict-transport-security", "cross-origin-opener-policy"]
        {
            assert!(answer.headers.contains_key(name), "{path} lacks {name}");
        }
    }
    let nonce = |answer: Answer| answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert_ne!(nonce(browser.get("/").await), nonce(browser.get("/").await));
    assert!(
        browser.cookies.lock().unwrap().keys().all(|name| name.starts_with("__Host-")),
        "secure cookies where the site is served by HTTPS"
    );
    let rebound = Request::get("/").header(header::HOST, "evil.example").body(Body::empty()).unwrap();
    assert_eq!(browser.send(rebound).await.status, StatusCode::MISDIRECTED_REQUEST);
    let named = Request::get("/").header(header::HOST, "lab.example").body(Body::empty()).unwrap();
    assert_eq!(browser.send(named).await.status, StatusCode::OK);
}

#[tokio::test]
async fn forged_requests_change_nothing() {
    let browser = site(|_| ()).await;
    let csrf = browser.get("/labs/one").await.csrf();
    let other = browser.another();
    let foreign = other.get("/labs/one").await.csrf();
    assert_ne!(csrf, foreign);
    for (token, headers) in [
        ("", vec![]),
        ("wrong", vec![]),
        (foreign.as_str(), vec![]),
        (csrf.as_str(), vec![("origin", "http://evil.example")]),
        (csrf.as_str(), vec![("sec-fetch-site", "cross-site")]),
    ] {
        assert_eq!(browser.post_with("/labs/one/start", token, &[], &headers).await.status, StatusCode::FORBIDDEN, "{token} {headers:?}");
    }
    let good = [("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")];
    let started = browser.post_with("/labs/one/start", &csrf, &[], &good).await;
    assert_eq!(started.status, StatusCode::SEE_OTHER);
    let lab = started.location().to_owned();
    // A token from before somebody signed in is worth nothing after.
    assert_eq!(browser.post_with("/sign-out", &csrf, &[], &good).await.status, StatusCode::FORBIDDEN);
    for (origin, status) in [
        (None, StatusCode::FORBIDDEN),
        (Some("http://evil.example"), StatusCode::FORBIDDEN),
        // Without a real connection nothing can be upgraded.
        (Some("http://127.0.0.1:8080"), StatusCode::BAD_REQUEST),
    ] {
        let mut request = Request::get(format!("{lab}/terminal"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        assert_eq!(browser.send(request.body(Body::empty()).unwrap()).await.status, status, "{origin:?}");
    }
}

#[tokio::test]
async fn signing_in_turns_the_session_over_and_guesses_are_limited() {
    let browser = site(|settings| settings.guests = false).await;
    assert!(browser.get("/labs/one").await.body.contains("sign in first"));
    browser.post("/register", "/register", &[("login", "Ada"), ("password", "correct horse battery")]).await;
    let first = browser.cookies.lock().unwrap()["cordon"].clone();
    for (login, password) in [("a", "correct horse battery"), ("bob", "short"), ("ada", "correct horse battery")] {
        let other = browser.another();
        let answer = other.post("/register", "/register", &[("login", login), ("password", password)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{login}");
        assert!(answer.body.contains("role=\"alert\""));
    }
    browser.post("/account", "/sign-out", &[]).await;
    assert!(!browser.cookies.lock().unwrap().contains_key("cordon"));
    browser.cookies.lock().unwrap().insert("cordon".to_owned(), first.clone());
    assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER, "a session that was signed out is over");
    browser.cookies.lock().unwrap().remove("cordon");
    let answer =
        browser.post("/sign-in", "/sign-in", &[("login", "ada"), ("password", "correct horse battery"), ("next", "//evil.example")]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/"));
    assert_ne!(browser.cookies.lock().unwrap()["cordon"], first);
    let guesser = browser.another();
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(guesser.post("/sign-in", "/sign-in", &[("login", "ada"), ("password", "wrong password")]).await.status);
    }
    assert_eq!(statuses[0], StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(statuses[11], StatusCode::TOO_MANY_REQUESTS);
}
