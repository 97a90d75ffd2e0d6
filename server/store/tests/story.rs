//! One story, told to every database: a guest starts, scans, passes, makes an account, finishes; the store forgets nothing.
//!
//! SQLite always. PostgreSQL where `CORDON_TEST_POSTGRES` holds an address, or where a server can be started here; else the test says
//! why not.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use store::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn user(id: &str, login: Option<&str>) -> User {
    User {
        id: id.to_owned(),
        login: login.map(str::to_owned),
        display_name: id.to_uppercase(),
        role: Role::Learner,
        password_hash: login.map(|_| "$argon2id$…".to_owned()),
        disabled: false,
        created_at: at(0),
    }
}

fn attempt(id: &str, user: &str, number: i64) -> Attempt {
    Attempt {
        id: id.to_owned(),
        user_id: user.to_owned(),
        lab: "lab".to_owned(),
        lab_digest: "sha256:1".to_owned(),
        number,
        engine: "sandbox".to_owned(),
        state: AttemptState::Preparing,
        params: BTreeMap::from([("namespace".to_owned(), "ml-7".to_owned())]),
        created_at: at(number),
        started_at: None,
        expires_at: None,
        finished_at: None,
        active_at: at(number),
        score: None,
        failure: None,
        cluster_gone: false,
    }
}

async fn story(address: &str) -> anyhow::Result<()> {
    let db = Database::open(address).await?;
    people(&db).await?;
    work(&db).await?;
    gpus(&db).await?;
    db.close().await;
    let again = Database::open(address).await?;
    assert_eq!(again.attempts_of("u2").await?.len(), 2, "the same after opening it again");
    again.close().await;
    Ok(())
}

async fn people(db: &Database) -> anyhow::Result<()> {
    assert_eq!(db.user("u1").await?, None);
    db.create_user(&user("u1", None)).await?;
    db.create_user(&user("u2", Some("ada"))).await?;
    assert!(matches!(db.create_user(&user("u3", Some("ada"))).await, Err(StoreError::Exists(_))));
    assert_eq!(db.user_by_login("ADA").await?, Some(user("u2", Some("ada"))));
    assert_eq!(db.user("u1").await?.map(|user| user.is_guest()), Some(true));
    assert_eq!(db.count_admins().await?, 0);
    let admin = User { role: Role::Admin, ..user("u4", Some("root")) };
    db.create_user(&admin).await?;
    assert_eq!(db.count_admins().await?, 1);
    assert!(db.update_user(&User { disabled: true, ..admin.clone() }).await?);
    assert_eq!(db.count_admins().await?, 0);
    assert!(!db.update_user(&user("nobody", None)).await?);
    assert_eq!(db.accounts().await?.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ["u2", "u4"]);

    let session = Session { token_hash: "s1".to_owned(), user_id: "u1".to_owned(), created_at: at(0), expires_at: at(10) };
    db.create_session(&session).await?;
    assert_eq!(db.session("s1").await?, Some(session));
    db.extend_session("s1", at(20)).await?;
    assert_eq!(db.delete_expired_sessions(at(19)).await?, 0);
    assert_eq!(db.delete_expired_sessions(at(20)).await?, 1);
    assert_eq!(db.session("s1").await?, None);

    let link = LoginLink { token_hash: "l1".to_owned(), role: Role::Admin, created_at: at(0), expires_at: at(10) };
    db.create_link(&link).await?;
    assert_eq!(db.link("l1", at(5)).await?, Some(link.clone()));
    assert_eq!(db.link("l1", at(10)).await?, None, "expired");
    assert!(db.use_link("l1", at(5)).await?);
    assert!(!db.use_link("l1", at(5)).await?, "once only");
    Ok(())
}

async fn work(db: &Database) -> anyhow::Result<()> {
    let first = attempt("a1", "u1", 1);
    db.create_attempt(&first).await?;
    assert!(matches!(db.create_attempt(&attempt("a9", "u1", 1)).await, Err(StoreError::Exists(_))), "two tabs");
    assert_eq!(db.attempt("a1").await?, Some(first));
    assert!(db.start_attempt("a1", at(2), Some(at(3600))).await?);
    assert!(!db.start_attempt("a1", at(3), None).await?, "once only");
    assert!(db.change_state("a1", &[AttemptState::Running], AttemptState::Sleeping).await?);
    assert!(!db.change_state("a1", &[AttemptState::Running], AttemptState::Sleeping).await?);
    assert!(db.change_state("a1", &[AttemptState::Running, AttemptState::Sleeping], AttemptState::Running).await?);
    db.touch_attempt("a1", at(50)).await?;
    db.touch_attempt("a1", at(40)).await?;
    assert_eq!(db.attempt("a1").await?.map(|a| (a.active_at, a.expires_at)), Some((at(50), Some(at(3600)))));

    let token = |hash: &str, purpose: &str| ClusterToken {
        token_hash: hash.to_owned(),
        attempt_id: "a1".to_owned(),
        purpose: purpose.to_owned(),
        user_name: "learner".to_owned(),
        user_groups: vec!["system:masters".to_owned()],
        created_at: at(2),
        expires_at: None,
    };
    for (hash, purpose) in [("t1", "shell"), ("t2", "download"), ("t3", "shell")] {
        db.create_cluster_token(&token(hash, purpose)).await?;
    }
    assert_eq!(db.cluster_token("t1").await?, Some(token("t1", "shell")));
    assert_eq!(db.revoke_cluster_tokens("a1", Some("download"), at(3)).await?, ["t2"]);
    assert_eq!(db.cluster_token("t2").await?, None);
    assert_eq!(db.revoke_cluster_tokens("a1", None, at(3)).await?.len(), 2);

    let state = |task: &str, passed| TaskState {
        attempt_id: "a1".to_owned(),
        task: task.to_owned(),
        passed,
        points: if passed { 20 } else { 0 },
        passed_at: passed.then(|| at(60)),
        checked_at: at(60),
    };
    for (task, passed) in [("one", true), ("two", false), ("two", true)] {
        db.put_task_state(&state(task, passed)).await?;
    }
    assert_eq!(db.task_states("a1").await?, [state("one", true), state("two", true)]);
    db.keep_task_states("a1", &["one".to_owned()]).await?;
    assert_eq!(db.task_states("a1").await?, [state("one", true)]);

    let blob = EvidenceBlob::new(at(60), vec![b'x'; 200_000]);
    db.put_evidence("a1", &blob).await?;
    db.put_evidence("a1", &blob).await?;
    assert_eq!(db.evidence("a1", &blob.digest).await?, Some(blob.clone()));
    assert_eq!(db.evidence("a1", "sha256:0").await?, None);
    for json in ["first", "second"] {
        let named = EvidenceBlob { digest: "files:start".to_owned(), ..EvidenceBlob::new(at(60), json.into()) };
        db.replace_evidence("a1", &named).await?;
    }
    assert_eq!(db.evidence("a1", "files:start").await?.map(|blob| blob.json), Some(b"second".to_vec()));
    let verdict = VerdictRow {
        id: "v1".to_owned(),
        attempt_id: "a1".to_owned(),
        task: "one".to_owned(),
        outcome: "passed".to_owned(),
        points: 20,
        findings: "[]".to_owned(),
        evidence: blob.digest,
        is_final: true,
        at: at(60),
    };
    db.create_verdict(&verdict).await?;
    assert_eq!(db.verdicts("a1").await?, [verdict]);

    for (name, second) in [("start", 2), ("one", 60), ("two", 70), ("one", 65)] {
        db.put_snapshot(&SnapshotRow { attempt_id: "a1".to_owned(), name: name.to_owned(), taken_at: at(second) }).await?;
    }
    db.delete_snapshots_after("a1", at(65)).await?;
    assert_eq!(db.snapshots("a1").await?.into_iter().map(|s| s.name).collect::<Vec<_>>(), ["start", "one"]);

    let hint = HintTaken { attempt_id: "a1".to_owned(), task: "one".to_owned(), hint: 0, cost: 3, at: at(4) };
    db.take_hint(&hint).await?;
    db.take_hint(&HintTaken { cost: 9, ..hint.clone() }).await?;
    assert_eq!(db.hints_taken("a1").await?, [hint]);

    let scan = Scan {
        id: "c1".to_owned(),
        attempt_id: "a1".to_owned(),
        image: "a:1".to_owned(),
        digest: "sha256:2".to_owned(),
        at: at(5),
        scanned_by: "learner".to_owned(),
        findings: BTreeMap::from([("CVE-1".to_owned(), "CRITICAL".to_owned())]),
        simulated: true,
    };
    db.create_scan(&scan).await?;
    assert_eq!(db.scans("a1").await?, [scan]);

    let row = |id: &str, second| AuditRow {
        id: id.to_owned(),
        at: at(second),
        cluster: "a1".to_owned(),
        token_id: "0123".to_owned(),
        user_name: "learner".to_owned(),
        verb: "get".to_owned(),
        api_group: String::new(),
        resource: "pods".to_owned(),
        namespace: "ml".to_owned(),
        name: "a".to_owned(),
        code: 200,
        milliseconds: 1,
    };
    db.append_audit(&[row("1", 1), row("2", 2), row("2", 2)]).await?;
    assert_eq!(db.audit("a1", "1", 10).await?, [row("2", 2)]);
    assert_eq!(db.delete_audit_before(at(2)).await?, 1);

    let numbers = [db.append_event("a1", at(1), "stage", "{}").await?, db.append_event("a1", at(2), "verdict", "{}").await?];
    assert_eq!(numbers, [1, 2]);
    assert_eq!(db.events("a1", 1).await?.into_iter().map(|e| e.kind).collect::<Vec<_>>(), ["verdict"]);

    assert!(db.finish_attempt("a1", at(90), 40).await?);
    assert!(!db.finish_attempt("a1", at(91), 50).await?, "the first finish counts");
    db.put_receipt("a1", "first", at(90)).await?;
    db.put_receipt("a1", "second", at(91)).await?;
    assert_eq!(db.receipt("a1").await?.as_deref(), Some("first"));
    assert_eq!(db.open_attempts().await?.len(), 0);
    assert_eq!(db.ended_with_cluster().await?.len(), 1);
    db.cluster_gone("a1").await?;
    assert_eq!(db.ended_with_cluster().await?.len(), 0);

    // The account has one attempt of the same lab; the guest's becomes its second, and nothing of it is lost.
    db.create_attempt(&attempt("a2", "u2", 1)).await?;
    db.merge_guest("u1", "u2").await?;
    assert_eq!(db.user("u1").await?, None);
    let numbers: Vec<_> = db.attempts_of("u2").await?.into_iter().map(|a| (a.id, a.number)).collect();
    assert!(numbers.contains(&("a1".to_owned(), 2)) && numbers.contains(&("a2".to_owned(), 1)), "{numbers:?}");
    assert_eq!(db.latest_attempt("u2", "lab").await?.map(|a| a.id).as_deref(), Some("a1"));
    assert_eq!(db.receipt("a1").await?.as_deref(), Some("first"));
    db.fail_attempt("a2", "no engine").await?;
    assert_eq!(db.attempt("a2").await?.and_then(|a| a.failure).as_deref(), Some("no engine"));
    db.create_user(&user("u5", None)).await?;
    assert_eq!(db.delete_idle_guests(at(1)).await?, 1);
    Ok(())
}

async fn gpus(db: &Database) -> anyhow::Result<()> {
    let uuids = |names: &[&str]| names.iter().map(|name| format!("GPU-{name}")).collect::<Vec<_>>();
    assert!(db.claim_gpus("c1", &uuids(&["b", "a"]), at(1)).await?);
    assert!(!db.claim_gpus("c2", &uuids(&["c", "b"]), at(2)).await?, "one of them is taken");
    assert!(!db.claim_gpus("c1", &uuids(&["a"]), at(2)).await?, "once only");
    let claims: Vec<_> = db.gpu_claims().await?.into_iter().map(|claim| (claim.uuid, claim.cluster, claim.claimed_at)).collect();
    let row = |uuid: &str| (format!("GPU-{uuid}"), "c1".to_owned(), at(1));
    assert_eq!(claims, [row("a"), row("b")], "nothing of a claim that failed stays");
    db.release_gpus("c2").await?;
    assert_eq!(db.gpu_claims().await?.len(), 2, "another cluster's claims stay");
    db.release_gpus("c1").await?;
    assert_eq!(db.gpu_claims().await?, []);

    // Many at once, each for two of three, in different orders: one has two of them, and nobody waits for ever.
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let db = db.clone();
            let wanted = uuids(&[["x", "y"], ["y", "z"], ["z", "x"]][number % 3]);
            tokio::spawn(async move { db.claim_gpus(&format!("r{number}"), &wanted, at(3)).await })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await??);
    }
    let owners: std::collections::BTreeSet<_> = db.gpu_claims().await?.into_iter().map(|claim| claim.cluster).collect();
    assert_eq!((winners, owners.len(), db.gpu_claims().await?.len()), (1, 1, 2));
    for owner in owners {
        db.release_gpus(&owner).await?;
    }
    Ok(())
}

#[tokio::test]
async fn sqlite() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    story(&format!(
        "sqlite://{}?mode=rwc",
        folder.path().join("cordon 50%?.db").display().to_string().replace('%', "%25").replace('?', "%3F")
    ))
    .await?;
    let odd = folder.path().join("odd #1%?.db");
    Database::open_file(&odd).await?.close().await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&odd)?.permissions());
    assert_eq!(mode & 0o777, 0o600, "a path with odd characters is that path, and only its owner reads it");
    Ok(())
}

#[tokio::test]
async fn writers_wait_for_each_other() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let db = Database::open_file(&folder.path().join("cordon.db")).await?;
    db.create_user(&user("u1", None)).await?;
    db.create_attempt(&attempt("a1", "u1", 1)).await?;
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { db.append_event("a1", at(1), "k", "{}").await })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await??);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn postgres() -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the test's own switch")]
    let given = std::env::var("CORDON_TEST_POSTGRES");
    if let Ok(address) = given {
        return story(&address).await;
    }
    match LocalPostgres::start() {
        Ok(server) => story(&server.address()).await,
        Err(why) => {
            println!("PostgreSQL was not tested: CORDON_TEST_POSTGRES is not set, and {why}");
            Ok(())
        }
    }
}

/// A PostgreSQL of this test's own, on a Unix socket in its own folder.
struct LocalPostgres {
    folder: tempfile::TempDir,
    server: Child,
}

impl LocalPostgres {
    fn start() -> Result<Self, String> {
        let bin = Self::bin().ok_or("no PostgreSQL server is installed")?;
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").map_err(|error| error.to_string())?;
        // PostgreSQL refuses to run as root; another user of this machine runs it then.
        let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let own = |program: &Path| {
            let mut command = if root { Command::new("setpriv") } else { Command::new(program) };
            if root {
                command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
            }
            command.env("LC_ALL", "C").stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        if root && !Command::new("chown").arg("65534:65534").arg(folder.path()).status().is_ok_and(|status| status.success()) {
            return Err("its folder could not be given to an unprivileged user".to_owned());
        }
        let data = folder.path().join("data");
        let made = own(&bin.join("initdb")).args(["-U", "cordon", "-A", "trust", "-N", "-D"]).arg(&data).status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("initdb failed".to_owned());
        }
        let server = own(&bin.join("postgres"))
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .spawn()
            .map_err(|error| error.to_string())?;
        let started = Self { folder, server };
        for _ in 0..100 {
            let ready = Command::new(bin.join("pg_isready")).arg("-q").arg("-h").arg(started.folder.path()).status();
            if ready.is_ok_and(|status| status.success()) {
                return Ok(started);
            }
            let pause = Command::new("sleep").arg("0.1").status();
            pause.map_err(|error| error.to_string())?;
        }
        Err("it did not become ready".to_owned())
    }

    fn bin() -> Option<PathBuf> {
        let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin")).collect();
        found.retain(|bin| bin.join("postgres").exists() && bin.join("initdb").exists());
        found.sort();
        found.pop()
    }

    fn address(&self) -> String {
        format!("postgres:///postgres?host={}&user=cordon", self.folder.path().display())
    }
}

impl Drop for LocalPostgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
