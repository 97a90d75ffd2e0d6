//! What nobody should send: every answer is clear, costs little and loses nothing.

use super::*;
use crate::web::update;

/// A page for people, JSON for scripts, with these words.
fn judge(answer: &Answer, what: &str, status: StatusCode, words: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert!(answer.body.contains(words), "{what} does not say {words:?}: {}", answer.body);
    let kind = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
    let whole = if kind.starts_with("text/html") {
        answer.body.contains("<h1>") && answer.body.contains("</html>")
    } else {
        serde_json::from_str::<Value>(&answer.body).is_ok_and(|value| value["error"].is_string() || value["announce"].is_string())
    };
    assert!(whole, "{what}: neither a page nor JSON: {kind} {}", answer.body);
}

#[tokio::test]
async fn every_odd_request_gets_a_clear_answer() {
    let browser = site(|_| ()).await;
    let lab = browser.start().await;
    let csrf = browser.get(&lab).await.csrf();
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let form = |path: &str, body: Vec<u8>| {
        Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(Body::from(body)).unwrap()
    };
    let put = |path: &str, body: Vec<u8>| {
        let request = Request::put(format!("{lab}/files/{path}")).header("x-csrf-token", &csrf).header("accept", "application/json");
        request.body(Body::from(body)).unwrap()
    };
    let accepting = |mut request: Request<Body>, accept: &'static str| {
        request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        request
    };
    let large = [format!("csrf={csrf}&login=").into_bytes(), vec![b'a'; 65 << 10]].concat();
    let terminal = {
        let mut request = get(&format!("{lab}/terminal"));
        request.headers_mut().insert(header::ORIGIN, "http://127.0.0.1:8080".parse().unwrap());
        request
    };
    let (no_page, bad) = ("There is no such page", StatusCode::BAD_REQUEST);
    let rows = [
        ("an address that is no UTF-8", get("/attempts/%ff"), StatusCode::NOT_FOUND, no_page),
        ("a lab that is no UTF-8", get("/labs/%ff%fe"), StatusCode::NOT_FOUND, no_page),
        ("a lab that is not there", get("/labs/none"), StatusCode::NOT_FOUND, no_page),
        ("an attempt that is not there", get("/attempts/none"), StatusCode::NOT_FOUND, no_page),
        ("a very long address", get(&format!("/labs/{}", "x".repeat(8000))), StatusCode::NOT_FOUND, no_page),
        ("a method that is none of ours", Request::delete("/").body(Body::empty()).unwrap(), StatusCode::NOT_FOUND, no_page),
        ("the same question twice", get("/sign-in?next=a&next=b"), bad, "What follows the ? in this address cannot be read"),
        ("a size that is no number", get(&format!("{lab}/terminal?columns=many")), bad, "What follows the ?"),
        ("the terminal as a page", terminal, bad, "Only the terminal of a lab&#39;s page can use this address."),
        ("an oversized form", form("/sign-in", large.clone()), StatusCode::PAYLOAD_TOO_LARGE, "This is larger than 64 KiB."),
        ("a form that is no UTF-8", form("/sign-in", b"csrf=%ff&login=\xff\xfe".to_vec()), StatusCode::FORBIDDEN, "This form is too old"),
        ("a form that is none", form(&format!("{lab}/check"), b"{\"task\":1}".to_vec()), StatusCode::FORBIDDEN, "This form is too old"),
        ("a hint that is no number", form(&format!("{lab}/hints/mark"), format!("csrf={csrf}&number=-1").into_bytes()), bad, "Which hint?"),
        ("hint 0", form(&format!("{lab}/hints/mark"), format!("csrf={csrf}&number=0").into_bytes()), bad, "Which hint?"),
        (
            "a hint of no task",
            form(&format!("{lab}/hints/none"), format!("csrf={csrf}&number=1").into_bytes()),
            StatusCode::NOT_FOUND,
            "There is no such task.",
        ),
        (
            "hint 9",
            form(&format!("{lab}/hints/mark"), format!("csrf={csrf}&number=9").into_bytes()),
            StatusCode::NOT_FOUND,
            "There is no such hint.",
        ),
        ("an oversized file", put("large", vec![b'x'; (1 << 20) + 1]), StatusCode::PAYLOAD_TOO_LARGE, "This is larger than 1024 KiB."),
        ("a file outside", put("../outside", b"x".to_vec()), bad, "error"),
        ("a file that would be a folder", put("a/", b"x".to_vec()), bad, "error"),
        ("a file with a long name", put(&"x".repeat(5000), b"x".to_vec()), bad, "error"),
        (
            "an oversized form of the script",
            accepting(form("/sign-in", large), update::MEDIA_TYPE),
            StatusCode::PAYLOAD_TOO_LARGE,
            "announce",
        ),
        ("what is not there, as JSON", accepting(get("/labs/none"), "application/json"), StatusCode::NOT_FOUND, "error"),
    ];
    for (what, request, status, words) in rows {
        judge(&browser.send(request).await, what, status, words);
    }
    // Cookies that nobody set.
    let odd = browser.another();
    for cookie in [("cordon", "x".repeat(10_000)), ("cordon", "\"; DROP TABLE".to_owned()), ("cordon-visit", "short".to_owned())] {
        odd.cookies.lock().unwrap().insert(cookie.0.to_owned(), cookie.1);
        assert_eq!(odd.get("/").await.status, StatusCode::OK);
    }
    assert_eq!(browser.get(&format!("{lab}/files/mark.yaml")).await.body, MARK, "nothing was lost");
}

#[tokio::test]
async fn what_cannot_be_applied_says_why_and_stays_in_the_editor() {
    let browser = site(|_| ()).await;
    let lab = browser.start().await;
    let csrf = browser.get(&lab).await.csrf();
    let policy = |spec: &str| format!("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: mark}}\nspec: {spec}\n");
    let bomb = (0..40).fold("x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned(), |text, n| {
        format!("{text}x{}: &x{} [{}]\n", n + 1, n + 1, vec![format!("*x{n}"); 9].join(","))
    });
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("an unknown field", policy("{podSelectr: {}}").into(), ".spec.podSelectr: field not declared in schema"),
        ("a wrong type", policy("{podSelector: {}, policyTypes: 3}").into(), "NetworkPolicy"),
        ("an unknown kind", "apiVersion: v1\nkind: Nonsense\nmetadata: {name: a}\n".into(), "Nonsense"),
        ("no kind", "a: 1\n".into(), "kind"),
        ("a list", "- a\n- b\n".into(), "every document must be an object with apiVersion and kind"),
        ("an open bracket", "a: [1\n".into(), "line"),
        ("nothing", "".into(), "there is no object in it"),
        ("no UTF-8", vec![b'a', b':', b' ', 0xff, 0xfe], "the file is not UTF-8 text"),
        ("nesting without end", "[".repeat(500_000).into(), "<li>"),
        ("maps without end", "{a: ".repeat(100_000).into(), "<li>"),
        ("steps without end", (0..1_400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>().into(), "<li>"),
        ("an anchor bomb", bomb.into(), "<li>"),
        ("many documents", "---\nkind: A\n".repeat(201).into(), "more than 200 objects at once"),
        ("a huge value", policy(&format!("{{podSelector: {{matchLabels: {{a: {}}}}}}}", "x".repeat(900_000))).into(), "<li>"),
    ];
    for (what, text, words) in rows {
        let put = Request::put(format!("{lab}/files/mine.yaml")).header("x-csrf-token", &csrf).body(Body::from(text.clone())).unwrap();
        assert_eq!(browser.send(put).await.status, StatusCode::NO_CONTENT, "{what}");
        let accept = [("accept", update::MEDIA_TYPE)];
        let path = format!("{lab}/apply");
        let applying = browser.post_with(&path, &csrf, &[("path", "mine.yaml")], &accept);
        // A bounded cost: this is a debug build beside many other tests.
        let answer = tokio::time::timeout(Duration::from_secs(60), applying).await.unwrap_or_else(|_| panic!("{what} takes for ever"));
        assert_eq!(answer.status, StatusCode::OK, "{what}: {}", answer.body);
        let update: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(update["tone"], "bad", "{what}: {update}");
        let shown = update["fragments"][0]["html"].as_str().unwrap();
        assert!(shown.len() < 8_000, "{what}: the words are short enough to be read: {} bytes", shown.len());
        assert!(shown.contains("<li>") && shown.contains(words), "{what}: {shown}");
        let kept = browser.send(Request::get(format!("{lab}/files/mine.yaml")).body(Body::empty()).unwrap()).await;
        if std::str::from_utf8(&text).is_ok() {
            assert_eq!(kept.body.as_bytes(), text, "{what} is still in the editor");
        } else {
            judge(&kept, what, StatusCode::BAD_REQUEST, "It is no UTF-8 text.");
        }
    }
    let gone = browser.post_with(&format!("{lab}/apply"), &csrf, &[("path", "none.yaml")], &[]).await;
    judge(&gone, "a file that is not there", StatusCode::NOT_FOUND, "There is no such file.");
}
