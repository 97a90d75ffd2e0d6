//! Figures of Cordon with the embedded Kubernetes, as distributions and ratios from one run: `make bench`.
//!
//! ```text
//! 1, 100, 1,000 idle clusters ──► the same solved ──► restart      one cluster beside a real kube-apiserver
//!   └── ready, memory, round trips, kubectl, rewinds, a check        └── reads, writes, fan-out, long lists
//! ```
//!
//! `cargo bench -p tests --bench embedded -- --clusters 1000` sets how many live clusters there are in the end, `--part labs`,
//! `--part clusters` or `--part api` runs one part only. `docs/benchmarks.md` says what the figures mean and what they were.

mod api;
mod check;
mod door;
mod lab;
mod real;
mod world;

use api::Api;
use door::{Door, Kubectl};
use lab::Beginner;
use real::RealServer;
use server::app::labtest;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tests::measure::{Distribution, resident_kib};
use world::{World, now, processor_time};

const TRIPS: usize = 2_000;
const COMMANDS: usize = 20;
/// Clusters that were busy until now give back memory when they have been idle for a second.
const IDLE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    // The server that is measured tries its jail with the very program that it runs in.
    if std::env::args().nth(1).is_some_and(|word| word.starts_with("jail-")) {
        return server::cli::main();
    }
    let option = |name: &str| std::env::args().skip_while(|word| word != name).nth(1);
    let most: usize = option("--clusters").and_then(|n| n.parse().ok()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(most.max(2), option("--part").as_deref()));
    ExitCode::SUCCESS
}

async fn run(most: usize, part: Option<&str>) {
    let build = if cfg!(debug_assertions) { ", a debug build: times mean little" } else { "" };
    println!("{} processors{build}", workers());
    let wanted = |name: &str| part.is_none_or(|part| part == name);
    if wanted("labs") {
        test_labs().await;
    }
    if wanted("clusters") {
        many(&Beginner::new(), most).await;
    }
    if wanted("api") {
        one().await;
    }
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `cordon labs test`, each lab.
async fn test_labs() {
    let Ok(catalogue) = labs::Catalogue::embedded() else { panic!("the built-in labs can be read") };
    let images = Arc::new(sandbox::ImageCatalogue::parse(labs::images()).expect("the catalogue holds"));
    for lab in catalogue.labs() {
        let began = now();
        let at = "2026-01-05T09:00:00Z".parse().expect("a time");
        let report = labtest::test(lab, &images, &labtest::On::Embedded(at), workers()).await.expect("the bench works");
        println!("labs test: {report}, {:.2?}", began.elapsed());
    }
}

/// What is measured again beside ever more clusters.
struct Beside {
    kubectl: Option<[Distribution; 2]>,
    trips: [Distribution; 3],
}

impl Beside {
    async fn measure(world: &World, kubectl: Option<&Kubectl>) -> Self {
        let kubectl = match kubectl {
            Some(kubectl) => Some(kubectl.measure(COMMANDS).await),
            None => None,
        };
        Self { kubectl, trips: world.round_trips(TRIPS).await }
    }

    fn print(&self, what: &str, alone: Option<&Self>) {
        let names = ["get (server's side)", "list of 12 pods (server's side)", "apply (server's side)"];
        let trips = names.into_iter().zip(&self.trips).zip(
            alone
                .map(|alone| alone.trips.iter().collect::<Vec<_>>())
                .unwrap_or_default()
                .into_iter()
                .map(Some)
                .chain(std::iter::repeat(None)),
        );
        for ((name, figures), base) in trips {
            println!("{name} beside {what}: {figures}{}", ratio(figures, base));
        }
        for (index, name) in ["kubectl get pods", "kubectl apply"].into_iter().enumerate() {
            let Some(figures) = &self.kubectl else { continue };
            let base = alone.and_then(|alone| alone.kubectl.as_ref()).map(|base| &base[index]);
            println!("{name} beside {what}: {}{}", figures[index], ratio(&figures[index], base));
        }
    }
}

fn ratio(figures: &Distribution, base: Option<&Distribution>) -> String {
    base.map(|base| format!(", median x{:.2} of beside one", figures.median_ratio(base))).unwrap_or_default()
}

async fn many(lab: &Beginner, most: usize) {
    let empty = resident_kib();
    let mut world = World::new(lab.spec());
    let first = world.add().await;
    lab.start(&*world.clusters[0]).await;
    world.settle(0).await;
    let door = Door::open(world.folder()).await;
    let kubectl = Kubectl::at(&world, &door.kubeconfig(&world.clusters[0])).inspect_err(|why| tests::not_run("kubectl", why)).ok();
    println!("first cluster of the process, with what all share: ready in {first:.1?}, {} KiB", resident_kib().saturating_sub(empty));
    let alone = Beside::measure(&world, kubectl.as_ref()).await;
    alone.print("one cluster", None);

    let base = resident_kib();
    let each = |world: &World| resident_kib().saturating_sub(base) / (world.clusters.len() as u64 - 1);
    let mut ready = Vec::new();
    for target in [100.min(most), most] {
        while world.clusters.len() < target {
            let from = world.clusters.len();
            for _ in from..target.min(from + 50) {
                ready.push(world.add().await);
            }
            for cluster in &world.clusters[from..] {
                lab.start(&**cluster).await;
            }
            world.settle(from).await;
        }
        tokio::time::sleep(IDLE).await;
        println!("memory per idle cluster with the lab's start, at {}: {} KiB", world.clusters.len(), each(&world));
    }
    println!("cluster ready (create, journal, first `get nodes` with a Ready node): {}", Distribution::of(ready));
    println!("processors that {} idle clusters use: {:.2}", world.clusters.len(), at_rest().await);
    Beside::measure(&world, kubectl.as_ref()).await.print(&format!("{} idle clusters", world.clusters.len()), Some(&alone));
    let [taken, rewound] = world.rewinds(100).await;
    println!("snapshot: {taken}\nrewind: {rewound}");
    world.settle(0).await;
    match check::measure(lab, world.folder(), 20).await {
        Ok(took) => println!("check click to the last verdict, beside {} idle clusters: {took}", world.clusters.len()),
        Err(error) => tests::not_run("check click to verdict", &format!("{error:#}")),
    }

    let began = now();
    for actions in lab.stages() {
        for cluster in &world.clusters {
            lab.act(&**cluster, &actions).await;
        }
        world.settle(0).await;
    }
    println!("solving the lab in {} clusters: {:.1?}", world.clusters.len(), began.elapsed());
    tokio::time::sleep(IDLE).await;
    println!("memory per solved lab, at {}: {} KiB", world.clusters.len(), each(&world));
    println!("processors that {} solved labs use: {:.2}", world.clusters.len(), at_rest().await);
    Beside::measure(&world, kubectl.as_ref()).await.print(&format!("{} solved labs", world.clusters.len()), Some(&alone));

    drop((kubectl, door));
    let count = world.clusters.len();
    let (found, all, firsts) = world.restart(workers()).await;
    println!(
        "restart: {count} clusters found in {found:.1?}, all answered in {all:.1?}, asked by as many as there are processors; first answer of each: {firsts}"
    );
}

/// Processors in use while nobody asks for anything.
async fn at_rest() -> f64 {
    let (began, before) = (now(), processor_time());
    tokio::time::sleep(Duration::from_secs(5)).await;
    (processor_time() - before).as_secs_f64() / began.elapsed().as_secs_f64()
}

/// One cluster, over TLS, beside a real API server.
async fn one() {
    let mut world = World::new(provision::ClusterSpec::default());
    world.add().await;
    let door = Door::open(world.folder()).await;
    let ours = Api::open(&door.kubeconfig(&world.clusters[0])).await.measure().await;
    println!("one cluster over TLS:\n{ours}");
    match RealServer::start(&world.folder().join("real")) {
        Ok(real) => {
            let theirs = Api::open(&real.kubeconfig).await.measure().await;
            println!("a real kube-apiserver over TLS:\n{theirs}\nbeside it (below 1 is faster):\n{}", ours.beside(&theirs));
        }
        Err(why) => tests::not_run("a real kube-apiserver beside ours", &why),
    }
}
