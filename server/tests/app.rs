//! The use-cases, in their own words: real store, real workspaces, a cluster and a course that do what the test says.

mod common;

use checkers::Outcome;
use common::{LAB, world, world_with};
use server::app::{AppError, AttemptState, Purpose, Registration, ResetPoint, Role, Settings, Which, receipts};
use server::gateway::{Admission, Refusal};

fn registration(login: &str) -> Registration {
    Registration { login: login.to_owned(), display_name: String::new(), password: "correct horse battery".to_owned() }
}

fn token_of(kubeconfig: &str) -> String {
    let line = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    line.trim_matches('"').to_owned()
}

#[tokio::test]
async fn a_guest_works_from_start_to_receipt() {
    let world = world().await;
    let (app, user) = (&world.app, world.guest().await);
    let attempt = world.started(&user).await;
    assert_eq!(attempt.state, AttemptState::Running, "{:?}", attempt.failure);
    let view = app.view(&user, &attempt.id).await.unwrap();
    assert_eq!(view.seconds_left, Some(3600));
    assert!(view.stages.iter().all(|stage| stage.ended.is_some()), "{:?}", view.stages);
    assert_eq!(app.files(&user, &attempt.id).await.unwrap().len(), 1);

    // Nothing done yet: nothing passes, and what needs it says so.
    let verdicts = app.check(&user, &attempt.id, &Which::All).await.unwrap();
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Failed && verdict.points == 0));

    // A hint costs, and is paid once.
    let hint = app.take_hint(&user, &attempt.id, "gpu", 0).await.unwrap();
    assert_eq!((hint.cost, hint.text.as_deref()), (5, Some("hint 0 of gpu")));
    app.take_hint(&user, &attempt.id, "gpu", 0).await.unwrap();
    assert!(matches!(app.take_hint(&user, &attempt.id, "harden", 1).await, Err(AppError::Conflict(_))), "in their order");

    world.course.says("gpu", Outcome::Passed);
    world.course.says("harden", Outcome::Passed);
    let one = app.check(&user, &attempt.id, &Which::One("gpu".to_owned())).await.unwrap();
    assert_eq!(one.iter().map(|verdict| verdict.points).collect::<Vec<_>>(), [35]);
    assert_eq!(app.view(&user, &attempt.id).await.unwrap().score, 35);

    // We cannot look: everything stays as it was.
    world.course.says("gpu", Outcome::Inconclusive);
    app.check(&user, &attempt.id, &Which::All).await.unwrap();
    let view = app.view(&user, &attempt.id).await.unwrap();
    assert_eq!((view.score, view.tasks[0].passed), (35, true));

    // Broken: gone until it is mended.
    world.course.says("gpu", Outcome::Failed);
    app.check(&user, &attempt.id, &Which::All).await.unwrap();
    let view = app.view(&user, &attempt.id).await.unwrap();
    assert_eq!((view.score, view.tasks[0].broken, view.tasks[1].missing.as_slice()), (0, true, &["GPU".to_owned()][..]));

    world.course.says("gpu", Outcome::Passed);
    app.check(&user, &attempt.id, &Which::All).await.unwrap();
    let token = token_of(&app.kubeconfig(&user, &attempt.id, Purpose::Download, None).await.unwrap());
    assert!(app.admit(&attempt.id, &token).await.is_ok());
    let done = app.finish(&user, &attempt.id).await.unwrap();
    assert_eq!((done.state, done.score), (AttemptState::Finished, Some(95)));
    assert_eq!(app.finish(&user, &attempt.id).await.unwrap().finished_at, done.finished_at, "twice is once");
    assert_eq!(app.admit(&attempt.id, &token).await.unwrap_err(), Refusal::Unauthorized, "the door is closed");
    assert!(matches!(app.check(&user, &attempt.id, &Which::All).await, Err(AppError::Conflict(_))));

    let receipt = app.receipt(&user, &attempt.id).await.unwrap().unwrap();
    let claims = receipts::verify(&receipt, &app.receipts_public_key()).unwrap();
    assert_eq!((claims.score, claims.of, claims.tasks[0].hints), (95, 100, 1));
    let evidence = store::EvidenceBlobs::evidence(&world.store, &attempt.id, &claims.evidence_digest).await.unwrap().unwrap();
    assert!(serde_json::from_slice::<checkers::Evidence>(&evidence.json).is_ok(), "what was signed is kept");
}

#[tokio::test]
async fn two_tabs_are_one_attempt_and_a_second_attempt_is_asked_for() {
    let world = world().await;
    let (app, user) = (&world.app, world.guest().await);
    let (one, two) = tokio::join!(app.start(&user, LAB), app.start(&user, LAB));
    let first = one.unwrap();
    assert_eq!(first.id, two.unwrap().id);
    world.settled(&user, &first.id).await;
    assert_eq!(app.start(&user, LAB).await.unwrap().id, first.id, "a reload");
    let (one, two) = tokio::join!(app.start_again(&user, LAB, 1), app.start_again(&user, LAB, 1));
    let second = one.unwrap();
    assert_eq!((second.id.as_str(), second.number), (two.unwrap().id.as_str(), 2), "pressed twice");
    assert_eq!(app.attempt(&user, &first.id).await.unwrap().state, AttemptState::Finished, "the first is judged as it stood");
    assert_ne!(first.params, second.params);
    assert_eq!(app.attempts(&user).await.unwrap().len(), 2);
    assert!(matches!(app.start(&user, "nothing").await, Err(AppError::NotFound(_))));
}

#[tokio::test]
async fn what_belongs_to_others_is_not_there() {
    let world = world().await;
    let (app, owner, other) = (&world.app, world.guest().await, world.guest().await);
    let attempt = world.started(&owner).await;
    let id = attempt.id.as_str();
    macro_rules! not_found { ($($call:expr),* $(,)?) => { $(assert!(matches!($call.await, Err(AppError::NotFound(_))), stringify!($call));)* }; }
    not_found!(
        app.attempt(&other, id),
        app.view(&other, id),
        app.check(&other, id, &Which::All),
        app.take_hint(&other, id, "gpu", 0),
        app.hints(&other, id, "gpu"),
        app.reset(&other, id, &ResetPoint::Start),
        app.finish(&other, id),
        app.receipt(&other, id),
        app.kubeconfig(&other, id, Purpose::Shell, None),
        app.files(&other, id),
        app.read_file(&other, id, "start.yaml"),
        app.write_file(&other, id, "start.yaml", Vec::new()),
        app.apply(&other, id, "kind: Pod", false),
        app.scan(&other, id, "a"),
        app.events_since(&other, id, 0),
        app.overview(&other, id),
        app.matrix(&other, id),
        app.audit_trail(&other, id, ""),
        app.cluster_get(&other, id, "/version"),
    );
    assert!(app.subscribe(&other, id).await.is_err() && app.shell(&other, id, (80, 24)).await.is_err());
    // An instructor may look, and may not touch.
    let teacher = app.create_user(&registration("teacher"), Role::Instructor).await.unwrap();
    assert!(app.view(&teacher, id).await.is_ok());
    not_found!(app.check(&teacher, id, &Which::All), app.kubeconfig(&teacher, id, Purpose::Shell, None), app.finish(&teacher, id));
}

#[tokio::test]
async fn a_reset_goes_back_in_cluster_files_and_points() {
    let world = world().await;
    let (app, user) = (&world.app, world.guest().await);
    let id = world.started(&user).await.id;
    app.write_file(&user, &id, "mine.yaml", b"one".to_vec()).await.unwrap();
    world.pass_time(10);
    world.course.says("gpu", Outcome::Passed);
    app.check(&user, &id, &Which::All).await.unwrap();
    app.write_file(&user, &id, "mine.yaml", b"two".to_vec()).await.unwrap();
    world.pass_time(10);
    world.course.says("harden", Outcome::Passed);
    app.check(&user, &id, &Which::All).await.unwrap();
    let step = |name: &str| ResetPoint::Step(name.to_owned());
    assert_eq!(app.reset_points(&user, &id).await.unwrap(), [ResetPoint::Start, step("step-gpu"), step("step-harden")]);

    app.reset(&user, &id, &step("step-gpu")).await.unwrap();
    assert_eq!(app.read_file(&user, &id, "mine.yaml").await.unwrap(), b"one");
    assert_eq!(app.view(&user, &id).await.unwrap().score, 40, "what was earned later is taken back");
    assert_eq!(app.reset_points(&user, &id).await.unwrap(), [ResetPoint::Start, step("step-gpu")]);
    assert!(world.engine.journal.lock().contains(&format!("{id} restore step.step-gpu")));

    app.reset(&user, &id, &ResetPoint::Start).await.unwrap();
    assert!(matches!(app.read_file(&user, &id, "mine.yaml").await, Err(AppError::NotFound(_))));
    assert_eq!(app.view(&user, &id).await.unwrap().score, 0);
    assert!(matches!(app.reset(&user, &id, &step("step-gpu")).await, Err(AppError::NotFound(_))));
}

#[tokio::test]
async fn timers_end_idle_clusters_sleep_and_leftovers_go() {
    let world = world().await;
    let (app, user) = (&world.app, world.guest().await);
    let id = world.started(&user).await.id;
    let token = token_of(&app.kubeconfig(&user, &id, Purpose::Shell, Some("https://127.0.0.1:6443")).await.unwrap());
    world.pass_time(25 * 60);
    app.reap_once(false).await.unwrap();
    assert_eq!(app.attempt(&user, &id).await.unwrap().state, AttemptState::Sleeping);
    assert_eq!(app.admit(&id, &format!("sa-of-{id}")).await.unwrap_err(), Refusal::Unauthorized, "a ServiceAccount wakes nothing");
    assert!(app.admit(&id, &token).await.is_ok(), "kubectl wakes it");
    assert_eq!(app.attempt(&user, &id).await.unwrap().state, AttemptState::Running);
    assert_eq!(app.admit(&id, &format!("sa-of-{id}")).await.unwrap().user.name, "system:serviceaccount:ml:serving");

    world.course.says("gpu", Outcome::Passed);
    world.pass_time(36 * 60);
    assert!(matches!(app.check(&user, &id, &Which::All).await, Err(AppError::Conflict(_))), "too late");
    assert!(matches!(app.admit(&id, &token).await, Err(Refusal::Over(_))));
    app.reap_once(false).await.unwrap();
    let done = app.attempt(&user, &id).await.unwrap();
    assert_eq!((done.state, done.score), (AttemptState::Finished, Some(40)), "the timer finishes, and judges");

    world.engine.clusters.lock().insert("orphan".to_owned());
    world.pass_time(61 * 60);
    app.reap_once(true).await.unwrap();
    assert!(world.engine.clusters.lock().is_empty());
    assert!(app.receipt(&user, &id).await.unwrap().is_some(), "the result stays");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_can_be_tried_again() {
    let world = world().await;
    let user = world.guest().await;
    *world.engine.broken.lock() = Some("no room on this machine".to_owned());
    let failed = world.started(&user).await;
    assert_eq!(failed.state, AttemptState::Failed);
    assert!(failed.failure.unwrap().contains("no room on this machine"));
    let again = world.started(&user).await;
    assert_eq!((again.state, again.number), (AttemptState::Running, 2));
}

#[tokio::test]
async fn a_guest_who_makes_an_account_keeps_the_work() {
    let world = world().await;
    let app = &world.app;
    let signed_in = app.guest().await.unwrap();
    let guest = signed_in.user;
    let id = world.started(&guest).await.id;
    let account = app.register(Some(&guest), &registration("Ada")).await.unwrap();
    assert_eq!((account.user.login.as_deref(), account.user.display_name.as_str()), (Some("ada"), "Ada"));
    assert!(app.attempt(&account.user, &id).await.is_ok());
    assert_eq!(app.session(signed_in.session.reveal()).await.unwrap(), None, "the session from before the password is over");
    assert!(app.session(account.session.reveal()).await.unwrap().is_some());

    // On another browser: a guest works first, then signs in; both attempts are there.
    let other = world.guest().await;
    let second = world.started(&other).await.id;
    let signed_in = app.sign_in("peer", Some(&other), " ADA ", "correct horse battery").await.unwrap();
    let mut attempts: Vec<_> = app.attempts(&signed_in.user).await.unwrap().into_iter().map(|attempt| attempt.id).collect();
    attempts.sort();
    let mut both = vec![id, second];
    both.sort();
    assert_eq!(attempts, both);
    assert!(matches!(app.register(None, &registration("ADA")).await, Err(AppError::Invalid { field: "login", .. })), "taken");
}

#[tokio::test]
async fn guessing_is_slow_and_says_nothing() {
    let world = world().await;
    let app = &world.app;
    app.create_user(&registration("ada"), Role::Learner).await.unwrap();
    let wrong = app.sign_in("p1", None, "ada", "wrong password").await.unwrap_err().to_string();
    let nobody = app.sign_in("p1", None, "nobody", "wrong password").await.unwrap_err().to_string();
    assert_eq!(wrong, nobody);
    for round in 0..7 {
        assert!(app.sign_in(&format!("p{round}"), None, "ada", "wrong password").await.is_err());
    }
    let refused = app.sign_in("p9", None, "ada", "correct horse battery").await.unwrap_err();
    assert!(matches!(refused, AppError::TooMany { seconds } if seconds > 0), "{refused}");
    world.pass_time(16 * 60);
    assert!(app.sign_in("p9", None, "ada", "correct horse battery").await.is_ok());
    for (login, password) in [("x", "long enough password"), ("a b", "long enough password"), ("fine", "short"), ("", "")] {
        let asked = Registration { login: login.to_owned(), display_name: String::new(), password: password.to_owned() };
        assert!(matches!(app.register(None, &asked).await, Err(AppError::Invalid { .. })), "{login:?} {password:?}");
    }
}

#[tokio::test]
async fn the_first_admin_is_made_by_a_link_that_works_once() {
    let world = world().await;
    let app = &world.app;
    let old = app.first_admin_link().await.unwrap().unwrap();
    let link = app.first_admin_link().await.unwrap().unwrap();
    assert_eq!(app.link_role(old.reveal()).await.unwrap(), None, "a restart makes the link before it worthless");
    assert_eq!(app.link_role(link.reveal()).await.unwrap(), Some(Role::Admin));
    let bad = Registration { password: "short".to_owned(), ..registration("root") };
    assert!(app.register_by_link(link.reveal(), None, &bad).await.is_err());
    let (one, two) = (registration("root"), registration("intruder"));
    let (a, b) = tokio::join!(app.register_by_link(link.reveal(), None, &one), app.register_by_link(link.reveal(), None, &two));
    assert!(a.is_ok() != b.is_ok(), "one of two");
    assert_eq!(app.first_admin_link().await.unwrap().map(|_| ()), None);
    let admin = a.or(b).unwrap().user;
    assert!(matches!(app.change_user(&admin.id, Some(Role::Learner), None).await, Err(AppError::Conflict(_))), "the last one stays");
    assert!(matches!(app.change_user(&admin.id, None, Some(true)).await, Err(AppError::Conflict(_))));
}

#[tokio::test]
async fn sessions_end_and_locked_users_are_out() {
    let world = world_with(Settings { guests: false, ..Settings::default() }).await;
    let app = &world.app;
    assert!(matches!(app.guest().await, Err(AppError::Forbidden(_))));
    let ada = app.register(None, &registration("ada")).await.unwrap();
    let session = ada.session.reveal().to_owned();
    assert!(app.csrf_fits(&session, &app.csrf(&session)) && !app.csrf_fits(&session, &app.csrf("other")));
    world.pass_time(8 * 86_400);
    assert!(app.session(&session).await.unwrap().is_some());
    world.pass_time(13 * 86_400);
    assert!(app.session(&session).await.unwrap().is_some(), "used, it was extended");
    world.pass_time(15 * 86_400);
    assert!(app.session(&session).await.unwrap().is_none(), "unused, it ended");
    let again = app.sign_in("p", None, "ada", "correct horse battery").await.unwrap();
    app.change_user(&ada.user.id, None, Some(true)).await.unwrap();
    assert!(app.session(again.session.reveal()).await.unwrap().is_none());
    assert!(app.sign_in("p", None, "ada", "correct horse battery").await.is_err());
}
