//! PromQL, rules and their unit tests: parts divided by lines of three dashes, an expression, series, a rule file, a test file.

use prometheus::{
    engine::{EngineOptions, Storage, instant, range},
    load::Load,
    promql::ParseOptions,
    rules, unit_test,
};

/// Simulated time that a unit test may ask for, in milliseconds: years of it only take long.
const LONGEST: i64 = 3_600_000;

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split("\n---\n");
    let (expression, series) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut storage = Storage::default();
    for line in series.lines().take(20) {
        let mut load = Load::default();
        if load.add(line).is_ok() {
            // A series that does not fit behind the one before is refused.
            let _ = load.store(&mut storage, 0, 60_000);
            let _ = load.store_custom_buckets(&mut storage, 0, 60_000);
        }
    }
    let parse = ParseOptions { experimental_functions: true, newer: true };
    let options = EngineOptions { max_samples: 20_000, parse, ..EngineOptions::default() };
    let _ = instant(&storage, expression, 300_000, &options);
    let _ = range(&storage, expression, -60_000, 900_000, 120_000, &options);
    let Ok((rules, findings)) = rules::read(parts.next().unwrap_or_default(), false) else { return };
    let Ok((tests, _)) = unit_test::read(parts.next().unwrap_or_default()) else { return };
    let soon = |group: &unit_test::TestGroup| {
        group.expr_tests.iter().all(|test| test.eval_time < LONGEST) && group.alert_tests.iter().all(|test| test.eval_time < LONGEST)
    };
    if findings.is_empty() && tests.evaluation_interval >= 1_000 && tests.tests.iter().all(soon) {
        let _ = unit_test::run(&tests, std::slice::from_ref(&rules));
    }
}
