//! Tier: a real kubectl against the embedded cluster. Each file of `tests/transcripts/` runs in a cluster of its own and must be answered
//! as it stands there: as a real API server answered.
//!
//! `CORDON_TRANSCRIPT_KUBECONFIG=FILE` runs them against the cluster of that kubeconfig instead; with `CORDON_TRANSCRIPT_RECORD=1` its
//! answers are written into the files. That is how they were made, from a real kube-apiserver 1.34.

use std::{env, fs, path::Path, process::Command};
use tests::{
    not_run, root,
    sandbox::{Printed, Sandbox, kubectl},
    transcript::{self, Entry},
};

type Runner = Box<dyn Fn(&str) -> Printed>;

fn runner() -> Result<Runner, String> {
    let Some(kubeconfig) = env::var_os("CORDON_TRANSCRIPT_KUBECONFIG") else {
        let sandbox = Sandbox::up(&["--run-unknown-images", "--node", "name=gpu-node-1,gpus=8"])?;
        return Ok(Box::new(move |command| sandbox.sh(command)));
    };
    let kubectl = kubectl()?;
    Ok(Box::new(move |command| {
        let line = format!("kubectl() {{ '{}' \"$@\"; }}\n{command}", kubectl.display());
        let output = Command::new("bash").args(["-c", &line]).env("KUBECONFIG", &kubeconfig).output().expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Printed { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }))
}

fn replay(path: &Path) -> Result<Vec<String>, String> {
    let entries = transcript::parse(&fs::read_to_string(path).expect("the transcript can be read"));
    let run = runner()?;
    let answered: Vec<Entry> =
        entries.iter().map(|entry| Entry { answer: transcript::answer(&run(&entry.command)), ..entry.clone() }).collect();
    if env::var_os("CORDON_TRANSCRIPT_RECORD").is_some() {
        fs::write(path, transcript::print(&answered)).expect("the transcript can be written");
        return Ok(Vec::new());
    }
    let differs = |(wanted, got): (&Entry, &Entry)| {
        let (want, got) = (transcript::normalise(&wanted.answer), &got.answer);
        (want != *got).then(|| format!("line {}: $ {}\n  expected:\n{want}  answered:\n{got}", wanted.line, wanted.command))
    };
    Ok(entries.iter().zip(&answered).filter_map(differs).collect())
}

#[test]
fn transcripts_are_answered_as_a_real_cluster_answered() {
    let mut paths: Vec<_> = fs::read_dir(root().join("tests/transcripts")).expect("transcripts").flatten().map(|e| e.path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut complaints = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match replay(&path) {
            Ok(differences) => complaints.extend(differences.into_iter().map(|d| format!("{name}, {d}"))),
            Err(why) => return not_run("kubectl transcripts", &why),
        }
    }
    assert!(complaints.is_empty(), "{} answers differ\n{}", complaints.len(), complaints.join("\n"));
}
