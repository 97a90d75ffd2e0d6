//! Tables out of Prometheus' documentation: the query language, rules, templates, unit tests.

use prometheus::{
    engine::{EngineOptions, Level, QueryValue, Storage, Value, instant},
    load::Load,
    number::format_g,
    promql::{ParseOptions, parse},
    rules::{self, Severity},
    unit_test,
};

fn storage(lines: &[&str]) -> Storage {
    let mut load = Load::default();
    lines.iter().for_each(|line| load.add(line).expect(line));
    let mut storage = Storage::default();
    load.store(&mut storage, 0, 60_000).expect("in order");
    storage
}

fn ask(storage: &Storage, query: &str, at: i64) -> String {
    match instant(storage, query, at, &EngineOptions::default()) {
        Err(error) => error.to_string(),
        Ok(answer) => match answer.value {
            QueryValue::Scalar(value) => format_g(value),
            QueryValue::String(text) => text,
            QueryValue::Matrix(matrix) => format!("{} series", matrix.len()),
            QueryValue::Vector(samples) => {
                let one = |value: &Value| match value {
                    Value::Float(value) => format_g(*value),
                    Value::Histogram(histogram) => histogram.notation(),
                };
                let mut lines: Vec<String> = samples.iter().map(|sample| format!("{} {}", sample.metric, one(&sample.value))).collect();
                lines.sort();
                lines.join("; ")
            }
        },
    }
}

#[test]
fn queries() {
    let storage = storage(&[
        r#"gpu_utilization{node="a", gpu="0"} 10 20 30 40 50 60"#,
        r#"gpu_utilization{node="a", gpu="1"} 90x5"#,
        r#"gpu_utilization{node="b", gpu="0"} 5 5 stale"#,
        r#"node_info{node="a", zone="west"} 1x5"#,
        r#"requests_total{code="200"} 0+60x5"#,
        r#"requests_total{code="500"} 0 60 0 60 120 180"#,
        r#"latency_bucket{le="0.1"} 10x5"#,
        r#"latency_bucket{le="1"} 90x5"#,
        r#"latency_bucket{le="+Inf"} 100x5"#,
        "heat {{schema:0 count:4 sum:10 buckets:[1 2 1]}}x5",
    ]);
    let at = 5 * 60_000;
    for (query, want) in [
        // Literals, operators and their precedence.
        ("1 + 2 * 3 ^ 2 ^ 0", "7"),
        ("-2 ^ 2", "-4"),
        ("0x10 + 1e1 + 5m", "326"),
        ("7 % 4 - 10 / 4", "0.5"),
        ("1 > bool 2", "0"),
        ("\"te\\u0078t\"", "text"),
        // Selectors: staleness, offset, @, look-back, left-open ranges.
        ("gpu_utilization{node=\"b\"}", ""),
        ("gpu_utilization{node=\"b\"} offset 4m", r#"{__name__="gpu_utilization", gpu="0", node="b"} 5"#),
        (
            "gpu_utilization{gpu=\"0\"} @ 60",
            r#"{__name__="gpu_utilization", gpu="0", node="a"} 20; {__name__="gpu_utilization", gpu="0", node="b"} 5"#,
        ),
        ("count_over_time(gpu_utilization{gpu=\"1\"}[2m])", r#"{gpu="1", node="a"} 2"#),
        ("{\"node_info\", zone=~\"w.*\"}", r#"{__name__="node_info", node="a", zone="west"} 1"#),
        // Counters.
        ("rate(requests_total{code=\"200\"}[2m])", r#"{code="200"} 1"#),
        ("increase(requests_total{code=\"500\"}[5m1s])", r#"{code="500"} 240"#),
        ("resets(requests_total{code=\"500\"}[6m])", r#"{code="500"} 1"#),
        // Aggregation and matching.
        ("sum by (node) (gpu_utilization)", r#"{node="a"} 150"#),
        ("topk(1, gpu_utilization)", r#"{__name__="gpu_utilization", gpu="1", node="a"} 90"#),
        ("count_values(\"v\", node_info)", r#"{v="1"} 1"#),
        (
            "gpu_utilization * on (node) group_left (zone) node_info",
            r#"{gpu="0", node="a", zone="west"} 60; {gpu="1", node="a", zone="west"} 90"#,
        ),
        ("gpu_utilization unless on (node) node_info", ""),
        ("absent(nothing{node=\"x\", a=~\"b\"})", r#"{node="x"} 1"#),
        // Subqueries, histograms, labels, times.
        ("max_over_time(sum(gpu_utilization)[3m:1m])", "{} 150"),
        ("histogram_quantile(0.5, latency_bucket)", "{} 0.55"),
        ("histogram_count(heat)", "{} 4"),
        ("histogram_fraction(0, 1, heat)", "{} 0.25"),
        (r#"label_replace(node_info, "z", "$1!", "zone", "(.).*")"#, r#"{__name__="node_info", node="a", z="w!", zone="west"} 1"#),
        ("day_of_week(vector(0)) + hour()", "{} 4"),
        // What goes wrong says so.
        ("sum(", "1:5: parse error: unclosed left parenthesis"),
        ("sum by node (x)", "1:8: parse error: unexpected identifier \"node\" in grouping opts, expected \"(\""),
        ("rate(node_info)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("{x=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
        ("foo[5x]", "1:5: parse error: bad number or duration syntax: \"5\""),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("nope(1)", "1:1: parse error: unknown function with name \"nope\""),
        ("", "1:1: parse error: no expression found in input"),
    ] {
        assert_eq!(ask(&storage, query, at), want, "{query}");
    }
}

#[test]
fn annotations_name_their_place() {
    let storage = storage(&["speed 1 2 3", r#"b_bucket{le="x"} 1"#]);
    for (query, level, want) in [
        (
            "rate(speed[3m])",
            Level::Info,
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"speed\" (1:6)",
        ),
        ("quantile(2, speed)", Level::Warning, "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"),
        (
            "histogram_quantile(0.5,\n b_bucket)",
            Level::Warning,
            "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"x\" for metric name \"b_bucket\" (2:2)",
        ),
    ] {
        let answer = instant(&storage, query, 120_000, &EngineOptions::default()).expect(query);
        assert_eq!(answer.annotations.of(level).collect::<Vec<_>>(), [want], "{query}");
    }
}

#[test]
fn samples_are_limited() {
    let storage = storage(&["x 1x1000"]);
    let options = EngineOptions { max_samples: 500, ..EngineOptions::default() };
    let error = instant(&storage, "x[2000m]", 60_000_000, &options).expect_err("too many").to_string();
    assert!(error.contains("too many samples"), "{error}");
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(parse(&deep, ParseOptions::default()).is_err());
    assert!(parse(&format!("1{}", " + 1".repeat(5000)), ParseOptions::default()).is_err());
}

#[test]
fn rule_files_are_checked() {
    let text = r#"
groups:
- name: gpu
  rules:
  - record: bad metric{}
    expr: sum(
  - alert: Hot
    expr: temperature > 80
    for: 5m
    annotations:
      summary: "{{ $label.node }} is hot"
  - record: a
    alert: b
    expr: up
    annotations: {x: y}
- name: gpu
"#;
    let (_, findings) = rules::read(text, false).expect("YAML");
    let got: Vec<String> = findings.iter().map(|f| format!("{}: {}: {}", f.line, f.field, f.message)).collect();
    assert_eq!(
        got,
        [
            r#"6: groups[0].rules[0].expr: 6:11: group "gpu", rule 1, "bad metric{}": could not parse expression: 1:5: parse error: unclosed left parenthesis"#,
            r#"5: groups[0].rules[0].record: 5:13: group "gpu", rule 1, "bad metric{}": braces present in the recording rule name; should it be in expr?: bad metric{}"#,
            r#"7: groups[0].rules[1].annotations[summary]: group "gpu", rule 2, "Hot": annotation "summary": template: __alert_Hot:1: undefined variable "$label""#,
            r#"12: groups[0].rules[2].record: 12:13: 13:12: group "gpu", rule 3, "b": only one of 'record' and 'alert' must be set"#,
            r#"12: groups[0].rules[2].annotations: 12:13: group "gpu", rule 3, "b": invalid field 'annotations' in recording rule"#,
            r#"16: groups[1].name: 16:3: groupname: "gpu" is repeated in the same file"#,
        ]
    );
    let unknown = "groups:\n- name: a\n  rules: []\n  owner: me\n";
    let (_, findings) = rules::read(unknown, false).expect("YAML");
    assert_eq!(findings[0].message, "yaml: unmarshal errors: line 4: field owner not found in type rulefmt.RuleGroup");
    assert!(rules::read(unknown, true).expect("YAML").1.is_empty());
    let twice = "groups:\n- name: a\n  rules:\n  - {record: x, expr: '1'}\n  - {record: x, expr: '2'}\n";
    assert_eq!(rules::read(twice, false).expect("YAML").1[0].severity, Severity::Warning);
}

#[test]
fn prometheus_rule_objects() {
    let text = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: r}\nspec:\n  groups:\n  - name: g\n    rules:\n    - record: x\n      expr: up +\n";
    let (file, findings) = rules::read(text, false).expect("YAML");
    assert_eq!(
        (file.groups.len(), findings[0].line, findings[0].field.as_str()),
        (1, 9, "spec.groups[0].rules[0].expr".trim_start_matches("spec."))
    );
}

/// Runs tests of one group over rules, and gives the failures.
fn failures(rules: &str, tests: &str) -> Vec<String> {
    let (file, findings) = rules::read(rules, false).expect("YAML");
    assert_eq!(findings, []);
    let (tests, problems) = unit_test::read(tests).expect("YAML");
    assert_eq!(problems, []);
    unit_test::run(&tests, &[file]).into_iter().flat_map(|outcome| outcome.failures).collect()
}

const HOT: &str = r#"
groups:
- name: gpu
  labels: {team: ml}
  rules:
  - record: node:temperature:max
    expr: max by (node) (temperature)
  - alert: Hot
    expr: node:temperature:max > 80
    for: 2m
    keep_firing_for: 3m
    labels:
      severity: '{{ if gt $value 95.0 }}critical{{ else }}warning{{ end }}'
    annotations:
      summary: '{{ $labels.node | toUpper }} at {{ printf "%.1f" $value }} °C ({{ .ExternalLabels.cluster }})'
      others: '{{ range query "temperature" | sortByLabel "gpu" }}{{ .Labels.gpu }}={{ .Value | humanize }} {{ end }}'
"#;

#[test]
fn alerts_wait_and_linger() {
    let tests = r#"
rule_files: []
evaluation_interval: 1m
tests:
- interval: 1m
  external_labels: {cluster: lab}
  input_series:
  - series: temperature{node="a", gpu="0"}
    values: 70 90 90 90 70 70 70 70 70
  - series: temperature{node="a", gpu="1"}
    values: 60x8
  alert_rule_test:
  - {eval_time: 2m, alertname: Hot, exp_alerts: []}
  - eval_time: 3m
    alertname: Hot
    exp_alerts:
    - exp_labels: {node: a, severity: warning, team: ml}
      exp_annotations: {summary: A at 90.0 °C (lab), others: '0=90 1=60 '}
  - eval_time: 6m
    alertname: Hot
    exp_alerts:
    - exp_labels: {node: a, severity: warning, team: ml}
      exp_annotations: {summary: A at 90.0 °C (lab), others: '0=90 1=60 '}
  - {eval_time: 7m, alertname: Hot, exp_alerts: []}
  promql_expr_test:
  - expr: ALERTS
    eval_time: 2m
    exp_samples:
    - labels: ALERTS{alertname="Hot", alertstate="pending", node="a", severity="warning", team="ml"}
      value: 1
  - expr: ALERTS_FOR_STATE
    eval_time: 3m
    exp_samples:
    - labels: ALERTS_FOR_STATE{alertname="Hot", node="a", severity="warning", team="ml"}
      value: 60
  - expr: node:temperature:max
    eval_time: 3m
    exp_samples:
    - labels: node:temperature:max{node="a", team="ml"}
      value: 90
"#;
    assert_eq!(failures(HOT, tests), Vec::<String>::new());
}

#[test]
fn wrong_expectations_are_shown() {
    let tests = r#"
tests:
- name: cold
  input_series:
  - {series: 'temperature{node="a"}', values: 99x5}
  alert_rule_test:
  - {eval_time: 5m, alertname: Hot, exp_alerts: []}
  promql_expr_test:
  - {expr: temperature, eval_time: 1m, exp_samples: [{labels: temperature, value: 1.5}]}
"#;
    let got = failures(HOT, tests);
    assert!(got[0].starts_with("    name: cold,\n    alertname: Hot, time: 5m, \n        exp:[], \n        got:["), "{}", got[0]);
    assert!(got[0].contains("severity=\"critical\""), "{}", got[0]);
    let want = "    expr: \"temperature\", time: 1m,\n        exp: {__name__=\"temperature\"} 1.5E+00\n        got: {__name__=\"temperature\", node=\"a\"} 9.9E+01";
    assert_eq!(got[1], want);
}

/// Functions of templates, with the examples of their documentation where it has some.
#[test]
fn template_functions() {
    for (text, want) in [
        ("{{ humanize 1234567.0 }}", "1.235M"),
        ("{{ humanize 0.00123 }}", "1.23m"),
        ("{{ humanize1024 1048576.0 }}", "1Mi"),
        ("{{ humanizeDuration 899.99 }}", "14m 59s"),
        ("{{ humanizeDuration 100000 }}", "1d 3h 46m 40s"),
        ("{{ humanizeDuration .001 }}", "1ms"),
        ("{{ humanizePercentage 0.1234567 }}", "12.35%"),
        ("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
        ("{{ reReplaceAll \"(a)b\" \"x$1\" \"ab\" }}", "xa"),
        ("{{ \"aa bb CC\" | title }}", "Aa Bb CC"),
        ("{{ stripPort \"host:80\" }}{{ stripDomain \"a.example:1\" }}", "hosta:1"),
        ("{{ parseDuration \"1h2m10ms\" }}", "3720.01"),
        ("{{ if and true (eq \"a\" \"b\" \"a\") }}y{{ else if false }}n{{ else }}z{{ end }}", "y"),
        ("{{ with $x := 5 }}{{ $x }}{{ end }} {{- /* no */ -}} !", "5!"),
        ("{{ range $i, $e := query \"up\" }}{{ $i }}{{ end }}{{ len \"abc\" }}", "03"),
        ("{{ (query \"up\" | first).Value | printf \"%05.1f|%v|%q\" 1.25 3 }}", "001.2|3|%!q(float64=1)"),
        ("{{ args 1 \"b\" | len }}{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" 7 }}", "2<7>"),
        ("{{ $labels.none }}{{ .Labels.job }}{{ $value }}{{ externalURL }}{{ pathPrefix }}", "gpu1http://p/x/x"),
        (
            "{{ query \"nothing\" | first }}",
            "<error expanding template: error executing template __alert_A: template: __alert_A:1: executing \"__alert_A\" at <query \"nothing\" | first>: error calling first: first() called on vector with no elements>",
        ),
    ] {
        let quoted = serde_json::to_string(text).expect("JSON");
        let rules = format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    annotations:\n      a: {quoted}\n");
        let want = serde_json::to_string(want).expect("JSON");
        let tests = format!(
            "tests:\n- external_url: http://p/x\n  input_series: [{{series: 'up{{job=\"gpu\"}}', values: '1'}}]\n  alert_rule_test:\n  - {{eval_time: 0, alertname: A, exp_alerts: [{{exp_labels: {{job: gpu}}, exp_annotations: {{a: {want}}}}}]}}\n"
        );
        assert_eq!(failures(&rules, &tests), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_template_that_does_not_parse_says_where() {
    for (text, want) in [
        ("{{ if true }}y{{ end x }}", "unexpected \"x\" in end"),
        ("{{ with 1 }}y{{ end\u{fffd} }}", "in end"),
        ("{{ end }}", "unexpected {{end}}"),
    ] {
        let quoted = serde_json::to_string(text).expect("JSON");
        let rules = format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    annotations:\n      a: {quoted}\n");
        let (_, findings) = prometheus::rules::read(&rules, false).expect("YAML");
        assert!(findings.iter().any(|finding| format!("{finding:?}").replace("\\\"", "\"").contains(want)), "{text}: {findings:?}");
    }
}
