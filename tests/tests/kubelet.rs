//! Tier: a real kubectl against pods of the embedded cluster. Each file of `tests/kubelet/` runs in a cluster of its own and must be
//! answered as it stands there: as a real kubelet, runtime, DNS and network answered.
//!
//! `CORDON_KUBELET_KUBECONFIG=FILE` runs them against the cluster of that kubeconfig instead, one after the other; with
//! `CORDON_KUBELET_RECORD=1` its answers are written into the files. That is how they were made, on a one-node kind cluster.
//!
//! A comment `# timing: …` says why only the exit code of the next command is compared; `# differs: …` says why the embedded cluster
//! answers otherwise. Both are few.

use std::{env, fs, path::Path, process::Command, sync::Mutex};
use tests::{
    kubelet::{complaint, entries, normalise, paths},
    not_run,
    sandbox::{Printed, Sandbox, kubectl, kubectl_of_the_records},
    transcript::{self, Entry, Mark},
};

/// Files that are replayed at the same time.
const THREADS: usize = 4;

type Runner = Box<dyn Fn(&str) -> Printed>;

fn runner() -> Result<Runner, String> {
    let Some(kubeconfig) = env::var_os("CORDON_KUBELET_KUBECONFIG") else {
        let sandbox = Sandbox::up(&[])?;
        return Ok(Box::new(move |command| sandbox.sh(command)));
    };
    let kubectl = kubectl()?;
    // Each file chooses its namespace: in a copy, so that the file is left as it is.
    let copy = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    fs::copy(&kubeconfig, copy.path()).map_err(|e| e.to_string())?;
    Ok(Box::new(move |command| {
        let line = format!("kubectl() {{ '{}' \"$@\"; }}\n{command}", kubectl.display());
        let output = Command::new("bash").args(["-c", &line]).env("KUBECONFIG", copy.path()).output().expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Printed { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }))
}

fn replay(path: &Path) -> Result<Vec<String>, String> {
    let entries = entries(path);
    let run = runner()?;
    let answered: Vec<Entry> =
        entries.iter().map(|entry| Entry { answer: normalise(&transcript::answer(&run(&entry.command))), ..entry.clone() }).collect();
    if env::var_os("CORDON_KUBELET_RECORD").is_some() {
        fs::write(path, transcript::print(&answered)).expect("the transcript can be written");
        return Ok(Vec::new());
    }
    Ok(entries.iter().zip(&answered).filter_map(|(wanted, got)| complaint(wanted, &got.answer)).collect())
}

/// What runs in pods takes its time, and a busy machine changes what is seen of it; so one answer in twenty may differ, and is printed.
#[test]
fn pods_behave_as_on_a_real_node() {
    if let Err(why) = kubectl_of_the_records() {
        return not_run("transcripts of tests/kubelet", &why);
    }
    // On one real cluster the files take turns: some of them drain its node.
    let threads = if env::var_os("CORDON_KUBELET_KUBECONFIG").is_some() { 1 } else { THREADS };
    let waiting = Mutex::new(paths());
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no thread panicked").pop();
                    let Some(path) = next else { break };
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let found = replay(&path).unwrap_or_else(|why| vec![why]);
                    complaints.lock().expect("no thread panicked").extend(found.into_iter().map(|c| format!("{name}, {c}")));
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no thread panicked");
    let asked: usize = paths().iter().map(|path| entries(path).len()).sum();
    println!("{} of {asked} answers differ\n{}", complaints.len(), complaints.join("\n"));
    assert!(complaints.len() * 20 <= asked, "{} of {asked} answers differ, more than one in twenty", complaints.len());
}

/// Marks are for few commands: a list that is mostly not compared compares nothing.
#[test]
fn few_answers_are_marked() {
    let entries: Vec<Entry> = paths().iter().flat_map(|path| entries(path)).collect();
    let marked = entries.iter().filter(|entry| entry.mark() != Mark::Whole).count();
    assert!(entries.len() >= 250, "only {} commands", entries.len());
    assert!(marked * 8 <= entries.len(), "{marked} of {} answers are marked", entries.len());
}
