//! Figures of the engine, as medians from one run: `cargo bench -p prometheus`.
//!
//! Series as a GPU cluster has them: 1,000 nodes with 8 GPUs each, a day of samples a minute apart for a tenth of the nodes.

use prometheus::{
    engine::{EngineOptions, Storage, instant, range},
    load::Load,
    promql::{ParseOptions, parse},
};
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn measure(name: &str, rounds: usize, mut work: impl FnMut() -> usize) {
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    let mut size = 0;
    for _ in 0..rounds {
        let begin = now();
        size = work();
        times.push(begin.elapsed());
    }
    times.sort();
    println!("{name:60} median {:>12?}  max {:>12?}  {size} out", times[rounds / 2], times[rounds - 1]);
}

fn fleet(nodes: usize, samples: usize) -> Storage {
    let mut load = Load::default();
    for node in 0..nodes {
        for gpu in 0..8 {
            let labels = format!("node=\"node-{node}\", gpu=\"{gpu}\", zone=\"z{}\"", node % 7);
            load.add(&format!("gpu_utilization{{{labels}}} {}+1x{samples}", gpu * 10)).expect("valid");
            load.add(&format!("gpu_errors_total{{{labels}}} 0+3x{samples}")).expect("valid");
        }
        load.add(&format!("node_info{{node=\"node-{node}\", zone=\"z{}\"}} 1x{samples}", node % 7)).expect("valid");
    }
    let mut storage = Storage::default();
    load.store(&mut storage, 0, 60_000).expect("in order");
    storage
}

fn main() {
    let options = EngineOptions { max_samples: 50_000_000, ..EngineOptions::default() };
    let text = "sum by (zone) (rate(gpu_errors_total{gpu=~\"[0-3]\"}[5m])) / on (zone) group_left () count by (zone) (node_info) > 0.5";
    measure("parse", 2000, || usize::from(parse(text, ParseOptions::default()).is_ok()));
    let wide = fleet(1000, 10);
    let deep = fleet(100, 1440);
    let day = 1440 * 60_000;
    let count = |answer: Result<prometheus::engine::Answer, _>| match answer.map(|answer| answer.value) {
        Ok(prometheus::engine::QueryValue::Vector(samples)) => samples.len(),
        Ok(prometheus::engine::QueryValue::Matrix(matrix)) => matrix.iter().map(|series| series.points.len()).sum(),
        _ => 0,
    };
    for (name, query) in [
        ("8,000 series, instant selector", "gpu_utilization"),
        ("8,000 series, sum by", "sum by (node) (gpu_utilization)"),
        ("8,000 series, rate", "sum(rate(gpu_errors_total[5m]))"),
        ("8,000 series, join", "gpu_utilization * on (node) group_left (zone) node_info"),
        ("8,000 series, topk", "topk(10, gpu_utilization)"),
    ] {
        measure(name, 20, || count(instant(&wide, query, 600_000, &options)));
    }
    for (name, query) in [
        ("800 series, a day at 5m: sum(rate)", "sum by (zone) (rate(gpu_errors_total[5m]))"),
        ("800 series, a day at 5m: subquery", "max_over_time(sum by (zone) (gpu_utilization)[30m:1m])"),
    ] {
        measure(name, 5, || count(range(&deep, query, 0, day, 300_000, &options)));
    }
}
