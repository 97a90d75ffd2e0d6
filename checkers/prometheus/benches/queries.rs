//! Figures of the engine, as medians from one run: `cargo bench -p prometheus`.
//!
//! Series as a GPU cluster has them: 1,000 nodes with 8 GPUs each, a day of samples a minute apart for a tenth of the nodes. Where `promtool` is on
//! the PATH, it runs the same unit test of the same rules, and the ratio is printed; its start is measured
//! with an empty test and taken off. Nothing here passes or fails.

use prometheus::{
    engine::{EngineOptions, Storage, instant, range},
    load::Load,
    promql::{ParseOptions, parse},
    rules, unit_test,
};
use std::{
    fmt::Write,
    fs,
    process::Command,
    time::{Duration, Instant},
};

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
    beside_promtool();
}

const RULES: &str = "
groups:
  - name: gpus
    interval: 1m
    rules:
      - record: zone:gpu_utilization:avg
        expr: avg by (zone) (gpu_utilization)
      - record: node:gpu_errors:rate5m
        expr: sum by (node) (rate(gpu_errors_total[5m]))
      - alert: ErrorsGrow
        expr: node:gpu_errors:rate5m > 0.3
        for: 10m
        labels: {severity: page}
        annotations: {summary: '{{ $labels.node }} has {{ $value | humanize }} errors a second'}
      - alert: IdleGpu
        expr: max_over_time(gpu_utilization[30m]) < 5
        for: 30m
";

/// A unit test over a day of 800 GPUs, with an expectation that holds; a short one where `minutes` is small.
fn test(minutes: usize) -> String {
    let mut text = format!(
        "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    promql_expr_test:\n      - expr: count(gpu_utilization)\n        \
         eval_time: {minutes}m\n        exp_samples: [{{labels: '{{}}', value: 800}}]\n    input_series:\n"
    );
    for (node, gpu) in (0..100).flat_map(|node| (0..8).map(move |gpu| (node, gpu))) {
        let labels = format!("node=\"node-{node}\", gpu=\"{gpu}\", zone=\"z{}\"", node % 7);
        let _ = writeln!(text, "      - {{series: 'gpu_utilization{{{labels}}}', values: '{}+1x{minutes}'}}", gpu * 10);
        let _ = writeln!(text, "      - {{series: 'gpu_errors_total{{{labels}}}', values: '0+3x{minutes}'}}");
    }
    text
}

fn beside_promtool() {
    const MINUTES: usize = 240;
    let (rules, _) = rules::read(RULES, false).expect("rules");
    let rules = [rules];
    let ours = |minutes: usize| {
        let text = test(minutes);
        let began = now();
        let (file, problems) = unit_test::read(&text).expect("a test");
        assert!(problems.is_empty(), "the test is read whole");
        let right = unit_test::run(&file, &rules).iter().all(|outcome| outcome.failures.is_empty());
        (began.elapsed().as_secs_f64(), right)
    };
    let (took, right) = ours(MINUTES);
    println!("unit test, {MINUTES} minutes of 800 GPUs: {took:.2} s, {}", if right { "passed" } else { "FAILED" });
    let program = "promtool";
    let folder = std::env::temp_dir().join(format!("cordon-bench-promtool-{}", std::process::id()));
    let theirs = |minutes: usize| {
        let file = folder.join("test.yaml");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("rules.yaml"), RULES))
            .and_then(|()| fs::write(&file, test(minutes)))
            .map_err(|error| error.to_string())?;
        let began = now();
        let output = Command::new(program).args(["test", "rules"]).arg(&file).output().map_err(|error| format!("{program}: {error}"))?;
        Ok::<_, String>((began.elapsed().as_secs_f64(), output.status.success()))
    };
    match theirs(1).and_then(|(start, _)| theirs(MINUTES).map(|(took, right)| (took - start, right))) {
        Ok((seconds, _)) if seconds <= 0.0 => println!("NOT RUN beside promtool: its start took longer than its work"),
        Ok((seconds, right)) => {
            println!("the same by promtool: {seconds:.2} s, {}; ratio {:.1}", if right { "passed" } else { "FAILED" }, seconds / took);
        }
        Err(why) => println!("NOT RUN beside promtool: {why}"),
    }
    let _ = fs::remove_dir_all(&folder);
}
