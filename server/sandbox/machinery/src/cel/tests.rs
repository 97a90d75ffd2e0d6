use super::{Inputs, Kubernetes, Program, Run, Value, compile, cost, kind, kind::Kind, value};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

fn variables() -> BTreeMap<String, Kind> {
    let request = kind::Object::listed("kubernetes.AdmissionRequest", [("name", kind::STRING), ("dryRun", kind::BOOL)]);
    [("object".to_owned(), Kind::Dyn), ("request".to_owned(), request)].into()
}

#[test]
fn kinds_and_messages() {
    for (source, expected) in [
        ("object.spec.replicas <= 3", "bool"),
        ("object.spec", "dyn"),
        ("request.name", "string"),
        ("'a' + string(object.x)", "string"),
        ("object.list.filter(x, x > 1).map(x, x.name)", "list(dyn)"),
        ("[1, 2].map(x, string(x))", "list(string)"),
        ("object.list.all(c, has(c.a) && c.a in ['x'])", "bool"),
        ("sets.contains([1], [2])", "bool"),
        ("object.?spec.?x.orValue('y') == 'y'", "bool"),
        ("quantity('1Gi').isLessThan(quantity(object.m))", "bool"),
        ("1 == 'a'", "ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, string)'\n | 1 == 'a'\n | ..^"),
        ("objet.x", "ERROR: <input>:1:1: undeclared reference to 'objet' (in container '')\n | objet.x\n | ^"),
        ("true && nope(1)", "ERROR: <input>:1:13: undeclared reference to 'nope' (in container '')\n | true && nope(1)\n | ............^"),
        ("request.nam == 'a'", "ERROR: <input>:1:8: undefined field 'nam'\n | request.nam == 'a'\n | .......^"),
        ("request.dryRun.x", "ERROR: <input>:1:15: type 'bool' does not support field selection\n | request.dryRun.x\n | ..............^"),
        ("1.size()", "ERROR: <input>:1:7: found no matching overload for 'size' applied to 'int.()'\n | 1.size()\n | ......^"),
    ] {
        let got = compile(source, &variables()).map_or_else(|errors| errors, |expression| expression.kind.to_string());
        assert_eq!(got, expected, "{source}");
    }
}

#[test]
fn expressions_run() {
    let mut inputs = Inputs::default();
    inputs.set("object", value::of_json(&json!({"spec": {"replicas": 3, "list": [1, 2, 3]}, "metadata": {"namespace": "ml"}})));
    let long: Vec<_> = (0..3000).collect();
    inputs.set("request", value::of_json(&json!({"name": "a", "long": long})));
    let mut kinds = variables();
    kinds.insert("request".to_owned(), Kind::Dyn);
    let composed = [("twice", "object.spec.replicas * 2"), ("broken", "object.nope")];
    let composed = composed.map(|(name, source)| (name.to_owned(), compile(source, &kinds).expect("compiles").program));
    let composed = Arc::new(composed.into_iter().collect());
    kinds.insert("variables".to_owned(), Kind::Dyn);
    for (source, expected) in [
        ("object.spec.replicas <= 3", Ok(true)),
        ("variables.twice == 6 && variables.twice != 7", Ok(true)),
        ("object.metadata.namespace == 'ml'", Ok(true)),
        ("object.spec.list.exists(x, x > 2) && !object.spec.list.all(x, x > 2)", Ok(true)),
        ("object.spec.nope == 1", Err("no such key: nope")),
        ("has(object.spec.nope) && variables.broken == 1", Ok(false)),
        ("variables.broken == 1", Err("composited variable \"broken\" fails to evaluate: no such key: nope")),
        ("object.spec.replicas > 'x'", Err("no such overload")),
        ("1 / (object.spec.replicas - 3) == 1", Err("division by zero")),
        ("request.long.all(a, request.long.all(b, request.long.all(c, a + b + c >= 0)))", Err(cost::OVER_LIMIT)),
    ] {
        let expression = compile(source, &kinds).unwrap_or_else(|errors| panic!("{source}: {errors}"));
        let got = Run::new(&Kubernetes, Arc::clone(&composed), cost::BUDGET).with_inputs(&inputs).run(&expression.program);
        let got = got.map(|value| matches!(value, Value::Bool(true)));
        assert_eq!(got, expected.map_err(str::to_owned), "{source}");
    }
}

#[test]
fn names_of_fields_are_escaped() {
    for (name, escaped) in
        [("namespace", "__namespace__"), ("a-b.c/d", "a__dash__b__dot__c__slash__d"), ("x__y", "x__underscores__y"), ("a_b", "a_b")]
    {
        assert_eq!(value::escape(name), escaped);
    }
}

/// Whatever is written, it ends soon, with an error where it would not.
#[test]
fn work_and_depth_are_bounded() {
    let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    // Lists of two that hold the one before twice: small, and endless when they are walked.
    let doubled = |inner: &str| {
        let bindings: String = (1..60).map(|n| format!("cel.bind(x{n}, [x{0}, x{0}], ", n - 1)).collect();
        format!("cel.bind(x0, [1], {bindings}{inner}{}", ")".repeat(60))
    };
    for source in [
        "lists.range(1000000000).size() > 0".to_owned(),
        format!("{}true{}", format!("{ten}.all(a, ").repeat(12), ")".repeat(12)),
        format!("'{}'{}.size() > 0", "a".repeat(1000), ".replace('', 'aaaaaaaaaa')".repeat(8)),
        format!("lists.range(100000).map(x, string(x)).join('{}').size() > 0", "a".repeat(10_000)),
        "lists.range(10000).distinct().size() > 0".to_owned(),
        "'%.99999f'.format([1.5]) == ''".to_owned(),
        doubled("x59 == [x58, x58]"),
        doubled("string(x59) == ''"),
        doubled("x59"),
        "(".repeat(1000) + "1" + &")".repeat(1000),
        "!".repeat(3000) + "true",
        format!("1{}", "+1".repeat(3000)),
        format!("x{}", ".a".repeat(3000)),
    ] {
        let answer = Program::parse(&source).and_then(|program| Run::new(&Kubernetes, Arc::default(), cost::BUDGET).run(&program));
        assert!(answer.is_err(), "{}", &source[..source.len().min(60)]);
    }
    for source in [format!("{}true", "true && ".repeat(2000)), format!("1{} > 0", " + 1".repeat(100))] {
        let answer = Program::parse(&source).and_then(|program| Run::new(&Kubernetes, Arc::default(), cost::BUDGET).run(&program));
        assert!(matches!(answer, Ok(Value::Bool(true))), "{}: {answer:?}", &source[..20]);
    }
}
