//! Tier: both engines, one list of cases. Each lab's start, solutions and mistakes, and the lists of kubectl commands of
//! `tests/kubelet/`, run on an embedded and on a real cluster; what differs is printed. What the real cluster does is right.

use checkers::{Finding, Outcome};
use labs::Lab;
use provision::kind::{Edge, KindProvisioner, KindSettings, LabImages};
use regex::Regex;
use sandbox::ImageCatalogue;
use server::{
    app::labtest::{self, Judged, On, Report},
    state::{SystemClock, SystemRandom, server::kind_edge},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
    sync::{Arc, LazyLock},
};
use tests::{
    docker::Docker,
    kubelet::{complaint, entries, paths},
    not_run, root,
    sandbox::{Sandbox, cordon, kubectl, kubectl_of_the_records},
    transcript,
};

/// One judgement, in lines that two engines can share: generated names are left out.
fn lines(judged: &Judged) -> Vec<String> {
    let mut lines = vec![format!("{} points", judged.points)];
    for task in &judged.tasks {
        for (check, verdict) in &task.checks {
            lines.push(format!("{}/{check}: {:?}", task.task, verdict.outcome));
            if verdict.outcome != Outcome::Passed {
                let findings: BTreeSet<String> = verdict.findings.iter().map(finding).collect();
                lines.extend(findings.into_iter().map(|finding| format!("{}/{check}: {finding}", task.task)));
            }
        }
    }
    lines
}

/// Without digests: that of an image that was built is not that of the catalogue.
fn finding(finding: &Finding) -> String {
    static DIGEST: LazyLock<Regex> = LazyLock::new(|| Regex::new("sha256:[0-9a-f]{64}").expect("a regular expression"));
    let said = format!("{}: {} {} is {}, expected {}", finding.control, finding.object, finding.field, finding.actual, finding.expected);
    transcript::normalise(&DIGEST.replace_all(&said, "<digest>"))
}

/// Where two reports say different things of the same case.
fn differences(embedded: &Report, real: &Report) -> Vec<String> {
    let by_name = |report: &Report| -> BTreeMap<String, Vec<String>> {
        let said = report.lines.iter().map(|line| {
            let said = line.judged.as_ref().map_or_else(|| vec![format!("{:?}: {}", line.verdict, line.text)], lines);
            (line.name.clone(), said)
        });
        said.collect()
    };
    let (embedded, real) = (by_name(embedded), by_name(real));
    let mut different = Vec::new();
    for (case, real) in &real {
        let embedded = embedded.get(case).cloned().unwrap_or_default();
        let only = |some: &[String], others: &[String], engine: &str| -> Vec<String> {
            some.iter().filter(|line| !others.contains(line)).map(|line| format!("    {engine} {line}")).collect()
        };
        let told = [only(&embedded, real, "embedded:"), only(real, &embedded, "real:    ")].concat();
        if !told.is_empty() {
            different.push(format!("{case}\n{}", told.join("\n")));
        }
    }
    different
}

fn catalogue() -> Vec<Arc<Lab>> {
    labs::Catalogue::embedded().expect("the labs can be read").labs().into_iter().cloned().collect()
}

fn images() -> Arc<ImageCatalogue> {
    Arc::new(ImageCatalogue::parse(labs::images()).expect("the images can be read"))
}

/// An engine that carries a name of its own in this Docker.
async fn real(docker: &Docker, data: &std::path::Path) -> KindProvisioner {
    let instance = format!("contract{:04x}", std::process::id() % 0x1_0000);
    let archive = data.join("lab-images.tar");
    let built = Command::new(cordon()).args(["images", "build", "--out"]).arg(&archive).arg("--program").arg(lab_image()).output();
    let built = built.expect("cordon runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let lab_images = LabImages { archive: Some(archive), real: Vec::new() };
    let settings = KindSettings { instance, data: data.to_owned(), lab_images, trusted_learners: true, ..docker.settings() };
    let edge: Edge = kind_edge(&(Arc::new(SystemClock) as _), &(Arc::new(SystemRandom) as _));
    KindProvisioner::connect(settings, edge).await.expect("this machine can run kind clusters")
}

/// The program of the lab images, which `scripts/images` builds.
fn lab_image() -> PathBuf {
    root().join("target/lab-image")
}

/// Every lab. Without the guard: with it the real cluster refuses to run what two mistakes ask for, a privileged pod and a path of the
/// node, which those tasks fail for on both engines.
#[test]
fn labs_are_judged_alike() {
    let built = lab_image().is_file().then_some(()).ok_or_else(|| "the program of the lab images is not built (scripts/images)".to_owned());
    let docker = match built.and_then(|()| Docker::find()) {
        Ok(docker) => docker,
        Err(why) => return not_run("labs on real clusters beside embedded ones", &why),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut different = Vec::new();
    for lab in catalogue() {
        let folder = tempfile::tempdir().expect("a folder");
        let (embedded, real) = runtime.block_on(async {
            let engine = real(&docker, folder.path()).await;
            let on = On::Real { engine: Arc::new(engine.clone()), clock: Arc::new(SystemClock) };
            let judged = labtest::test(&lab, &images(), &on, 1).await;
            engine.finished().await;
            engine.reap(&BTreeSet::new()).await.expect("what is left is removed");
            let start = On::Embedded("2026-01-05T09:00:00Z".parse().expect("a time"));
            (labtest::test(&lab, &images(), &start, 1).await.expect("the bench works"), judged.expect("the bench works"))
        });
        println!("embedded: {embedded}\nreal: {real}");
        different.extend(differences(&embedded, &real).into_iter().map(|difference| format!("{}: {difference}", lab.name)));
    }
    assert!(different.is_empty(), "{} cases are judged differently\n{}", different.len(), different.join("\n"));
}

/// Lists that leave the node alone run beside each other.
const ALONE: &[&str] = &["16-workloads-nodes"];

/// What is answered where a list leaves off: the embedded cluster is asked by the suite `kubelet`, and must answer the same.
#[test]
fn kubectl_is_answered_as_the_lists_say() {
    let docker = match kubectl_of_the_records().and_then(|_| Docker::find()) {
        Ok(docker) => docker,
        Err(why) => return not_run("lists of tests/kubelet on a real cluster", &why),
    };
    let cluster = Sandbox::real(&kubectl().expect("there is a kubectl"), &docker);
    let (alone, beside): (Vec<_>, Vec<_>) =
        paths().into_iter().partition(|path| ALONE.iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name)));
    let complaints = std::sync::Mutex::new(Vec::new());
    let replay = |path: &std::path::Path| {
        let seat = cluster.seat();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for entry in entries(path) {
            let answer = transcript::answer(&seat.sh(&entry.command));
            if let Some(complaint) = complaint(&entry, &answer) {
                complaints.lock().expect("no thread panicked").push(format!("{name}, {complaint}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for path in &beside {
            scope.spawn(|| replay(path));
        }
    });
    alone.iter().for_each(|path| replay(path));
    let complaints = complaints.into_inner().expect("no thread panicked");
    let asked: usize = paths().iter().map(|path| entries(path).len()).sum();
    println!("{} of {asked} answers differ\n{}", complaints.len(), complaints.join("\n"));
    assert!(complaints.len() * 20 <= asked, "{} of {asked} answers differ, more than one in twenty", complaints.len());
}
