//! Random bytes, mutated expressions, series, rule files and templates: whatever comes in, something comes out.

use prometheus::{
    engine::{EngineOptions, Storage, instant, range},
    load::Load,
    promql::{ParseOptions, parse, parse_series},
    rules, unit_test,
};

/// A sequence that is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// A text with letters cut out, doubled, replaced, or parts of another one put in.
    fn mutate(&mut self, text: &str, other: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(4) {
            let at = self.below(letters.len());
            match self.below(5) {
                0 if !letters.is_empty() => _ = letters.remove(at),
                1 if !letters.is_empty() => letters.insert(at, letters[at]),
                2 => letters.insert(at.min(letters.len()), ODD[self.below(ODD.len())]),
                3 => {
                    let piece: Vec<char> = other.chars().skip(self.below(other.len())).take(self.below(20)).collect();
                    letters.splice(at..at, piece);
                }
                _ => letters.truncate(at.max(1)),
            }
        }
        letters.into_iter().collect()
    }
}

const ODD: &[char] = &[
    '(', ')', '{', '}', '[', ']', '"', '\'', '`', '\\', '@', ':', '-', '^', '%', '0', '9', 'e', 'x', '.', ',', '\n', '#', 'é', '\u{0}',
    '$', '|', '*',
];

const EXPRESSIONS: &[&str] = &[
    "sum by (a, b) (rate(x_total{a=~\"b.*\", c!=\"d\"}[5m] offset 1m @ 300)) / on (a) group_left (b) (y > bool 2)",
    "histogram_quantile(0.9, sum by (le) (rate(z_bucket[10m:30s])))",
    "label_replace(x_total, \"a\", \"$1${2}\", \"b\", \"(.*)-(.*)\") or vector(time()) unless -x_total ^ 2",
    "topk(3, h) + count_values(\"v\", h * 1e300 / 0) and quantile_over_time(NaN, x_total[1h])",
    "histogram_fraction(-Inf, +Inf, h) % 0x1F - predict_linear(x_total[9m], -1e18) atan2 inf",
    "avg_over_time(stddev_over_time(x_total[3m] @ end())[10m:1m] offset -5m)",
    "absent_over_time({__name__=\"nope\"}[5m]) * day_of_year(vector(-1e17))",
];

const SERIES: &[&str] = &[
    "x_total{a=\"b-c\", c=\"e\"} 0+1x10 _x2 stale 5 NaN -Inf",
    "h {{schema:3 count:10 sum:-5 z_bucket:2 z_bucket_w:0.01 buckets:[1 2 3] offset:-3 n_buckets:[1] n_offset:2}}+{{schema:3 count:1}}x5",
    "h {{schema:-53 custom_values:[1 2 5] buckets:[1 2 3 4] count:10 counter_reset_hint:gauge}}x3",
    "z_bucket{le=\"0.5\"} 1e308 -1e308x3",
];

const RULES: &str = "groups:\n- name: g\n  interval: 1m\n  limit: 3\n  labels: {a: b}\n  rules:\n  - alert: A\n    expr: x_total > 1\n    for: 1m\n    keep_firing_for: 2m\n    labels: {s: '{{ $value | humanize }}'}\n    annotations:\n      t: '{{ range $i, $e := query \"x_total\" }}{{ if gt $e.Value 1.0 }}{{ $i }}{{ else }}{{ break }}{{ end }}{{ end }}{{ printf \"%5.2f %s %d\" $value .Labels.a 3 }}'\n  - record: r:x\n    expr: sum(x_total) by (a)\n";

const TESTS: &str = "evaluation_interval: 30s\ntests:\n- interval: 1m\n  input_series:\n  - series: x_total{a=\"b\"}\n    values: 0+1x20\n  alert_rule_test:\n  - {eval_time: 5m, alertname: A, exp_alerts: [{exp_labels: {a: b}}]}\n  promql_expr_test:\n  - expr: r:x\n    eval_time: 4m\n    exp_samples: [{labels: 'r:x{a=\"b\"}', value: 4}]\n";

fn storage() -> Storage {
    let mut storage = Storage::default();
    for line in SERIES {
        let mut load = Load::default();
        load.add(line).expect("valid");
        // Two of the lines are of the same series; what does not fit behind the first is refused.
        let _ = load.store(&mut storage, 0, 60_000);
    }
    storage
}

#[test]
fn expressions() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let storage = storage();
    let options =
        EngineOptions { max_samples: 2000, parse: ParseOptions { experimental_functions: true, newer: true }, ..EngineOptions::default() };
    let mut parsed = 0;
    for round in 0..1500 {
        let (a, b) = (EXPRESSIONS[random.below(EXPRESSIONS.len())], EXPRESSIONS[random.below(EXPRESSIONS.len())]);
        let text = EXPRESSIONS.get(round).map_or_else(|| random.mutate(a, b), |whole| (*whole).to_owned());
        if parse(&text, options.parse).is_err() {
            continue;
        }
        parsed += 1;
        let _ = instant(&storage, &text, 300_000, &options);
        let _ = range(&storage, &text, -60_000, 900_000, 120_000, &options);
    }
    assert!(parsed > 100, "only {parsed} of the mutants were expressions");
}

#[test]
fn bytes() {
    let mut random = Random(42);
    for _ in 0..3000 {
        let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&text, ParseOptions::default());
        let _ = parse_series(&text);
        let _ = rules::read(&text, false);
        let _ = unit_test::read(&text);
    }
}

#[test]
fn series() {
    let mut random = Random(7);
    for _ in 0..4000 {
        let (a, b) = (SERIES[random.below(SERIES.len())], SERIES[random.below(SERIES.len())]);
        let mut load = Load::default();
        if load.add(&random.mutate(a, b)).is_ok() {
            let _ = load.store(&mut Storage::default(), 0, 1000);
            let _ = load.store_custom_buckets(&mut Storage::default(), 0, 1000);
        }
    }
}

#[test]
fn files() {
    let mut random = Random(99);
    let mut run = 0;
    for _ in 0..600 {
        let (rules_text, tests_text) = (random.mutate(RULES, TESTS), random.mutate(TESTS, RULES));
        let Ok((rules, findings)) = rules::read(&rules_text, false) else { continue };
        if !findings.is_empty() {
            continue;
        }
        for text in [TESTS, &tests_text] {
            let Ok((tests, _)) = unit_test::read(text) else { continue };
            // A mutant may ask for years; what is asked here is whether it panics.
            if tests.tests.iter().all(|group| {
                group.expr_tests.iter().all(|t| t.eval_time < 3_600_000) && group.alert_tests.iter().all(|t| t.eval_time < 3_600_000)
            }) && tests.evaluation_interval >= 1000
            {
                let _ = unit_test::run(&tests, std::slice::from_ref(&rules));
                run += 1;
            }
        }
    }
    assert!(run > 20, "only {run} mutants ran");
}
