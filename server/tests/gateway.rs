//! The gateway through its service: who may pass, what is bounded, what is written down.

mod common;

use checkers::Outcome;
use common::{World, world};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use provision::Body;
use serde_json::Value;
use server::app::{Purpose, User};
use server::gateway::audit::{AuditRow, AuditSink};
use server::gateway::listener::{self, ConnectionLimits};
use server::gateway::{Gateway, Limits, Tls, tools::Tools};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct Rows(Mutex<Vec<AuditRow>>);

impl AuditSink for Rows {
    fn record(&self, row: AuditRow) {
        self.0.lock().push(row);
    }
}

struct Door {
    world: World,
    gateway: Arc<Gateway>,
    rows: Arc<Rows>,
}

async fn door(limits: Limits) -> Door {
    let world = world().await;
    let rows = Arc::new(Rows::default());
    let tools = Arc::new(Tools(world.app.clone()));
    let gateway = Gateway::new(world.app.clone(), rows.clone(), Some(tools), world.clock.clone(), limits);
    Door { world, gateway, rows }
}

impl Door {
    /// An attempt of this user and its token.
    async fn cluster(&self, user: &User) -> (String, String) {
        let id = self.world.started(user).await.id;
        let kubeconfig = self.world.app.kubeconfig(user, &id, Purpose::Download, None).await.unwrap();
        let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap().trim_matches('"').to_owned();
        (id, token)
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header("cookie", "cordon=secret");
        let request = if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
        read(self.gateway.answer(request.body(body.into()).unwrap()).await).await
    }
}

async fn read(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn only_the_holder_of_the_clusters_own_token_passes() {
    let door = door(Limits::default()).await;
    let (ada, bob) = (door.world.guest().await, door.world.guest().await);
    let (hers, her_token) = door.cluster(&ada).await;
    let (his, his_token) = door.cluster(&bob).await;
    let forged = format!("cordon_{}", "A".repeat(43));
    let pods = |cluster: &str| format!("/clusters/{cluster}/api/v1/namespaces/ml/pods?limit=500");
    let rows: [(String, &str, u16); 10] = [
        (pods(&hers), &her_token, 200),
        (pods(&his), &his_token, 200),
        (pods(&hers), &his_token, 403),
        (pods("00000000000000000000000000000000"), &his_token, 403),
        (pods(&hers), "", 401),
        (pods(&hers), &forged, 401),
        (pods(&hers), "eyJhbGciOiJub25lIn0.e30.", 401),
        (pods("../../etc"), &her_token, 404),
        // Without the prefix, as `kubectl get --raw` asks, the token leads to its own cluster, and a stranger's nowhere.
        ("/api/v1/pods".to_owned(), &her_token, 200),
        ("/api/v1/pods".to_owned(), &forged, 404),
    ];
    for (path, token, expected) in rows {
        let (status, body) = door.ask("GET", &path, token, "").await;
        assert_eq!(status.as_u16(), expected, "{path} {body}");
        assert!(expected == 200 || body["kind"] == "Status", "kubectl can print it: {body}");
    }
    // Whether the other's cluster exists cannot be told from the answer.
    let (_, mut exists) = door.ask("GET", &pods(&hers), &his_token, "").await;
    let (_, mut absent) = door.ask("GET", &pods("00000000000000000000000000000000"), &his_token, "").await;
    exists["message"] = exists["message"].as_str().unwrap().replace(&hers, "x").into();
    absent["message"] = absent["message"].as_str().unwrap().replace("00000000000000000000000000000000", "x").into();
    assert_eq!(exists, absent);
    // The cluster never sees the token or a cookie, and the path has lost its prefix.
    let journal = door.world.engine.journal.lock().clone();
    assert!(journal.contains(&format!("{hers} learner GET /api/v1/namespaces/ml/pods?limit=500 0")), "{journal:?}");
    assert!(journal.iter().all(|line| !line.contains("SECRETS")), "{journal:?}");
}

/// `kubectl get --raw` sends no prefix. The token leads to the one cluster that it was made for, and to nothing else; nothing but the
/// token leads anywhere.
#[tokio::test]
async fn a_request_without_a_cluster_goes_where_its_token_belongs() {
    let door = door(Limits::default()).await;
    let (ada, bob) = (door.world.guest().await, door.world.guest().await);
    let (hers, her_token) = door.cluster(&ada).await;
    let (his, his_token) = door.cluster(&bob).await;
    let bearer = |token: &str| Some(("authorization", format!("Bearer {token}")));
    let forged = format!("cordon_{}", "A".repeat(43));
    let rows = [
        ("GET", "/api/v1/pods".to_owned(), bearer(&her_token), 200),
        ("GET", "/api/v1/pods".to_owned(), bearer(&his_token), 200),
        // What a browser would send by itself, or what a link can carry.
        ("GET", "/api/v1/pods".to_owned(), None, 404),
        ("POST", "/api/v1/namespaces/ml/pods".to_owned(), Some(("cookie", format!("cordon={her_token}"))), 404),
        ("GET", format!("/api/v1/pods?access_token={her_token}"), None, 404),
        ("GET", "/api/v1/pods".to_owned(), Some(("authorization", format!("Basic {her_token}"))), 404),
        (
            "GET",
            "/api/v1/pods".to_owned(),
            Some(("sec-websocket-protocol", format!("base64url.bearer.authorization.k8s.io.{her_token}"))),
            404,
        ),
        // A token that nobody holds, and one that a cluster would have to judge.
        ("GET", "/api/v1/pods".to_owned(), bearer(&forged), 404),
        ("GET", "/api/v1/pods".to_owned(), bearer(&format!("sa-of-{hers}")), 404),
        // A path that names a cluster is not overruled by the token, and cannot be talked out of it.
        ("GET", format!("/clusters/{his}/api/v1/pods"), bearer(&her_token), 403),
        ("GET", "/clusters/../api/v1/pods".to_owned(), bearer(&her_token), 404),
        ("GET", format!("/clusters/{hers}/../{his}/api/v1/pods"), bearer(&her_token), 200),
    ];
    for (method, path, header, expected) in rows {
        let request = Request::builder().method(method).uri(&path);
        let request = header.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let (status, body) = read(door.gateway.answer(request.body(Body::empty()).unwrap()).await).await;
        assert_eq!(status.as_u16(), expected, "{method} {path} {header:?} {body}");
    }
    let journal = door.world.engine.journal.lock().clone();
    let reached: Vec<_> = journal.iter().filter(|line| line.contains(" GET ") || line.contains(" POST ")).collect();
    assert_eq!(
        reached,
        [
            &format!("{hers} learner GET /api/v1/pods 0"),
            &format!("{his} learner GET /api/v1/pods 0"),
            // Dots stay dots: they are part of a path inside her own cluster, where nothing has such a name.
            &format!("{hers} learner GET /../{his}/api/v1/pods 0"),
        ]
    );
    // No page of another origin learns anything: nobody is invited by CORS.
    let preflight = Request::builder().method("OPTIONS").uri("/api/v1/pods").header("origin", "https://evil.example");
    let preflight = preflight.header("access-control-request-method", "GET").header("access-control-request-headers", "authorization");
    let answer = door.gateway.answer(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), 404);
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{:?}", answer.headers());
    // The trail names the cluster, as for any other request.
    let rows = door.rows.0.lock().clone();
    let trail: Vec<_> = rows.iter().map(|row| (row.cluster.as_str(), row.verb.as_str(), row.resource.as_str(), row.code)).collect();
    assert_eq!(trail[..2], [(hers.as_str(), "list", "pods", 200), (his.as_str(), "list", "pods", 200)]);
    assert!(rows.iter().all(|row| !row.token_id.is_empty() && row.user == "learner"), "{rows:?}");
}

#[tokio::test]
async fn an_attempt_that_is_over_opens_nothing() {
    let door = door(Limits::default()).await;
    let ada = door.world.guest().await;
    door.world.course.says("gpu", Outcome::Passed);
    let (id, token) = door.cluster(&ada).await;
    let path = format!("/clusters/{id}/api/v1/pods");
    assert_eq!(door.ask("GET", &path, &token, "").await.0, 200);
    door.world.pass_time(3601);
    let (status, body) = door.ask("GET", &path, &token, "").await;
    assert_eq!((status.as_u16(), body["message"].as_str()), (403, Some("the time of this attempt is over")));
    assert_eq!(door.ask("GET", "/api/v1/pods", &token, "").await.0, 403, "nor without the path");
    door.world.app.reap_once(false).await.unwrap();
    assert_eq!(door.ask("GET", &path, &token, "").await.0, 401);
    assert_eq!(door.world.app.attempt(&ada, &id).await.unwrap().score, Some(40), "what stood at the end counts");
}

#[tokio::test]
async fn bodies_are_bounded_whether_announced_or_not() {
    let door = door(Limits { body: 1000, ..Limits::default() }).await;
    let ada = door.world.guest().await;
    let (id, token) = door.cluster(&ada).await;
    let path = format!("/clusters/{id}/api/v1/namespaces/ml/pods");
    assert_eq!(door.ask("POST", &path, &token, "x".repeat(1000)).await.0, 201);
    let announced = Request::post(&path).header("authorization", format!("Bearer {token}")).header("content-length", "1001");
    let (status, body) = read(door.gateway.answer(announced.body(Body::from("x".repeat(1001))).unwrap()).await).await;
    assert_eq!((status.as_u16(), body["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    // Whatever the answer, a client that is still sending is heard to its end first: else it might never see the answer.
    for (path, token, code) in [(&*path, &*token, 413), (&*path, "wrong", 401), ("/nowhere", "", 404)] {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let chunks = futures::stream::iter((0..50).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b'x'; 100]))
        }));
        assert_eq!(door.ask("POST", path, token, Body::from_stream(chunks)).await.0, code, "{path}");
        assert_eq!(sent.load(Ordering::Relaxed), 50, "{path}");
    }
}

#[tokio::test]
async fn a_token_that_asks_too_much_waits_and_others_do_not() {
    let one = NonZeroU32::MIN;
    let door = door(Limits { requests_per_second: one, burst: NonZeroU32::new(3).unwrap(), ..Limits::default() }).await;
    let (ada, bob) = (door.world.guest().await, door.world.guest().await);
    let (hers, her_token) = door.cluster(&ada).await;
    let (his, his_token) = door.cluster(&bob).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(door.ask("GET", &format!("/clusters/{hers}/version"), &her_token, "").await.0.as_u16());
    }
    assert!(codes.starts_with(&[200, 200, 200]) && codes.contains(&429), "{codes:?}");
    assert_eq!(door.ask("GET", &format!("/clusters/{his}/version"), &his_token, "").await.0, 200);
}

#[tokio::test]
async fn the_trail_says_who_did_what_and_holds_no_secret() {
    let door = door(Limits::default()).await;
    let ada = door.world.guest().await;
    let (id, token) = door.cluster(&ada).await;
    let secret = r#"{"metadata":{"name":"in-the-body"},"stringData":{"password":"hunter2"}}"#;
    door.ask("POST", &format!("/clusters/{id}/api/v1/namespaces/ml/secrets"), &token, secret).await;
    door.ask("GET", &format!("/clusters/{id}/apis/apps/v1/namespaces/ml/deployments/web"), &token, "").await;
    door.ask("GET", &format!("/clusters/{id}/api/v1/pods"), "cordon_unknown", "").await;
    let rows = door.rows.0.lock().clone();
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            [&row.user, &row.verb, &row.group, &row.resource, &row.namespace, &row.name, &row.code.to_string()]
                .map(String::as_str)
                .join(" ")
        })
        .collect();
    assert_eq!(lines, ["learner create  secrets ml made-up 201", "learner get apps deployments ml web 200"]);
    let all = format!("{rows:?}");
    assert!(!all.contains("hunter2") && !all.contains(&token) && !all.contains("in-the-body"), "{all}");
}

#[tokio::test]
async fn the_labs_tools_are_for_learners() {
    let door = door(Limits::default()).await;
    let ada = door.world.guest().await;
    let (id, token) = door.cluster(&ada).await;
    let path = format!("/clusters/{id}/cordon/v1/scan");
    let rows = [
        ("POST", path.clone(), token.clone(), r#"{"image": "known:1"}"#, 200),
        ("POST", path.clone(), token.clone(), r#"{"image": "nothing:1"}"#, 422),
        ("POST", path.clone(), token.clone(), r#"{"image": "a", "more": 1}"#, 400),
        ("POST", path.clone(), token.clone(), "not json", 400),
        ("GET", path.clone(), token.clone(), "", 404),
        ("POST", path.clone(), format!("sa-of-{id}"), r#"{"image": "a"}"#, 403),
    ];
    for (method, path, token, body, expected) in rows {
        assert_eq!(door.ask(method, &path, &token, body).await.0.as_u16(), expected, "{method} {body}");
    }
    let scans = store::Scans::scans(&door.world.store, &id).await.unwrap();
    let remembered: Vec<_> = scans.iter().map(|scan| (scan.digest.as_str(), scan.scanned_by.as_str(), scan.simulated)).collect();
    assert_eq!(remembered, [("sha256:1", "learner", true)], "who scanned what is remembered, once");
}

/// A client that sends nothing, or only half of a request's head, is let go; others are served meanwhile.
#[tokio::test]
async fn slow_clients_hold_nobody_up() {
    let limits =
        ConnectionLimits { handshake: Duration::from_millis(100), head: Duration::from_millis(100), ..ConnectionLimits::default() };
    let door = door(Limits::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::own(&folder.path().join("tls"), &[], door.world.app.now()).unwrap();
    let stop = CancellationToken::new();
    let mut addresses = Vec::new();
    for config in [Some(tls.config.clone()), None] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(listener::serve(listener, config, door.gateway.service(), limits, stop.clone()));
    }
    for (address, sends) in
        [(addresses[0], ""), (addresses[0], "\x16\x03\x01"), (addresses[1], ""), (addresses[1], "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")]
    {
        let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
        slow.write_all(sends.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // Ends because the server closes; without its limits this would wait for ever.
        let _ = tokio::time::timeout(Duration::from_secs(20), slow.read_to_end(&mut rest)).await.expect("the server lets go");
    }
    let mut good = tokio::net::TcpStream::connect(addresses[1]).await.unwrap();
    good.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    good.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    stop.cancel();
}
