use super::{arithmetic, glob, parser::parse, syntax::SyntaxError};
use std::collections::BTreeMap;

#[test]
fn arithmetic_is_cs() {
    let variables = BTreeMap::from([("x".to_owned(), "7".to_owned())]);
    for (text, expected) in [
        ("1 + 2 * 3", Ok(7)),
        ("(1 + 2) * 3", Ok(9)),
        ("x % 4 << 2", Ok(12)),
        ("x > 6 && y == 0 ? 10 : 20", Ok(10)),
        ("-x", Ok(-7)),
        ("0x10 + 010", Ok(24)),
        ("9223372036854775807 + 1", Ok(i64::MIN)),
        ("1 / 0", Err("divide by zero")),
        ("1 +", Err("arithmetic syntax error")),
        ("2 3", Err("arithmetic syntax error")),
    ] {
        assert_eq!(arithmetic::evaluate(text, &variables), expected.map_err(str::to_owned), "{text}");
    }
    assert!(arithmetic::evaluate(&"(".repeat(10_000), &variables).is_err());
    assert!(arithmetic::evaluate(&"-".repeat(10_000), &variables).is_err());
}

#[test]
fn patterns_match_whole_texts() {
    for (pattern, text, expected) in [
        ("*.rs", "lib.rs", true),
        ("*.rs", "lib.rsx", false),
        ("a?c", "abc", true),
        ("[a-c]*", "bx", true),
        ("[!a-c]*", "bx", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("*a*b*c", "xxaxxbxxc", true),
        ("", "", true),
    ] {
        assert_eq!(glob::matches(pattern, text), expected, "{pattern} {text}");
    }
    assert!(!glob::matches(&"*a".repeat(200), &"a".repeat(199)));
}

#[test]
fn no_script_breaks_the_parser() {
    for text in [
        "(",
        "if",
        "if true; then",
        "for",
        "for x in",
        "case x in",
        "a |",
        "a &&",
        "{",
        "$(",
        "${",
        "$((",
        "`",
        "\"",
        "'",
        "<<E",
        "while",
        "f() {",
    ] {
        assert!(matches!(parse(text), Err(SyntaxError::Incomplete(_) | SyntaxError::Unexpected(_))), "{text:?}");
    }
    for text in [")", ";;", "fi", "done", "| a", "&& a", "then", "a ( b", "for 1", "${}", "> ", "<&"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    for text in ["", "#c", "a;b", "a&b", "a\n\nb", "x=1", "\u{1F600}", "a>b<c", "$", "$'", "a # b"] {
        let _ = parse(text);
    }
    assert!(parse(&"(".repeat(5_000)).is_err());
    assert!(parse(&"{ ".repeat(5_000)).is_err());
    assert!(parse(&"$(".repeat(5_000)).is_err());
    assert!(parse(&"if ".repeat(5_000)).is_err());
}
