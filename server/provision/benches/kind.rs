//! The engine beside `kind create cluster --wait`, turn by turn on the same Docker and the same image: `cargo bench --bench kind`.
//! Nothing here passes or fails.

#[expect(dead_code, reason = "the suites use more of it")]
#[path = "../tests/common/mod.rs"]
mod common;

use common::{World, kind_command, not_run, one_node};
use provision::{Cluster, Provisioner};
use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};
use tokio::time::Instant;

fn main() {
    let rounds = std::env::args().skip_while(|word| word != "--rounds").nth(1).and_then(|n| n.parse().ok()).unwrap_or(3);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(run(rounds));
}

async fn run(rounds: usize) {
    let world = match World::new().await {
        Ok(world) => world,
        Err(why) => return not_run("kind clusters beside the kind command", &why),
    };
    let provisioner = world.with(|settings| settings.limits.cpus = 64.0).await;
    let (mut ours, mut kinds, mut wakes) = (Vec::new(), Vec::new(), Vec::new());
    let mut stages: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for round in 0..rounds {
        let id = format!("r{round}");
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let begin = Instant::now();
        let cluster: Arc<dyn Cluster> = provisioner.create(&id, &one_node(), sender).await.expect("a cluster");
        ours.push(begin.elapsed());
        let mut began = None;
        while let Ok(progress) = receiver.try_recv() {
            if !progress.done {
                began = Some(progress.at);
                if round == 0 {
                    order.push(progress.stage);
                }
            } else if let Some(began) = began {
                let took = progress.at.duration_since(began).unsigned_abs();
                stages.entry(progress.stage).or_default().push(took);
            }
        }
        cluster.sleep().await.expect("it sleeps");
        let begin = Instant::now();
        let request = http::Request::get("/api/v1/nodes").body(provision::Body::empty()).expect("a request");
        cluster.serve(provision::UserInfo::admin(), request).await;
        wakes.push(begin.elapsed());
        provisioner.delete(&id).await.expect("it goes");

        if let Some(kind) = kind_command() {
            let name = format!("{}-k{round}", world.settings.instance);
            let begin = Instant::now();
            let made =
                kind_runs(&kind, &world, &["create", "cluster", "--wait", "120s", "--image", &world.settings.image, "--name", &name]);
            made.unwrap_or_else(|said| panic!("{said}"));
            kinds.push(begin.elapsed());
            // On a busy machine Docker does not always kill a node in time; the second try finds it dead.
            while kind_runs(&kind, &world, &["delete", "cluster", "--name", &name]).is_err() {}
        }
    }
    println!("cluster ready: {}", shown(&ours));
    for stage in order {
        println!("  {stage}: {}", shown(&stages[&stage]));
    }
    println!("woken from a pause, to the first answer: {}", shown(&wakes));
    if kinds.is_empty() {
        return not_run("the kind command beside it", "there is none");
    }
    println!("kind create cluster --wait: {}", shown(&kinds));
    println!("ratio of the medians: {:.2}", median(&ours).as_secs_f64() / median(&kinds).as_secs_f64());
}

fn kind_runs(kind: &std::path::Path, world: &World, arguments: &[&str]) -> Result<(), String> {
    let docker = kind.parent().map(|folder| folder.with_file_name("docker")).unwrap_or_default();
    let path = format!("{}:{}", docker.display(), std::env::var_os("PATH").unwrap_or_default().to_string_lossy());
    let kubeconfig = world.settings.data.join("kubeconfig");
    let output = Command::new(kind)
        .args(arguments)
        .env("DOCKER_HOST", &world.settings.docker)
        .env("KUBECONFIG", kubeconfig)
        .env("PATH", path)
        .output()
        .expect("kind runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn median(all: &[Duration]) -> Duration {
    let mut sorted = all.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn shown(all: &[Duration]) -> String {
    let each: Vec<String> = all.iter().map(|took| format!("{:.2}", took.as_secs_f64())).collect();
    format!("median {:.2} s ({})", median(all).as_secs_f64(), each.join(", "))
}
