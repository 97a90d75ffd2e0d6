//! The format.

use crate::{
    labels::Labels,
    number::{parse_float, parse_number},
    yaml::{Entry, Kind, Node, Problem, Reader, YamlError, documents, find, join},
};
use jiff::Timestamp;

/// All times are milliseconds.
#[derive(Debug, Clone, Default)]
pub struct TestFile {
    pub rule_files: Vec<String>,
    pub evaluation_interval: i64,
    pub group_eval_order: Vec<String>,
    pub fuzzy_compare: bool,
    pub tests: Vec<TestGroup>,
}

#[derive(Debug, Clone, Default)]
pub struct TestGroup {
    pub name: String,
    pub line: u64,
    pub interval: i64,
    /// What the times of the group count from.
    pub start: i64,
    /// Series and values, as they are written.
    pub input_series: Vec<(String, String)>,
    pub alert_tests: Vec<AlertTest>,
    pub expr_tests: Vec<ExprTest>,
    pub external_labels: Labels,
    pub external_url: String,
}

#[derive(Debug, Clone, Default)]
pub struct AlertTest {
    pub line: u64,
    pub eval_time: i64,
    pub alertname: String,
    pub expected: Vec<ExpectedAlert>,
}

#[derive(Debug, Clone, Default)]
pub struct ExpectedAlert {
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default)]
pub struct ExprTest {
    pub line: u64,
    pub expr: String,
    pub eval_time: i64,
    pub expected: Vec<ExpectedSample>,
}

#[derive(Debug, Clone, Default)]
pub struct ExpectedSample {
    pub labels: String,
    pub value: f64,
    /// In promtool's notation; where it is given, the value does not count.
    pub histogram: String,
}

/// Reads a file of tests; problems of its format come with their places.
pub fn read(text: &str) -> Result<(TestFile, Vec<Problem>), YamlError> {
    let mut reader = Reader::default();
    let mut file = TestFile::default();
    if let Some(root) = documents(text)?.first() {
        let known = ["rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"];
        let entries = reader.map(root, "", "main.unitTestFile", &known);
        file.rule_files = texts(&mut reader, entries, "rule_files");
        file.evaluation_interval = reader.duration(entries, "", "evaluation_interval").unwrap_or(0);
        file.group_eval_order = texts(&mut reader, entries, "group_eval_order");
        file.fuzzy_compare = match reader.text(entries, "", "fuzzy_compare").as_str() {
            "true" => true,
            "" | "false" => false,
            _ => {
                let node = find(entries, "fuzzy_compare").unwrap_or(root);
                reader.mismatch(node, "fuzzy_compare", "bool");
                false
            }
        };
        if file.evaluation_interval == 0 {
            file.evaluation_interval = 60_000;
        }
        for (index, name) in file.group_eval_order.iter().enumerate() {
            if file.group_eval_order[..index].contains(name) {
                let message = format!("group name repeated in evaluation order: {name}");
                reader.problems.push(root.problem("group_eval_order", message));
            }
        }
        let interval = file.evaluation_interval;
        for (index, node) in reader.list(entries, "", "tests", "[]main.testGroup").iter().enumerate() {
            file.tests.push(group(&mut reader, node, &format!("tests[{index}]"), interval));
        }
    }
    Ok((file, reader.problems))
}

fn texts(reader: &mut Reader, entries: &[Entry], name: &str) -> Vec<String> {
    let items = reader.list(entries, "", name, "[]string");
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        match item.text() {
            Some(text) => out.push(text.to_owned()),
            None => reader.mismatch(item, name, "string"),
        }
    }
    out
}

fn group(reader: &mut Reader, node: &Node, path: &str, interval: i64) -> TestGroup {
    let known =
        ["interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url", "name", "start_timestamp"];
    let entries = reader.map(node, path, "main.testGroup", &known);
    let mut group = TestGroup {
        name: reader.text(entries, path, "name"),
        line: node.line,
        interval: reader.duration(entries, path, "interval").filter(|interval| *interval != 0).unwrap_or(interval),
        start: start(reader, entries, path),
        external_labels: Labels::new(reader.strings(entries, path, "external_labels")),
        external_url: reader.text(entries, path, "external_url"),
        ..TestGroup::default()
    };
    let place = |name: &str, index: usize| format!("{path}.{name}[{index}]");
    for (index, item) in reader.list(entries, path, "input_series", "[]main.series").iter().enumerate() {
        let path = place("input_series", index);
        let fields = reader.map(item, &path, "main.series", &["series", "values"]);
        group.input_series.push((reader.text(fields, &path, "series"), reader.text(fields, &path, "values")));
    }
    for (index, item) in reader.list(entries, path, "alert_rule_test", "[]main.alertTestCase").iter().enumerate() {
        let path = place("alert_rule_test", index);
        let fields = reader.map(item, &path, "main.alertTestCase", &["eval_time", "alertname", "exp_alerts"]);
        let mut test = AlertTest {
            line: item.line,
            eval_time: reader.duration(fields, &path, "eval_time").unwrap_or(0),
            alertname: reader.text(fields, &path, "alertname"),
            expected: vec![],
        };
        for (at, alert) in reader.list(fields, &path, "exp_alerts", "[]main.alert").iter().enumerate() {
            let path = format!("{path}.exp_alerts[{at}]");
            let fields = reader.map(alert, &path, "main.alert", &["exp_labels", "exp_annotations"]);
            test.expected.push(ExpectedAlert {
                labels: reader.strings(fields, &path, "exp_labels"),
                annotations: reader.strings(fields, &path, "exp_annotations"),
            });
        }
        group.alert_tests.push(test);
    }
    for (index, item) in reader.list(entries, path, "promql_expr_test", "[]main.promqlTestCase").iter().enumerate() {
        let path = place("promql_expr_test", index);
        let fields = reader.map(item, &path, "main.promqlTestCase", &["expr", "eval_time", "exp_samples"]);
        let mut test = ExprTest {
            line: item.line,
            expr: reader.text(fields, &path, "expr"),
            eval_time: reader.duration(fields, &path, "eval_time").unwrap_or(0),
            expected: vec![],
        };
        for (at, sample) in reader.list(fields, &path, "exp_samples", "[]main.sample").iter().enumerate() {
            let path = format!("{path}.exp_samples[{at}]");
            let fields = reader.map(sample, &path, "main.sample", &["labels", "value", "histogram"]);
            test.expected.push(ExpectedSample {
                labels: reader.text(fields, &path, "labels"),
                value: number(reader, fields, &path),
                histogram: reader.text(fields, &path, "histogram"),
            });
        }
        group.expr_tests.push(test);
    }
    group
}

/// A YAML float.
fn number(reader: &mut Reader, entries: &[Entry], path: &str) -> f64 {
    let Some(node) = find(entries, "value").filter(|node| !matches!(node.kind, Kind::Null)) else { return 0.0 };
    let text = reader.text(entries, path, "value");
    let value = match text.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" | "inf" | "+inf" => Some(f64::INFINITY),
        "-.inf" | "-inf" => Some(f64::NEG_INFINITY),
        ".nan" | "nan" => Some(f64::NAN),
        _ => parse_number(&text).ok(),
    };
    value.unwrap_or_else(|| {
        reader.mismatch(node, &join(path, "value"), "float64");
        0.0
    })
}

/// RFC 3339, or seconds since the epoch.
fn start(reader: &mut Reader, entries: &[Entry], path: &str) -> i64 {
    let Some(node) = find(entries, "start_timestamp") else { return 0 };
    let text = reader.text(entries, path, "start_timestamp");
    let seconds = parse_float(&text).ok().filter(|seconds| seconds.is_finite() && seconds.abs() < 1e12);
    let at =
        seconds.map(|seconds| (seconds * 1000.0).round() as i64).or_else(|| text.parse::<Timestamp>().ok().map(|at| at.as_millisecond()));
    at.unwrap_or_else(|| {
        let message = format!("start_timestamp must be RFC 3339 or seconds since the epoch, not {text:?}");
        reader.problems.push(node.problem(&join(path, "start_timestamp"), message));
        0
    })
}
