//! The embedded labs satisfy every lint; broken ones are refused with file, line and field.

use expect_test::{Expect, expect};
use labs::{Catalogue, LabFiles, embedded, parse};

#[test]
fn embedded_labs_are_whole() {
    let catalogue = Catalogue::embedded().unwrap_or_else(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", lines.join("\n"))
    });
    assert!(!catalogue.labs().is_empty());
}

const NAME: &str = "beginner/secure-single-node-gpu-cluster";

fn files() -> LabFiles {
    embedded().remove(NAME).expect("the first lab is embedded")
}

/// Changes a file of the first lab (`find` and `replace`, or removal where `find` is empty), and compares what the lints say.
#[track_caller]
fn check(file: &str, find: &str, replace: &str, want: Expect) {
    let mut files = files();
    if find.is_empty() {
        files.remove(file).expect("the file is there");
    } else {
        let text = String::from_utf8(files[file].clone()).expect("text");
        assert!(text.contains(find), "{file} holds {find:?}");
        files.insert(file.to_owned(), text.replacen(find, replace, 1).into_bytes());
    }
    let said = match parse(files) {
        Ok(_) => "no problem".to_owned(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    want.assert_eq(&said);
}

#[test]
fn lints() {
    check("lab.yaml", "points: 15", "points: 16", expect!["lab.yaml:39: spec.tasks: points add up to 101, not 100"]);
    check(
        "lab.yaml",
        "minutes: 60",
        "minuets: 60",
        expect![
            "lab.yaml:9: spec.minuets: unknown field `minuets`, expected one of `title`, `summary`, `track`, `minutes`, `teaches`, `cluster`, `params`, `intro`, `explanation`, `start`, `steps`, `tasks`"
        ],
    );
    check("lab.yaml", "minutes: 60", "minutes: soon", expect![[r#"lab.yaml:9: spec.minutes: invalid type: string "soon", expected u32"#]]);
    check("lab.yaml", "needs: [gpu]", "needs: [scan]", expect!["lab.yaml:72: spec.tasks[1].needs[0]: scan must come before serving"]);
    check(
        "lab.yaml",
        "{cost: 1, file: hints/gpu-1.md}",
        "{cost: 9, file: hints/nothing.md}",
        expect![[r#"
        lab.yaml:44: spec.tasks[0].hints: hints are ordered: a later one costs no less than an earlier one
        lab.yaml:44: spec.tasks[0].hints[0].file: there is no text in hints/nothing.md"#]],
    );
    check(
        "lab.yaml",
        "gpuAvailable: {count: 1}",
        "gpuAvailable: {count: many}",
        expect![[
            r#"lab.yaml:49: spec.tasks[0].checks[0].gpuAvailable.count: invalid value: string "many", expected a whole number, or a text that holds one"#
        ]],
    );
    check(
        "lab.yaml",
        "gpuAvailable: {count: 1}",
        "gpusAvailable: {count: 1}",
        expect![
            "lab.yaml:49: spec.tasks[0].checks[0].gpusAvailable: unknown variant `gpusAvailable`, expected one of `podSecurity`, `gpuAvailable`, `reachability`, `answers`, `imageScan`, `resource`"
        ],
    );
    check(
        "lab.yaml",
        "from: notebook, to: model",
        "from: notebok, to: model",
        expect!["lab.yaml:147: spec.tasks[3].checks[0].reachability.expect: there is no group notebok"],
    );
    check("lab.yaml", "kind: Lab", "kind: [Lab", expect!["lab.yaml:3: illegal placement of ':' indicator"]);
    check("steps/1-gpu.md", "## Why", "{{ .params.nothing }}", expect![[r#"steps/1-gpu.md:1: no parameter "nothing""#]]);
    check("explanation.md", "", "", expect!["lab.yaml:27: spec.explanation: there is no text in explanation.md"]);
    check(
        "solutions/pod-level/solution.yaml",
        "",
        "",
        expect![[r#"
        lab.yaml:1: 1 solutions; a lab shows 2 different right ways
        mistakes/any-namespace.yaml: there is no solution pod-level
        mistakes/broken-model.yaml: there is no solution pod-level
        mistakes/deny-everybody.yaml: there is no solution pod-level
        mistakes/device-path.yaml: there is no solution pod-level
        mistakes/egress-open.yaml: there is no solution pod-level
        mistakes/every-port.yaml: there is no solution pod-level
        mistakes/exception-for-another-image.yaml: there is no solution pod-level
        mistakes/namespace-warns-only.yaml: there is no solution pod-level
        mistakes/no-gpu-limit.yaml: there is no solution pod-level
        mistakes/not-scanned.yaml: there is no solution pod-level
        mistakes/or-instead-of-and.yaml: there is no solution pod-level
        mistakes/privileged-plugin.yaml: there is no solution pod-level
        mistakes/privileged.yaml: there is no solution pod-level
        mistakes/root-in-init-container.yaml: there is no solution pod-level
        mistakes/scanned-afterwards.yaml: there is no solution pod-level
        mistakes/token-mounted.yaml: there is no solution pod-level
        mistakes/visible-devices.yaml: there is no solution pod-level
        mistakes/vulnerable-image.yaml: there is no solution pod-level
        mistakes/writable-root.yaml: there is no solution pod-level"#]],
    );
    check(
        "solutions/pod-level/policy.yaml",
        "spec:",
        "spec: [",
        expect!["solutions/pod-level/policy.yaml:8: while parsing a flow mapping, did not find expected ',' or '}'"],
    );
    check(
        "mistakes/privileged.yaml",
        "check: privilege,",
        "check: privileges,",
        expect!["mistakes/privileged.yaml: there is no check privileges of task serving"],
    );
    check(
        "mistakes/egress-open.yaml",
        "policyTypes: [Ingress, Egress]",
        "policyTypes: [Egress]",
        expect![[r#"mistakes/egress-open.yaml: solutions/pod-level/policy.yaml does not hold "  policyTypes: [Egress]\n""#]],
    );
}

#[test]
fn digest_follows_the_content() {
    let one = parse(files()).expect("whole").digest;
    let mut changed = files();
    changed.entry("intro.md".to_owned()).and_modify(|bytes| bytes.push(b'\n'));
    assert_ne!(one, parse(changed).expect("whole").digest);
}
