//! Looks at what clusters take and what the machine has left, for [`capacity`].

use crate::kind::{
    capacity::{self, Left, Source, Use},
    docker::{DockerError, Engine, label},
    names,
    preflight::Verdict,
    settings::KindSettings,
    subnet,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// `usage.json` in the engine's folder.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    at: String,
    each: Use,
}

/// Whether so many learners will fit, by what clusters take that are here now; else by what they took when this was last asked.
pub async fn will_fit(settings: &KindSettings, learners: u64, now: Timestamp) -> Result<Vec<Verdict>, DockerError> {
    let engine = Engine::connect(&settings.docker).await?;
    let (facts, host) = engine.facts().await?;
    let mut clusters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for container in engine.containers(&[label(names::INSTANCE, &settings.instance)]).await? {
        let start = container.labels.get(names::START).cloned().unwrap_or_default();
        clusters.entry(start).or_default().push(container.id);
    }
    let mut measured = Vec::new();
    for nodes in clusters.values() {
        measured.extend(cluster(&engine, nodes).await?);
    }
    let path = settings.data.join("usage.json");
    let (each, source) = match Use::largest(&measured) {
        Some(each) => {
            remember(&path, &Remembered { at: now.to_string(), each });
            (each, Source::Measured(measured.len()))
        }
        None => match std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok()) {
            Some(known) => (known.each, Source::Remembered(known.at)),
            None => (Use::DOCUMENTED, Source::Documented),
        },
    };
    let taken = engine.subnets().await?;
    let nodes: u64 = clusters.values().map(|nodes| nodes.len() as u64).sum();
    let of_file = |path: &str| std::fs::read_to_string(path).ok();
    let load = of_file("/proc/loadavg").and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let threads = of_file("/proc/loadavg").and_then(|text| text.split_whitespace().nth(3)?.split_once('/')?.1.parse::<u64>().ok());
    let most = of_file("/proc/sys/kernel/pid_max").and_then(|text| text.trim().parse::<u64>().ok());
    let ports = u64::from(settings.ports.end().saturating_sub(*settings.ports.start())) + 1;
    let left = Left {
        memory: facts.memory,
        cpus: host.cores.zip(load).map(|(cores, load)| f64::from(cores) - load),
        disk: facts.disk,
        // Of others than clusters nobody knows; a desktop holds some dozens.
        inotify_instances: facts.inotify_instances.map(|all| all.saturating_sub(capacity::INOTIFY * nodes)),
        pids: most.zip(threads).map(|(most, threads)| most.saturating_sub(threads)),
        subnets: Some(subnet::free(settings.subnets, settings.subnet_prefix, &taken)),
        ports: Some(ports.saturating_sub(clusters.len() as u64)),
        clusters: clusters.len() as u64,
    };
    Ok(capacity::judge(learners, each, &source, left))
}

/// `None`: one of its nodes does not run.
async fn cluster(engine: &Engine, nodes: &[String]) -> Result<Option<Use>, DockerError> {
    let mut all = Use { memory: 0, cpus: 0.0, pids: 0, disk: 0, nodes: nodes.len() as u64 };
    for node in nodes {
        let Some(usage) = engine.usage(node).await? else { return Ok(None) };
        all.memory += usage.memory;
        all.cpus += usage.cpus;
        all.pids += usage.pids;
        // A node that is paused answers no command: what the image unpacks is what it has at least.
        let command = ["sh", "-c", "du -sxk /var | cut -f1"];
        let running = engine.inspect(node).await?.and_then(|found| found.state).is_some_and(|state| state.paused != Some(true));
        let written =
            if running { engine.run(node, &command, b"").await.ok().and_then(|text| text.trim().parse::<u64>().ok()) } else { None };
        all.disk += written.map_or(Use::DOCUMENTED.disk, |kib| kib << 10);
    }
    Ok(Some(all))
}

fn remember(path: &Path, known: &Remembered) {
    let written = serde_json::to_vec_pretty(known).map_err(std::io::Error::from).and_then(|bytes| {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, bytes)
    });
    if let Err(error) = written {
        tracing::warn!("what clusters take cannot be recorded: {error}");
    }
}
