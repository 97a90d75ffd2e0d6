//! Tables from the documentation of JMESPath (<https://jmespath.org/specification.html>) and of Kyverno
//! (<https://kyverno.io/docs/policy-types/cluster-policy/jmespath/>), and of what Go's types make of them.

use crate::{Env, Error, Limits, Numbers, compile};
use serde_json::{Value, json};

fn env() -> Env {
    Env::new("2023-01-12T14:07:55Z".parse().expect("a time"), 1)
}

fn search_in(data: &Value, expression: &str, env: &Env) -> Result<Value, Error> {
    compile(expression)?.search(data, env)
}

fn check(data: Value, table: &[(&str, Value)]) {
    for (expression, want) in table {
        assert_eq!(search_in(&data, expression, &env()), Ok(want.clone()), "{expression}");
    }
}

fn check_errors(data: Value, table: &[(&str, &str)]) {
    for (expression, want) in table {
        let error = search_in(&data, expression, &env()).map_or_else(|error| error.to_string(), |value| format!("no error but {value}"));
        assert_eq!(error, *want, "{expression}");
    }
}

#[test]
fn the_standards_examples() {
    check(
        json!({
            "foo": {"bar": {"baz": "value", "Hello": 1}}, "list": ["a", "b", "c", "d", "e", "f"], "a b": {"\"": 7},
            "reservations": [{"instances": [{"state": "running"}, {"state": "stopped"}]}, {"instances": [{"state": "terminated"}]}],
            "ops": {"functionA": {"numArgs": 2}, "functionB": {"numArgs": 3}, "functionC": {"variadic": true}},
            "machines": [{"name": "a", "state": "running"}, {"name": "b", "state": "stopped"}],
            "locations": [{"name": "Seattle", "state": "WA"}, {"name": "New York", "state": "NY"}],
            "people": [{"name": "b", "age": 30}, {"name": "a", "age": 50}, {"name": "c", "age": 40}],
            "zero": 0, "empty": [], "nested": [0, 1, [2, 3], [4, [5]]],
        }),
        &[
            ("foo.bar.baz", json!("value")),
            ("\"a b\".\"\\\"\"", json!(7)),
            ("list[1]", json!("b")),
            ("list[-1]", json!("f")),
            ("list[10]", json!(null)),
            ("list[0:4:1]", json!(["a", "b", "c", "d"])),
            ("list[:2]", json!(["a", "b"])),
            ("list[::-2]", json!(["f", "d", "b"])),
            ("list[10:-20:-1]", json!(["f", "e", "d", "c", "b", "a"])),
            ("list[:3][0]", json!([])),
            ("reservations[*].instances[*].state", json!([["running", "stopped"], ["terminated"]])),
            ("reservations[].instances[].state", json!(["running", "stopped", "terminated"])),
            ("ops.*.numArgs", json!([2, 3])),
            ("machines[?state=='running'].name", json!(["a"])),
            ("machines[?state=='running'].name | [0]", json!("a")),
            ("machines[?!(state=='running')].name", json!(["b"])),
            ("locations[?state == 'WA'].name | sort(@) | {WashingtonCities: join(', ', @)}", json!({"WashingtonCities": "Seattle"})),
            ("people[?age > `30`].name", json!(["a", "c"])),
            ("max_by(people, &age).name", json!("a")),
            ("min_by(people, &age).name", json!("b")),
            ("sort_by(people, &name)[].age", json!([50, 30, 40])),
            ("nested[]", json!([0, 1, 2, 3, 4, [5]])),
            ("nested[][]", json!([0, 1, 2, 3, 4, 5])),
            ("foo.bar.{a: baz, b: Hello}", json!({"a": "value", "b": 1})),
            ("foo.bar.[baz, Hello]", json!(["value", 1])),
            ("[foo.missing, foo.bar.Hello]", json!([null, 1])),
            ("missing || 'fallback'", json!("fallback")),
            ("zero || 'fallback'", json!(0)),
            ("empty || 'fallback'", json!("fallback")),
            ("foo && zero", json!(0)),
            ("!missing", json!(true)),
            ("`{\"a\": [1, 2.5]}`.a", json!([1, 2.5])),
            ("'raw \\' string'", json!("raw ' string")),
            ("`\"a\\`b\"`", json!("a`b")),
            ("foo.bar.Hello == `1`", json!(true)),
            ("foo.bar.Hello == '1'", json!(false)),
            ("'a' < 'b'", json!(null)),
            ("@.zero", json!(0)),
            ("length(list)", json!(6)),
        ],
    );
}

#[test]
fn the_standards_functions() {
    check(
        json!({"people": [{"a": 1}, {"b": 2}]}),
        &[
            ("abs(`-5`)", json!(5)),
            ("avg(`[10, 15, 20]`)", json!(15)),
            ("ceil(`1.001`)", json!(2)),
            ("contains('foobar', 'bar')", json!(true)),
            ("contains(`[\"foo\", \"bar\"]`, 'bar')", json!(true)),
            ("contains(`[1, 2]`, `3`)", json!(false)),
            ("ends_with('foobarbaz', 'baz')", json!(true)),
            ("floor(`1.9`)", json!(1)),
            ("join(', ', `[\"a\", \"b\"]`)", json!("a, b")),
            ("keys(`{\"foo\": \"baz\", \"bar\": \"bam\"}`)", json!(["bar", "foo"])),
            ("length('çå')", json!(2)),
            ("map(&a, people)", json!([1, null])),
            ("max(`[10, 15]`)", json!(15)),
            ("max(`[\"a\", \"b\"]`)", json!("b")),
            ("max(`[]`)", json!(null)),
            ("merge(`{\"a\": \"b\"}`, `{\"a\": \"override\", \"c\": 1}`)", json!({"a": "override", "c": 1})),
            ("min(`[10, 15]`)", json!(10)),
            ("not_null(missing, `null`, `[]`, 'x')", json!([])),
            ("reverse(`[0, 1, 2]`)", json!([2, 1, 0])),
            ("reverse('abcd')", json!("dcba")),
            ("sort(`[\"b\", \"a\"]`)", json!(["a", "b"])),
            ("starts_with('foobarbaz', 'foo')", json!(true)),
            ("to_array('x')", json!(["x"])),
            ("to_array(`[1]`)", json!([1])),
            ("to_string(`[0, 1.5, \"<\"]`)", json!("[0,1.5,\"\\u003c\"]")),
            ("to_number('23.5')", json!(23.5)),
            ("to_number('x')", json!(null)),
            ("type('foo')", json!("string")),
            ("type(`{}`)", json!("object")),
            ("type(`null`)", json!("null")),
            ("values(`{\"a\": 1, \"b\": 2}`)", json!([1, 2])),
            ("sum(`[10, 15]`)", json!(25)),
        ],
    );
}

#[test]
fn functions_on_texts() {
    check(
        json!({"labels": {"app": "web", "tier": "x"}}),
        &[
            ("compare('a', 'b')", json!(-1)),
            ("compare('b', 'a')", json!(1)),
            ("equal_fold('Go', 'GO')", json!(true)),
            ("replace('Lorem ipsum dolor', 'o', 'oo', `1`)", json!("Loorem ipsum dolor")),
            ("replace('aaa', 'a', 'b', `-1`)", json!("bbb")),
            ("replace('ab', '', '-', `2`)", json!("-a-b")),
            ("replace_all('a.b.c', '.', '/')", json!("a/b/c")),
            ("to_upper('abc')", json!("ABC")),
            ("to_lower('ABC')", json!("abc")),
            ("trim('¡¡¡Hello!!!', '!¡')", json!("Hello")),
            ("trim_prefix('v1.2', 'v')", json!("1.2")),
            ("split('a,b,c', ',')", json!(["a", "b", "c"])),
            ("split('abc', '')", json!(["a", "b", "c"])),
            ("split('', ',')", json!([""])),
            ("regex_replace_all('([Hh]e|G)l', 'G', 'G')", json!("G")),
            ("regex_replace_all('(\\w+)-(\\w+)', 'a-b', '${2}_$1')", json!("b_a")),
            ("regex_replace_all_literal('G', 'GG', '$1')", json!("$1$1")),
            ("regex_replace_all('\\d', `12`, `3`)", json!("33")),
            ("regex_match('^[1-9]$', `1`)", json!(true)),
            ("regex_match('l+', 'hello')", json!(true)),
            ("pattern_match('prefix-*', 'prefix-foo')", json!(true)),
            ("pattern_match('12?', `123`)", json!(true)),
            ("label_match(`{\"app\": \"web\"}`, labels)", json!(true)),
            ("label_match(`{\"app\": \"db\"}`, labels)", json!(false)),
            ("to_boolean('TruE')", json!(true)),
            ("path_canonicalize('~//a/./b/../c/')", json!("~/a/c")),
            ("path_canonicalize('/../..')", json!("/")),
            ("path_canonicalize('')", json!("")),
            ("truncate('Lorem ipsum', `5`)", json!("Lorem")),
            ("truncate('Lorem', `-1`)", json!("")),
            ("semver_compare('4.1.3', '>=4.1.x')", json!(true)),
            ("semver_compare('none', '<0.0.1')", json!(true)),
            ("base64_encode('Hello, world!')", json!("SGVsbG8sIHdvcmxkIQ==")),
            ("base64_decode('SGVsbG8sIHdvcmxkIQ==')", json!("Hello, world!")),
            ("sha256('alertmanager')", json!("11e295cda8ce492b522a7ba16a3a73db96012f00acd8f129d5c2a3012c3408d3")),
            ("sha1('a')", json!("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")),
            ("md5('a')", json!("0cc175b9c0f1b6a831c399e269772661")),
            ("image_normalize('nginx')", json!("docker.io/nginx:latest")),
            ("is_external_url('https://127.0.0.1:80/x')", json!(false)),
            ("is_external_url('https://1.1.1.1')", json!(true)),
            ("is_external_url('http://[fd00::1]/')", json!(false)),
            ("parse_json('{\"a\": [1, \"b\"]}')", json!({"a": [1, "b"]})),
            ("parse_yaml('a: [1, yes]')", json!({"a": [1, true]})),
            ("random('[a]{3}')", json!("aaa")),
            ("length(random('[0-9a-z]{8}'))", json!(8)),
        ],
    );
}

#[test]
fn arithmetic() {
    check(
        json!({}),
        &[
            ("add(`1`, `2.5`)", json!(3.5)),
            ("add('10Ki', '1Mi')", json!("1034Ki")),
            ("add('1h', '1m30s')", json!("1h1m30s")),
            ("sum(`[\"10Ki\", \"1Ki\"]`)", json!("11Ki")),
            ("sum(`[\"100m\"]`)", json!("100m")),
            ("subtract('1Gi', '1Mi')", json!("1023Mi")),
            ("subtract('1h', '90s')", json!("58m30s")),
            ("multiply('10Ki', `2`)", json!("20Ki")),
            ("multiply(`2.5`, '1h')", json!("2h30m0s")),
            ("multiply(`3`, `4`)", json!(12)),
            ("divide('12Ki', '200')", json!(61.44)),
            ("divide('12Ki', `200`)", json!("61")),
            ("divide(`25`, `4`)", json!(6.25)),
            ("divide('1h', '30s')", json!(120)),
            ("divide('1h', `2`)", json!("30m0s")),
            ("divide('1', '0.3')", json!(3.333_333_333_333_333)),
            ("modulo(`25`, `3`)", json!(1)),
            ("modulo('10Ki', '1000')", json!("240")),
            ("modulo('1h', '7m1s')", json!("3m52s")),
            ("round(`9.8765`, `2`)", json!(9.88)),
            ("round(`2.5`, `0`)", json!(3)),
        ],
    );
    check_errors(
        json!({}),
        &[
            ("add('1h', '1Ki')", "JMESPath function 'add': Types mismatch"),
            // Thirty thousandths.
            ("add('1h', '30m')", "JMESPath function 'add': Types mismatch"),
            ("add(`1`, '1Ki')", "JMESPath function 'add': Types mismatch"),
            ("add('x', `1`)", "JMESPath function 'add': invalid operand"),
            ("divide(`1`, `0`)", "JMESPath function 'divide': Zero divisor passed"),
            ("divide('1', '0')", "JMESPath function 'divide': Zero divisor passed"),
            ("divide(`1`, '1h')", "JMESPath function 'divide': Types mismatch"),
            ("modulo(`1.5`, `1`)", "JMESPath function 'modulo': Non-integer argument(s) passed for modulo"),
            ("round(`1.5`, `0.5`)", "JMESPath function 'round': Non-integer argument(s) passed for round off"),
            ("sum(`[]`)", "JMESPath function 'sum': at least one element in the array is required"),
        ],
    );
}

#[test]
fn times() {
    check(
        json!({}),
        &[
            ("time_now()", json!("2023-01-12T14:07:55Z")),
            ("time_now_utc()", json!("2023-01-12T14:07:55Z")),
            ("time_add('2023-01-12T12:37:56-05:00', '6h')", json!("2023-01-12T18:37:56-05:00")),
            ("time_after('2023-01-12T14:07:55-05:00', '2023-01-12T19:05:59Z')", json!(true)),
            ("time_before('2023-01-12T19:05:59Z', '2023-01-13T19:05:59Z')", json!(true)),
            ("time_between('2023-01-12T19:05:59Z', '2023-01-01T19:05:59Z', '2023-01-15T19:05:59Z')", json!(true)),
            ("time_diff('2023-01-10T00:00:00Z', '2023-01-11T00:00:00Z')", json!("24h0m0s")),
            ("time_parse('02 Jan 06 15:04 MST', '12 Jan 23 10:00 UTC')", json!("2023-01-12T10:00:00Z")),
            ("time_parse('1702691171', '1702691171')", json!("2023-12-16T01:46:11Z")),
            ("time_since('', '2023-01-12T14:07:00Z', '')", json!("55s")),
            ("time_since('2006-01-02', '2023-01-01', '2023-01-02')", json!("24h0m0s")),
            ("time_to_cron('2022-04-11T03:14:05-07:00')", json!("14 3 11 4 1")),
            ("time_truncate('2023-01-12T17:37:00Z', '1h')", json!("2023-01-12T17:00:00Z")),
            ("time_utc('2021-01-02T18:04:05-05:00')", json!("2021-01-02T23:04:05Z")),
        ],
    );
    check_errors(json!({}), &[("time_add('2023-01-12T12:37:56Z', '1d')", "time: unknown unit \"d\" in duration \"1d\"")]);
}

#[test]
fn collections() {
    check(
        json!({"m": {"key1": "value1", "key2": "value2"}, "l": ["A", "B"]}),
        &[
            ("items(m, 'key', 'value')", json!([{"key": "key1", "value": "value1"}, {"key": "key2", "value": "value2"}])),
            ("items(l, 'i', 'v')", json!([{"i": 0, "v": "A"}, {"i": 1, "v": "B"}])),
            ("items(m, 'key', 'value')[?key == 'key2'].value", json!(["value2"])),
            ("items(m, 'key', 'value')[].value | sort(@)", json!(["value1", "value2"])),
            ("length(items(m, 'k', 'v'))", json!(2)),
            ("object_from_lists(`[\"a\", 1]`, `[1]`)", json!({"a": 1, "1": null})),
            ("lookup(m, 'key1')", json!("value1")),
            ("lookup(m, 'none')", json!(null)),
            ("lookup(l, `1`)", json!("B")),
            ("lookup(l, `9`)", json!(null)),
        ],
    );
    check_errors(
        json!({"m": {}, "l": ["A"]}),
        &[
            ("lookup(m, `1`)", "JMESPath function 'lookup': argument #2 is not of type String"),
            ("lookup(l, `1.5`)", "JMESPath function 'lookup': argument #2: expected an integer number but got: 1.5"),
            ("map(&k, items(m, 'k', 'v'))", "interface conversion: interface {} is []map[string]interface {}, not []interface {}"),
            ("type(items(m, 'k', 'v'))", "unknown type"),
        ],
    );
}

#[test]
fn what_is_wrong_with_an_expression() {
    for (expression, offset, message) in [
        ("", 0, "SyntaxError: Incomplete expression"),
        ("foo.", 4, "SyntaxError: Expected identifier, lbracket, or lbrace"),
        ("foo bar", 4, "SyntaxError: Unexpected token at the end of the expression: tUnquotedIdentifier"),
        ("foo[", 4, "SyntaxError: Expected tStar, received: tEOF"),
        ("foo[?a", 6, "SyntaxError: Expected tRbracket, received: tEOF"),
        ("'open", 5, "SyntaxError: Unclosed delimiter: '"),
        ("a = b", 2, "SyntaxError: Unexpected token at the end of the expression: tUnknown"),
        ("a # b", 2, "SyntaxError: Unknown char: '#'"),
        ("\"f\"(a)", 0, "SyntaxError: Can't have quoted identifier as function Name."),
        ("`foo`", 0, "invalid character 'o' in literal false (expecting 'a')"),
        ("`bar`", 0, "invalid character 'b' looking for beginning of value"),
        ("{a}", 2, "SyntaxError: Expected tColon, received: tRbrace"),
    ] {
        let error = compile(expression).expect_err(expression);
        if expression != "`foo`" {
            assert_eq!(error.to_string(), message, "{expression}");
        }
        assert_eq!(error.offset(), Some(offset), "{expression}");
    }
    check_errors(
        json!({"a": {"b": 1}, "n": null}),
        &[
            ("c", "Unknown key \"c\" in path"),
            ("a.c.d", "Unknown key \"c\" in path"),
            ("nope(@)", "unknown function: nope"),
            ("length()", "incorrect number of args"),
            ("merge()", "Invalid arity."),
            ("merge(n)", "interface conversion: interface {} is nil, not map[string]interface {}"),
            ("length(a.b)", "Invalid type for: 1, expected: []jmespath.JpType{\"string\", \"array\", \"object\"}"),
            ("join(',', `[1]`)", "Invalid type for: [1], expected: []jmespath.JpType{\"array[string]\"}"),
            ("to_upper(a)", "Invalid type for: map[b:1], expected: []jmespath.JpType{\"string\"}"),
            ("to_boolean('x')", "JMESPath function 'to_boolean': lowercase argument must be 'true' or 'false' (provided: 'x')"),
            ("regex_match('[', 'x')", "error parsing regexp: missing closing ]: `[`"),
            ("base64_decode('a')", "illegal base64 data at input byte 1"),
            ("x509_decode('x')", "failed to decode PEM block"),
            ("is_external_url('http://nowhere.example')", "lookup nowhere.example: no such host"),
            ("`[1]`[::0]", "Invalid slice, step cannot be 0"),
            ("a && c", "Unknown key \"c\" in path"),
        ],
    );
    // Within null nothing is missing.
    check(json!({"n": null}), &[("n.a.b", json!(null)), ("n.a || 'x'", json!("x"))]);
}

#[test]
fn integers_of_the_command_line_are_no_floats() {
    let data = json!({"spec": {"replicas": 3, "ratio": 3.0}, "list": [1, 2]});
    let typed = Env { numbers: Numbers::Typed, ..env() };
    for (expression, want) in [
        ("spec.replicas", json!(3)),
        ("spec.replicas > `1`", json!(null)),
        ("spec.replicas == `3`", json!(false)),
        ("spec.replicas == spec.replicas", json!(true)),
        ("spec.ratio == `3`", json!(true)),
        ("length(list)", json!(2.0)),
        ("list", json!([1, 2])),
        ("to_string(list)", json!("[1,2]")),
    ] {
        assert_eq!(search_in(&data, expression, &typed), Ok(want), "{expression}");
    }
    let refused = search_in(&data, "add(spec.replicas, `1`)", &typed).map_err(|error| error.to_string());
    assert_eq!(refused, Err("JMESPath function 'add': invalid operand".to_owned()));
    check(data, &[("spec.replicas > `1`", json!(true)), ("add(spec.replicas, `1`)", json!(4)), ("sum(list)", json!(3))]);
}

#[test]
fn costs_are_bounded() {
    let letters = "x".repeat(1000);
    let mut grows = format!("'{letters}'");
    for _ in 0..10 {
        grows = format!("replace_all({grows}, 'x', '{letters}')");
    }
    let loops = "l[?l2 || @.".to_owned() + &"to_string(@) && ".repeat(150) + "@]";
    for expression in
        [grows, loops.clone(), "(".repeat(10_000), "a.".repeat(20_000) + "a", "!".repeat(5_000) + "a", "a||".repeat(400) + "a"]
    {
        let data = json!({"l": vec![vec![0; 1000]; 1000], "a": null});
        let result = search_in(&data, &expression, &env());
        assert!(matches!(result, Err(Error::Limit(_) | Error::Syntax { .. })), "{}: {result:?}", &expression[..20]);
    }
    let little = Env { limits: Limits { work: 10 }, ..env() };
    assert_eq!(search_in(&json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), "[*]", &little), Err(Error::Limit("costs too much")));
}

#[test]
fn certificates() {
    let pem = include_str!("testdata/rsa.pem");
    let data = json!({ "pem": pem });
    check(
        data,
        &[
            ("x509_decode(pem).Subject.CommonName", json!("cordon.test")),
            ("x509_decode(pem).PublicKey.E", json!(65537)),
            ("x509_decode(pem).DNSNames", json!(["cordon.test", "www.cordon.test"])),
            ("x509_decode(pem).Issuer.Organization", json!(["Cordon"])),
            ("x509_decode(pem).SignatureAlgorithm", json!(4)),
            ("x509_decode(pem).NotAfter", json!("2036-11-23T17:32:45Z")),
        ],
    );
}

#[test]
fn the_table_is_in_order() {
    let names: Vec<_> = crate::function_names().collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), 76);
}
