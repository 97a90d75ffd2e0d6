//! Programs in Rego: what they may say, what they find, and where they stop.

use crate::kit::{constraint, document, messages, template};
use expect_test::{Expect, expect};
use gatekeeper::{Engine, Providers, Template};
use serde_json::json;

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n, labels: {app: web}}, spec: {replicas: 3}}";

/// What a program without parameters says of [`POD`].
fn run(rego: &str) -> Vec<String> {
    let mut engine = Engine::default().at_time(1_700_000_000_000_000_000);
    if let Err(findings) = engine.add_template(&template(rego)) {
        return findings.iter().map(|finding| format!("finding: {finding}")).collect();
    }
    engine.add_constraint(&constraint("{}")).expect("a constraint");
    messages(&engine, &document(POD))
}

/// The value of an expression, as its JSON.
fn value(expression: &str) -> String {
    let rego = format!("package p\nviolation[{{\"msg\": msg}}] {{ value := {expression}; msg := json.marshal(value) }}");
    run(&rego).join("; ")
}

/// What differs from gator: numbers with a fraction of nothing are integers to regorus, and print as such.
const DIFFERENT: &[&str] = &[
    "sprintf(\"%s %d\", [1.0, 2.0])",
    "json.marshal({\"a\": 1.0, \"b\": 1e6, \"c\": 0.1})",
    "to_number(\"1e3\")",
    "sprintf(\"%v %v %v %v\", [1.5, 1234567.5, 0.00001, 12345678901234567890123])",
    "7.5 % 2",
];

#[test]
fn functions_as_gator_has_them() {
    let mut differences = Vec::new();
    for line in include_str!("functions.txt").lines().filter(|line| !line.starts_with('#')) {
        let (expression, want) = line.split_once(" =>").unwrap_or_else(|| panic!("{line}"));
        let got = value(expression);
        if got != want.trim_start() && !DIFFERENT.contains(&expression) {
            differences.push(format!("{expression}: {got}, gator {want}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn functions_on_evidence_and_hashes() {
    for (expression, want) in [
        (r#"crypto.md5("foo")"#, r#""acbd18db4cc2f85cedef654fccc4a4d8""#),
        (r#"crypto.sha1("foo")"#, r#""0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33""#),
        (r#"crypto.sha256("foo")"#, r#""2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae""#),
        (r#"crypto.hmac.md5("foo", "bar")"#, r#""31b6db9e5eb4addb42f1a6ca07367adc""#),
        (r#"time.date(time.now_ns())"#, "[2023,11,14]"),
        (r#"rand.intn("a", 10) == rand.intn("a", 10)"#, "true"),
        (r#"yaml.is_valid("a: [")"#, "false"),
    ] {
        assert_eq!(value(expression), want, "{expression}");
    }
}

#[test]
fn what_is_a_violation() {
    let found = |rego: &str, want: Expect| want.assert_debug_eq(&run(rego));
    found(
        r#"package p
violation[{"msg": "first", "details": {"a": 1}}] { input.review.object.spec.replicas > 2 }
violation[{"msg": "second"}] { not input.review.object.spec.paused }
violation[{"message": "without msg"}] { true }
violation["no object"] { true }"#,
        expect![[r#"
            [
                "first",
                "second",
            ]
        "#]],
    );
    found(
        "package p\nviolation[{\"msg\": msg}] { msg := 3 }",
        expect![[r#"
            [
                "error: Probe: a violation's msg must be a string, not 3",
            ]
        "#]],
    );
    found(
        "package p\nviolation[{\"msg\": msg}] { f(1) == 2; msg := \"never\" }\nf(x) = 1 { x > 0 }\nf(x) = 2 { x > 0 }",
        expect![[r#"
        [
            "spec.targets[0].rego:2:28: functions must not produce multiple outputs for same inputs",
        ]
    "#]],
    );
}

#[test]
fn what_gatekeeper_refuses() {
    let found = |rego: &str, want: &str| assert_eq!(run(rego), [format!("finding: spec.targets[0].rego: {want}")], "{rego}");
    found(
        "package p\ndeny[{\"msg\": \"a\"}] { true }",
        "missing required rules: [violation]; Gatekeeper asks for `violation[{\"msg\": msg}]`",
    );
    found(
        "package p\nimport data.other\nviolation[{\"msg\": \"a\"}] { true }",
        "line 2: invalid import: bad import: only `data.lib` and `future.keywords` can be imported: data.other",
    );
    found(
        "package p\nimport input.review\nviolation[{\"msg\": \"a\"}] { true }",
        "line 2: invalid import: cannot import input: input.review",
    );
    found(
        "package p\nviolation[{\"msg\": \"a\"}] {\n  data.secrets.a\n}",
        "line 3: disallowed ref data.secrets.a: templates see `data.inventory` and `data.lib` only",
    );
    found("package p\nviolation[{\"msg\": msg}] {\n\n  msg := shout(\"a\")\n}", "line 4: rego_type_error: undefined function shout");
    found(
        "package p\nviolation[{\"msg\": msg}] { msg := lower(\"a\", \"b\", \"c\") }",
        "line 2: rego_type_error: lower: arity mismatch: it takes 1, here are 3",
    );
    found(
        "package p\nviolation[{\"msg\": msg}] { msg := http.send({\"url\": \"https://example.com\"}) }",
        "line 2: http.send is not available: programs cannot reach a network here; Gatekeeper's way to other systems is external_data",
    );
    found(
        "package p\nviolation[{\"msg\": msg}] { msg := f(\"a\") }\nf(x) = y { y := g(x) }\ng(x) = y { y := f(x) }",
        "line 3: rego_recursion_error: rule f is recursive: f -> g -> f",
    );
}

#[test]
fn what_does_not_parse_or_compile() {
    let found = |rego: &str, want: Expect| want.assert_debug_eq(&run(rego));
    found(
        "package p\n\nviolation[{\"msg\": msg}] {\n  msg := sprintf(\"%v\" [1])\n}",
        expect![[r#"
        [
            "finding: spec.targets[0].rego: line 3: expecting }",
        ]
    "#]],
    );
    found(
        "package p\nviolation[{\"msg\": msg}] {\n  x > 1\n  msg := \"a\"\n}",
        expect![[r#"
        [
            "finding: spec.targets[0].rego: line 3: use of undefined variable `x` is unsafe",
        ]
    "#]],
    );
    found(
        "package p\nviolation contains {\"msg\": \"a\"} if true",
        expect![[r#"
        [
            "finding: spec.targets[0].rego: line 2: unexpected keyword `true`",
        ]
    "#]],
    );
    found(
        "",
        expect![[r#"
        [
            "finding: spec.targets[0].code: no program: give `rego`, or `code` for the engine Rego or K8sNativeValidation",
        ]
    "#]],
    );
}

#[test]
fn libs_and_versions() {
    let mut given = template("package p\nimport data.lib.names as n\nviolation[{\"msg\": msg}] { msg := n.full(\"a\") }");
    given["spec"]["targets"][0]["libs"] = json!([
        "package lib.names\nimport data.lib.parts\nfull(x) = sprintf(\"%v%v\", [parts.prefix, x])",
        "package lib.parts\nprefix = \"team-\""
    ]);
    let judge = |given: &serde_json::Value| {
        let mut engine = Engine::default();
        match engine.add_template(given) {
            Ok(_) => {
                engine.add_constraint(&constraint("{}")).expect("a constraint");
                messages(&engine, &document(POD)).join("; ")
            }
            Err(findings) => findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    };
    assert_eq!(judge(&given), "team-a");
    given["spec"]["targets"][0]["libs"][1] = json!("package other\nprefix = 1");
    assert_eq!(judge(&given), "spec.targets[0].libs[1]: line 1: the package of a lib is below `lib`, as `lib.helpers`; not other");
    for (version, rego, want) in [
        ("v1", "package p\nviolation contains {\"msg\": msg} if {\n  some x in [1, 2]\n  x > 1\n  msg := sprintf(\"%d\", [x])\n}", "2"),
        ("v0", "package p\nimport future.keywords.in\nviolation[{\"msg\": \"in\"}] { 1 in [1] }", "in"),
        ("", "package p\nviolation[{\"msg\": \"old\"}] { true }", "old"),
    ] {
        let mut given = template("");
        given["spec"]["targets"][0] = json!({"target": "admission.k8s.gatekeeper.sh",
            "code": [{"engine": "Rego", "source": {"version": version, "rego": rego}}]});
        assert_eq!(judge(&given), want, "{version}");
    }
}

#[test]
fn inventory_and_external_data() {
    let rego = r#"package p
violation[{"msg": msg}] { some ns, name; data.inventory.namespace[ns]["v1"]["Service"][name]; msg := sprintf("%v/%v", [ns, name]) }
violation[{"msg": msg}] { data.inventory.cluster["v1"]["Namespace"][name].metadata.labels.team; msg := name }
violation[{"msg": msg}] {
  answer := external_data({"provider": "images", "keys": ["a", "b", "c"]})
  msg := json.marshal(answer)
}
violation[{"msg": msg}] { msg := external_data({"provider": "nobody", "keys": ["a"]}).system_error }
violation[{"msg": msg}] { msg := input.review.namespaceObject.metadata.labels.team }"#;
    let mut providers = Providers::default();
    providers.set("images", "a", Ok(json!("signed")));
    providers.set("images", "b", Err("no such image".to_owned()));
    let mut engine = Engine::default().with_providers(providers);
    engine.add_template(&template(rego)).expect("a template");
    engine.add_constraint(&constraint("{}")).expect("a constraint");
    engine.add_data(&document("{apiVersion: v1, kind: Service, metadata: {name: s, namespace: n}}")).expect("data");
    engine.add_data(&document("{apiVersion: v1, kind: Namespace, metadata: {name: n, labels: {team: ml}}}")).expect("data");
    expect![[r#"
        [
            "ml",
            "n",
            "n/s",
            "no answers of the provider \"nobody\" are given",
            "{\"errors\":[[\"b\",\"no such image\"],[\"c\",\"no answer to \\\"c\\\" is given\"]],\"responses\":[[\"a\",\"signed\"]],\"status_code\":200,\"system_error\":\"\"}",
        ]
    "#]].assert_debug_eq(&messages(&engine, &document(POD)));
    let without_kind = engine.add_data(&document("{apiVersion: v1, metadata: {name: n}}"));
    assert_eq!(without_kind, Err("resource n has no kind".to_owned()));
}

/// Programs that would take for ever, or all memory, stop with a violation that says why.
#[test]
fn programs_stop() {
    let stops = |rego: &str, want: &str| {
        let said = run(rego);
        assert!(said.len() == 1 && said[0].contains(want), "{rego}: {said:?}");
    };
    let numbers = "package p\nnumbers := numbers.range(1, 300)\n";
    let product =
        format!("{numbers}violation[{{\"msg\": \"a\"}}] {{ numbers[a] == numbers[b]; numbers[c] == numbers[d] + a + b; 1 == 2 }}");
    stops(&product.replace("numbers :=", "ns :=").replace("numbers[", "ns["), "more than 500000 steps");
    let doubled = |step: &str| {
        let steps: String = (1..60).map(|n| format!("  x{n} := {}\n", step.replace("x", &format!("x{}", n - 1)))).collect();
        format!("package p\nviolation[{{\"msg\": msg}}] {{\n  x0 := START\n{steps}  msg := sprintf(\"%v\", [x59])\n}}")
    };
    stops(&doubled("concat(\"\", [x, x])").replace("START", "\"abc\""), "MiB");
    stops(&doubled("array.concat(x, x)").replace("START", "[1, 2]"), "MiB");
    stops(&doubled("replace(x, \"a\", \"aaaa\")").replace("START", "\"abc\""), "MiB");
    stops(&doubled("[x, x]").replace("START", "1"), "MiB");
    stops("package p\nviolation[{\"msg\": \"a\"}] { count(numbers.range(1, 1000000000)) > 1 }", "MiB");
    stops("package p\nviolation[{\"msg\": \"a\"}] { count(net.cidr_expand(\"10.0.0.0/8\")) > 1 }", "too many addresses");
    let deep = format!("package p\nviolation[{{\"msg\": \"a\"}}] {{ input{} }}", "[\n0]".repeat(400));
    let chain: String = (0..400).map(|n| format!("f{n}(x) = y {{ y := f{}(x) }}\n", n + 1)).collect();
    let chain = format!("package p\nviolation[{{\"msg\": msg}}] {{ msg := f0(\"a\") }}\n{chain}f400(x) = x\n");
    // What would be read 2^40 times, or a long list 2^14 times; quotes and comments do not hide it.
    let brackets = |open: &str, rest: &str| format!("package p\nviolation[{{\"msg\": \"a\"}}] {{\n  x := {open}{rest}\n}}");
    let opened =
        ["{", "[", "{[", "{\"a\": ", "{\"}}\", ", "[`]`, ", "[ # ]]]\n", "{\"\\\"}\": "].map(|open| brackets(&open.repeat(40), ""));
    let wide = brackets(&"[".repeat(14), &"1, ".repeat(20_000));
    for rego in opened {
        stops(&rego, "brackets lie too deep in one another");
    }
    stops(&wide, "spec.targets[0].rego: line 3: brackets lie too deep in one another");
    let fine = format!("{}1{}", "[{\"a\": ".repeat(6), "}]".repeat(6));
    assert_eq!(run(&brackets(&fine, "\n  # \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n  x == 1")), [""; 0]);
    for rego in [deep, chain] {
        assert!(Template::read(&template(&rego)).is_err(), "{}", &rego[..60]);
    }
}
