//! Accounts through the router: roles and what each may not do, the first admin, guests who become somebody.

use super::*;
use crate::app::{Registration, Role, User};

const PASSWORD: &str = "correct horse battery";

impl Browser {
    async fn account(&self, login: &str, role: Role) -> User {
        let registration = Registration { login: login.to_owned(), display_name: String::new(), password: PASSWORD.to_owned() };
        self.app.create_user(&registration, role).await.unwrap()
    }

    async fn sign_in(&self, login: &str, password: &str) -> Answer {
        self.post("/sign-in", "/sign-in", &[("login", login), ("password", password)]).await
    }
}

#[tokio::test]
async fn each_role_has_its_pages_and_no_others() {
    let owner = site(|_| ()).await;
    let lab = owner.start().await;
    for (role, manages, looks) in
        [(Role::Learner, false, false), (Role::Instructor, false, true), (Role::Interviewer, false, false), (Role::Admin, true, true)]
    {
        let name = role.as_str();
        let browser = owner.another();
        browser.account(name, role).await;
        assert_eq!(browser.sign_in(name, PASSWORD).await.status, StatusCode::SEE_OTHER, "{name}");
        let page = |allowed: bool| if allowed { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let home = browser.get("/").await.body;
        assert_eq!(home.contains("href=\"/admin/users\""), manages, "{name}");
        assert_eq!(browser.get("/admin/users").await.status, page(manages), "{name}");
        let csrf = browser.get("/account").await.csrf();
        let changed = browser.post_with("/admin/users/nobody", &csrf, &[("do", "lock")], &[]).await.status;
        assert_eq!(changed, StatusCode::NOT_FOUND, "{name}: not theirs, or nobody there");
        // Who teaches may look at a learner's work; nobody works in it but its owner.
        assert_eq!(browser.get(&lab).await.status, page(looks), "{name}");
        for (path, fields) in [
            ("/check", vec![]),
            ("/hints/mark", vec![("number", "1")]),
            ("/reset", vec![("to", "start")]),
            ("/apply", vec![("path", "mark.yaml")]),
            ("/finish", vec![]),
        ] {
            let answer = browser.post_with(&format!("{lab}{path}"), &csrf, &fields, &[]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name} {path}");
        }
        assert_eq!(browser.get(&format!("{lab}/kubeconfig")).await.status, StatusCode::NOT_FOUND, "{name}");
        assert_ne!(browser.start().await, lab, "{name} has an attempt of their own");
    }
}

#[tokio::test]
async fn admins_change_roles_and_lock_people_out() {
    let admin = site(|_| ()).await;
    let me = admin.account("root", Role::Admin).await;
    let ada = admin.account("ada", Role::Learner).await;
    admin.sign_in("root", PASSWORD).await;
    let browser = admin.another();
    browser.sign_in("ada", PASSWORD).await;
    let role = async || admin.app.user_by_login("ada").await.unwrap().unwrap().role;
    let change = async |id: &str, fields: &[(&str, &str)]| admin.post("/admin/users", &format!("/admin/users/{id}"), fields).await;

    assert!(admin.get("/admin/users").await.body.contains(">learner</span>"));
    assert_eq!(change(&ada.id, &[("do", "role"), ("role", "instructor")]).await.status, StatusCode::SEE_OTHER);
    assert!(admin.get("/admin/users").await.body.contains("ada was changed."));
    assert_eq!(role().await, Role::Instructor);
    for (id, fields, status) in [
        (&ada.id, vec![("do", "role"), ("role", "emperor")], StatusCode::BAD_REQUEST),
        (&ada.id, vec![("do", "dance")], StatusCode::BAD_REQUEST),
        (&ada.id, vec![], StatusCode::BAD_REQUEST),
        (&me.id, vec![("do", "lock")], StatusCode::CONFLICT),
        (&me.id, vec![("do", "role"), ("role", "learner")], StatusCode::CONFLICT),
        (&"nobody".to_owned(), vec![("do", "lock")], StatusCode::NOT_FOUND),
    ] {
        assert_eq!(change(id, &fields).await.status, status, "{fields:?}");
    }
    assert_eq!(role().await, Role::Instructor);

    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    change(&ada.id, &[("do", "lock")]).await;
    assert_eq!(browser.get("/account").await.location(), "/sign-in?next=%2Faccount", "the session is over");
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(admin.get("/admin/users").await.body.contains("Unlock"));
    change(&ada.id, &[("do", "unlock")]).await;
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_first_admins_link_works_once() {
    let browser = site(|settings| settings.registration = false).await;
    let link = browser.app.first_admin_link().await.unwrap().unwrap();
    let path = format!("/join/{}", link.reveal());
    assert!(browser.get(&path).await.body.contains("Become admin"));
    let short = browser.post(&path, &path, &[("login", "root"), ("password", "short")]).await;
    assert!(short.status == StatusCode::UNPROCESSABLE_ENTITY && short.body.contains("at least 10 characters"), "a slip does not use it up");
    assert!(short.body.contains("value=\"root\""), "what was typed is still there");
    let good = [("login", "root"), ("password", PASSWORD)];
    assert_eq!(browser.post(&path, &path, &good).await.location(), "/account");
    assert_eq!(browser.get("/admin/users").await.status, StatusCode::OK);

    let late = browser.another();
    let refused = late.get(&path).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.body.contains("This link was used already"));
    let csrf = late.get("/sign-in").await.csrf();
    assert_eq!(late.post_with(&path, &csrf, &[("login", "second"), ("password", PASSWORD)], &[]).await.status, StatusCode::FORBIDDEN);
    assert!(browser.app.user_by_login("second").await.unwrap().is_none() && browser.app.first_admin_link().await.unwrap().is_none());
    for path in ["/register", "/join/none", "/join/%ff"] {
        assert_ne!(late.get(path).await.status, StatusCode::OK, "{path}: there is no other way in");
    }
}

#[tokio::test]
async fn a_guest_who_signs_in_keeps_the_work() {
    let browser = site(|_| ()).await;
    browser.account("ada", Role::Learner).await;
    let lab = browser.start().await;
    let guest = browser.cookies.lock().unwrap()["cordon"].clone();
    assert!(browser.get("/").await.body.contains("Keep my work"));
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get(&lab).await.status, StatusCode::OK);
    assert!(browser.get("/account").await.body.contains(&lab));
    // The progress is there in any browser of hers, and the guest's own session is worth nothing any more.
    let elsewhere = browser.another();
    elsewhere.sign_in("ada", PASSWORD).await;
    assert!(elsewhere.get(&lab).await.body.contains("id=\"lab\""));
    let old = browser.another();
    old.cookies.lock().unwrap().insert("cordon".to_owned(), guest);
    assert_eq!(old.get(&lab).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn cookies_are_secure_where_the_site_is() {
    // Each answer's cookies are judged by the browser itself.
    let browser = site(|settings| settings.public_url = "https://lab.example".to_owned()).await;
    browser.account("ada", Role::Learner).await;
    browser.start().await;
    let names = async || browser.cookies.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names().await, ["__Host-cordon", "__Host-cordon-visit"]);
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, StatusCode::SEE_OTHER);
    browser.post("/account", "/sign-out", &[]).await;
    assert_eq!(names().await, ["__Host-cordon-visit"], "signing out takes the session's cookie away");
}

#[tokio::test]
async fn guessing_is_slow_and_the_page_says_for_how_long() {
    let browser = site(|_| ()).await;
    browser.account("ada", Role::Learner).await;
    let mut answer = browser.sign_in("ada", "wrong password").await;
    assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains("Name or password is wrong."));
    assert!(answer.body.contains("value=\"ada\"") && !answer.body.contains("wrong password"), "the name stays, the password does not");
    for _ in 0..10 {
        answer = browser.sign_in("ada", "wrong password").await;
    }
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.body.contains("Too many attempts; try again in ") && answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "also for who knows it now");
    browser.account("bob", Role::Learner).await;
    assert_eq!(browser.sign_in("bob", PASSWORD).await.status, StatusCode::SEE_OTHER, "others are not held up");
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    let browser = site(|_| ()).await;
    browser.account("ada", Role::Learner).await;
    browser.sign_in("ada", PASSWORD).await;
    let elsewhere = browser.another();
    elsewhere.sign_in("ada", PASSWORD).await;
    for (old, new, words) in
        [("wrong password", "a much better one", "This is not your present password."), (PASSWORD, "short", "At least 10 characters.")]
    {
        let answer = browser.post("/account", "/account/password", &[("old", old), ("new", new)]).await;
        assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.body.contains(words), "{}", answer.body);
    }
    let changed = browser.post("/account", "/account/password", &[("old", PASSWORD), ("new", "a much better one")]).await;
    assert_eq!(changed.location(), "/sign-in?next=/account");
    for one in [&browser, &elsewhere] {
        assert_eq!(one.get("/account").await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(browser.sign_in("ada", PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(browser.sign_in("ada", "a much better one").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_form_wants_its_token() {
    let browser = site(|_| ()).await;
    browser.account("root", Role::Admin).await;
    browser.sign_in("root", PASSWORD).await;
    let lab = browser.start().await;
    let other = browser.another();
    let foreign = other.get("/sign-in").await.csrf();
    let attempt = |path: &str| format!("{lab}{path}");
    for path in [
        "/sign-in".to_owned(),
        "/sign-out".to_owned(),
        "/register".to_owned(),
        "/join/none".to_owned(),
        "/account/password".to_owned(),
        "/admin/users/nobody".to_owned(),
        attempt("/check"),
        attempt("/hints/mark"),
        attempt("/reset"),
        attempt("/apply"),
        attempt("/finish"),
    ] {
        for token in ["", "wrong", foreign.as_str()] {
            let answer = browser.post_with(&path, token, &[("to", "start"), ("number", "1"), ("path", "mark.yaml")], &[]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {token:?}");
            assert!(answer.body.contains("This form is too old"), "{path} {token:?}: {}", answer.body);
        }
    }
    for (method, token) in [("PUT", None), ("PUT", Some(foreign.as_str())), ("DELETE", None), ("DELETE", Some("wrong"))] {
        let mut request = Request::builder().method(method).uri(attempt("/files/mark.yaml")).header("accept", "application/json");
        if let Some(token) = token {
            request = request.header("x-csrf-token", token);
        }
        let answer = browser.send(request.body(Body::from("x")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {token:?}");
        assert!(serde_json::from_str::<Value>(&answer.body).unwrap()["error"].is_string());
    }
    assert_eq!(browser.get(&attempt("/files/mark.yaml")).await.body, MARK, "nothing changed");
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}
