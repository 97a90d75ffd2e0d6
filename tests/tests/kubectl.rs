//! Tier: a real kubectl against the embedded cluster. Each file of `tests/transcripts/` runs in a cluster of its own and must be answered
//! as it stands there: as a real API server answered, whichever kubectl of 1.31 to 1.36 asks.
//!
//! `CORDON_TRANSCRIPT_KUBECONFIG=FILE` runs them against the cluster of that kubeconfig instead; with `CORDON_TRANSCRIPT_RECORD=1` its
//! answers are written into the files. That is how they were made, from a real kube-apiserver 1.34.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};
use tests::{
    not_run, root,
    sandbox::{Printed, Sandbox, kubectl, other_kubectls},
    transcript::{self, Entry},
};

type Runner = Box<dyn Fn(&str) -> Printed>;

fn runner(kubectl: &Path) -> Runner {
    let Some(kubeconfig) = env::var_os("CORDON_TRANSCRIPT_KUBECONFIG") else {
        let sandbox = Sandbox::up_for(kubectl, &["--run-unknown-images", "--node", "name=gpu-node-1,gpus=8"]);
        return Box::new(move |command| sandbox.sh(command));
    };
    let define = format!("kubectl() {{ '{}' \"$@\"; }}", kubectl.display());
    Box::new(move |command| {
        let line = format!("{define}\n{command}");
        let output = Command::new("bash").args(["-c", &line]).env("KUBECONFIG", &kubeconfig).output().expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Printed { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    })
}

/// What this kubectl was answered otherwise than the transcript in `path` says.
fn replay(path: &Path, kubectl: &Path) -> Vec<String> {
    let entries = transcript::parse(&fs::read_to_string(path).expect("the transcript can be read"));
    let run = runner(kubectl);
    let answered: Vec<Entry> =
        entries.iter().map(|entry| Entry { answer: transcript::answer(&run(&entry.command)), ..entry.clone() }).collect();
    if env::var_os("CORDON_TRANSCRIPT_RECORD").is_some() {
        fs::write(path, transcript::print(&answered)).expect("the transcript can be written");
        return Vec::new();
    }
    let differs = |(wanted, got): (&Entry, &Entry)| {
        let (want, got) = (transcript::normalise(&wanted.answer), &got.answer);
        (want != *got).then(|| format!("line {}: $ {}\n  expected:\n{want}  answered:\n{got}", wanted.line, wanted.command))
    };
    entries.iter().zip(&answered).filter_map(differs).collect()
}

#[test]
fn transcripts_are_answered_as_a_real_cluster_answered() {
    let mut kubectls = match kubectl() {
        Ok(first) => vec![("the first kubectl".to_owned(), first)],
        Err(why) => return not_run("kubectl transcripts", &why),
    };
    let others = other_kubectls();
    for minor in ["1.31", "1.36"] {
        if !others.iter().any(|(name, _)| name == minor) {
            not_run(&format!("kubectl transcripts with {minor}"), "it is not in the cache folder: scripts/kubectl puts it there");
        }
    }
    if env::var_os("CORDON_TRANSCRIPT_KUBECONFIG").is_none() {
        kubectls.extend(others);
    }
    let mut paths: Vec<_> = fs::read_dir(root().join("tests/transcripts")).expect("transcripts").flatten().map(|e| e.path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let all = |(version, kubectl): &(String, PathBuf)| -> Vec<String> {
        let told = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            replay(path, kubectl).into_iter().map(move |d| format!("{version}, {name}, {d}")).collect::<Vec<_>>()
        };
        paths.iter().flat_map(told).collect()
    };
    let complaints: Vec<String> = thread::scope(|scope| {
        let asked: Vec<_> = kubectls.iter().map(|kubectl| scope.spawn(|| all(kubectl))).collect();
        asked.into_iter().flat_map(|thread| thread.join().expect("a transcript can be replayed")).collect()
    });
    assert!(complaints.is_empty(), "{} answers differ\n{}", complaints.len(), complaints.join("\n"));
}
