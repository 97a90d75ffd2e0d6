//! Table tier: rules files, from Falco's documentation (<https://falco.org/docs/concepts/rules/>): what loads into what, and what is
//! said about what does not.

use expect_test::{Expect, expect};
use falco::{
    Engine,
    fields::Source,
    rules::{File, Loaded, Report, load},
};
use serde_json::json;

fn load_one(text: &str, sources: &[Source]) -> (Option<Loaded>, Report) {
    let (loaded, mut reports) = load(&[File { name: "rules.yaml", text }], sources);
    (loaded, reports.remove(0))
}

/// Codes with their messages, and the compiled rules.
fn outcome(text: &str) -> String {
    let (loaded, report) = load_one(text, &[Source::Syscall]);
    let errors = report.errors.iter().map(|problem| format!("{} {}", problem.code.as_str(), problem.message));
    let warnings = report.warnings.iter().map(|problem| format!("{} {}", problem.code.as_str(), problem.message));
    let rules = loaded.iter().flat_map(|loaded| &loaded.rules).map(|rule| {
        let off = if rule.enabled { "" } else { " (disabled)" };
        format!("{}{off}: {} | {} | {}", rule.name, rule.condition, rule.output, rule.priority.as_str())
    });
    errors.chain(warnings).chain(rules).collect::<Vec<_>>().join("\n")
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&outcome(text));
}

const RULE: &str = "
- rule: r
  desc: d
  condition: evt.type = open
  output: o %proc.name
  priority: INFO
";

#[test]
fn items_are_put_together() {
    check(
        "
- list: shells
  items: [bash, zsh]
- list: names
  items: [shells, 'two words', cat]
- macro: opened
  condition: evt.type in (open, openat)
- macro: opened
  condition: or evt.type = openat2
  override: {condition: append}
- rule: r
  desc: d
  condition: opened and proc.name in (names)
  output: o %proc.name
  priority: warn
",
        &expect![[
            r#"r: ((evt.type in (open, openat) or evt.type = openat2) and proc.name in (bash, zsh, "two words", cat)) | o %proc.name | Warning"#
        ]],
    );
}

#[test]
fn later_items_change_earlier_ones() {
    let append =
        format!("{RULE}- rule: r\n  condition: and proc.name = cat\n  output: more\n  override: {{condition: append, output: append}}\n");
    check(&append, &expect!["r: (evt.type = open and proc.name = cat) | o %proc.name more | Informational"]);
    let replace = format!(
        "{RULE}- rule: r\n  condition: evt.type = close\n  priority: CRITICAL\n  enabled: false\n  override: {{condition: replace, priority: replace, enabled: replace}}\n"
    );
    check(&replace, &expect!["r (disabled): evt.type = close | o %proc.name | Critical"]);
    check(
        &format!("{RULE}- rule: r\n  condition: and proc.name = cat\n  append: true\n"),
        &expect![[r"
            LOAD_DEPRECATED_ITEM 'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.
            r: (evt.type = open and proc.name = cat) | o %proc.name | Informational"]],
    );
    check(
        &format!("{RULE}- rule: r\n  priority: ERROR\n  condition: and proc.name = cat\n  override: {{condition: append}}\n"),
        &expect!["LOAD_ERR_YAML_VALIDATE Unexpected key 'priority': no corresponding entry under 'override' is defined."],
    );
    check(
        &format!("{RULE}- rule: r\n  override: {{enabled: replace}}\n"),
        &expect!["LOAD_ERR_YAML_VALIDATE An replace override for 'enabled' was specified but 'enabled' is not defined"],
    );
    check(
        &format!("{RULE}- rule: r\n  source: k8s_audit\n  override: {{source: replace}}\n"),
        &expect!["LOAD_ERR_YAML_VALIDATE Key 'source' cannot be replaced"],
    );
    check(
        &format!("{RULE}- rule: r\n  priority: ERROR\n  override: {{priority: append}}\n"),
        &expect!["LOAD_ERR_YAML_VALIDATE Key 'priority' cannot be appended to, use 'replace' instead"],
    );
    check(
        "- rule: r\n  condition: and proc.name = cat\n  override: {condition: append}\n",
        &expect!["LOAD_ERR_VALIDATE Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists"],
    );
}

#[test]
fn exceptions_become_conditions() {
    let with = |exceptions: &str| outcome(&format!("{RULE}  exceptions:\n{exceptions}"));
    let table: &[(&str, &str)] = &[
        ("  - {name: e, fields: proc.name, values: [cat, 'a b']}", "(evt.type = open and not proc.name in (cat, \"a b\"))"),
        (
            "  - {name: e, fields: [proc.name, fd.name], comps: [in, startswith], values: [[[cat, ls], /etc], [tac, /var]]}",
            "(evt.type = open and not ((proc.name in (cat, ls) and fd.name startswith /etc) or (proc.name in (tac) and fd.name startswith /var)))",
        ),
        ("  - {name: e, fields: [proc.name], values: [[cat]]}", "(evt.type = open and not proc.name = cat)"),
        (
            "  - {name: e, fields: [proc.name], comps: [' startswith  oneof '], values: [[sshd]]}",
            "(evt.type = open and not proc.name startswith oneof (sshd))",
        ),
        ("  - {name: e, fields: [tolower(proc.name)], values: [[cat]]}", "(evt.type = open and not tolower(proc.name) = cat)"),
        ("  - {name: e, fields: [proc.name]}", "evt.type = open"),
    ];
    for (exceptions, condition) in table {
        assert_eq!(with(exceptions), format!("r: {condition} | o %proc.name | Informational"), "{exceptions}");
    }
    let refused: &[(&str, &str)] = &[
        ("  - {name: e}", "LOAD_ERR_YAML_VALIDATE Item has no mapping for key 'fields'"),
        ("  - {fields: proc.name}", "LOAD_ERR_YAML_VALIDATE Item has no mapping for key 'name'"),
        ("  - {name: e, fields: [proc.nobody]}", "LOAD_ERR_VALIDATE 'proc.nobody' is not a supported filter field"),
        ("  - {name: e, fields: [proc.name, fd.name], comps: [=]}", "LOAD_ERR_VALIDATE Fields and comps lists must have equal length"),
        ("  - {name: e, fields: [proc.name], comps: [like]}", "LOAD_ERR_VALIDATE 'like' is not a supported comparison operator"),
        ("  - {name: e, fields: [proc.name], values: [[a, b]]}", "LOAD_ERR_VALIDATE Fields and values lists must have equal length"),
        (
            "  - {name: e, fields: proc.name, comps: startswith}",
            "LOAD_ERR_VALIDATE When fields is a single value, comps must be one of (in, pmatch, intersects) or a modifier operator (e.g. \
             startswith oneof)",
        ),
        ("  - {name: e, fields: proc.name, values: [[a]]}", "LOAD_ERR_VALIDATE Expected values array to contain a list of strings"),
    ];
    for (exceptions, message) in refused {
        assert_eq!(with(exceptions), *message, "{exceptions}");
    }
}

#[test]
fn what_does_not_load_is_said() {
    let table: &[(&str, &str)] = &[
        ("text", "LOAD_ERR_YAML_VALIDATE Rules content is not yaml"),
        ("a: b", "LOAD_ERR_YAML_VALIDATE Rules content is not yaml array of objects"),
        ("- text", "LOAD_ERR_YAML_VALIDATE Unexpected element type. Each element should be a yaml associative array."),
        ("- list:", "LOAD_ERR_YAML_VALIDATE Mapping for key 'list' is empty"),
        ("- list: a", "LOAD_ERR_YAML_VALIDATE Item has no mapping for key 'items'"),
        ("- list: a\n  items: b", "LOAD_ERR_YAML_VALIDATE Value is not a sequence"),
        ("- macro: m\n  condition: [a]", "LOAD_ERR_YAML_VALIDATE Value is not a scalar value"),
        ("- macro: m\n  condition: nothing", "LOAD_ERR_VALIDATE Undefined macro 'nothing' used in filter."),
        (
            "- macro: m\n  condition: evt.type =",
            "LOAD_ERR_COMPILE_CONDITION expected a string value or a field with a valid transformer: 'val', 'tolower', 'toupper', 'b64', 'basename', 'len', 'join', 'concat', 'getopt'",
        ),
        (
            "- macro: m\n  condition: or evt.type = open\n  override: {condition: append}",
            "LOAD_ERR_VALIDATE Macro uses 'append' or 'override.condition: append' but no macro by that name already exists",
        ),
        (
            "- rule: r\n  desc: d\n  condition: evt.type = open\n  priority: INFO",
            "LOAD_ERR_YAML_VALIDATE Item has no mapping for key 'output'",
        ),
        ("- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: LOW", "LOAD_ERR_YAML_VALIDATE Invalid priority"),
        (
            "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: '%proc.nobody'\n  priority: INFO",
            "LOAD_ERR_COMPILE_OUTPUT invalid formatting token proc.nobody",
        ),
        (
            "- rule: r\n  desc: d\n  condition: proc.nobody = a\n  output: o\n  priority: INFO",
            "LOAD_ERR_COMPILE_CONDITION filter_check called with nonexistent field proc.nobody",
        ),
        (
            "- rule: r\n  desc: d\n  condition: evt.type = opne\n  output: o\n  priority: INFO",
            "LOAD_ERR_COMPILE_CONDITION unknown event type opne",
        ),
        (
            "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n  enabled: 2",
            "LOAD_ERR_YAML_VALIDATE Can't decode YAML scalar value",
        ),
        (
            "- rule: r\n  enabled: false",
            "LOAD_DEPRECATED_ITEM The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: replace').",
        ),
        ("- required_engine_version: 9.0.0", "LOAD_ERR_VALIDATE Rules require engine version 9.0.0, but engine version is 0.62.0"),
        (
            "- required_engine_version: seven",
            "LOAD_ERR_YAML_VALIDATE Unable to parse engine version 'seven' as a semver string. Expected \"x.y.z\" semver format.",
        ),
        ("- required_plugin_versions: [{name: json}]", "LOAD_ERR_YAML_VALIDATE Item has no mapping for key 'version'"),
        ("- required_plugin_versions: [{name: json, version: x}]", "LOAD_ERR_VALIDATE Invalid required version 'x' for plugin 'json'"),
    ];
    for (text, message) in table {
        let (_, report) = load_one(text, &[Source::Syscall]);
        let found: Vec<String> = report.errors.iter().map(|problem| format!("{} {}", problem.code.as_str(), problem.message)).collect();
        let warned: Vec<String> = report.warnings.iter().map(|problem| format!("{} {}", problem.code.as_str(), problem.message)).collect();
        assert!(found.iter().chain(&warned).any(|line| line == message), "{text}\n{found:?}\n{warned:?}");
        assert!(!report.is_successful(), "{text}");
    }
}

#[test]
fn what_looks_wrong_is_pointed_out() {
    let rule =
        |condition: &str, more: &str| format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n{more}");
    let table: &[(String, &[&str])] = &[
        (rule("evt.type = open", "  priorty: HIGH\n"), &["LOAD_UNKNOWN_KEY"]),
        (rule("proc.name = cat", ""), &["LOAD_NO_EVTTYPE"]),
        (rule("proc.name = cat", "  warn_evttypes: false\n"), &[]),
        (rule("evt.type = open and evt.dir = <", ""), &["LOAD_DEPRECATED_ITEM"]),
        (rule("evt.type = open and proc.name = proc.pname", ""), &["LOAD_COMPILE_CONDITION"]),
        (rule("evt.type = open and proc.nobody = cat", "  skip-if-unknown-filter: true\n"), &["LOAD_UNKNOWN_FILTER"]),
        (rule("ka.verb = create", "  source: k8s_audit\n"), &["LOAD_UNKNOWN_SOURCE"]),
        ("- list: 'two words'\n  items: []\n".to_owned(), &["LOAD_INVALID_LIST_NAME", "LOAD_UNUSED_LIST"]),
        ("- macro: 'two words'\n  condition: evt.type = open\n".to_owned(), &["LOAD_INVALID_MACRO_NAME", "LOAD_UNUSED_MACRO"]),
        ("- plugins: []\n".to_owned(), &["LOAD_UNKNOWN_ITEM"]),
    ];
    for (text, codes) in table {
        let (loaded, report) = load_one(text, &[Source::Syscall]);
        let found: Vec<&str> = report.warnings.iter().map(|problem| problem.code.as_str()).collect();
        assert_eq!(found, *codes, "{text}");
        assert!(loaded.is_some(), "{text}");
    }
    let audit = rule("ka.verb = <NA>", "  source: k8s_audit\n");
    let (_, report) = load_one(&audit, &Source::ALL);
    assert_eq!(report.warnings.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["LOAD_UNSAFE_NA_CHECK"]);
}

#[test]
fn a_report_leads_to_the_place() {
    let text = "- rule: r\n  desc: d\n  condition: evt.type = open and proc.nobody = cat\n  output: o\n  priority: INFO\n";
    let (_, report) = load_one(text, &[Source::Syscall]);
    expect![[r#"
        rules.yaml: Invalid
        1 Errors:
        In rules content: (rules.yaml:0:0)
            rule 'r': (rules.yaml:0:2)
            rule condition: (rules.yaml:2:13)
            condition expression: ("evt.type = open a...":3:34)
        ------
        evt.type = open and proc.nobody = cat
                                            ^
        ------
        LOAD_ERR_COMPILE_CONDITION (Error compiling condition): filter_check called with nonexistent field proc.nobody
    "#]]
    .assert_eq(&report.to_text(text));
}

#[test]
fn comments_are_passed_over() {
    let text = "# SPDX\n- rule: r # a name\n  # between keys\n  desc:\n    # between a key and its value\n    d\n  condition: evt.type = open\n  \
                output: o\n  tags: [a, # within\n    b]\n  priority: INFO\n# the end\n";
    let (loaded, report) = load_one(text, &[Source::Syscall]);
    assert!(report.is_successful(), "{}", report.to_text(text));
    assert_eq!(loaded.map(|loaded| loaded.rules[0].tags.len()), Some(2));
}

#[test]
fn several_files_are_one_set_of_rules() {
    let files = [
        File {
            name: "a.yaml",
            text: "- list: l\n  items: [cat]\n- rule: r\n  desc: d\n  condition: evt.type = open and proc.name in (l)\n  output: o\n  priority: INFO\n",
        },
        File { name: "b.yaml", text: "- list: l\n  items: [tac]\n  override: {items: append}\n" },
    ];
    let (loaded, reports) = load(&files, &[Source::Syscall]);
    assert_eq!(
        loaded.map(|loaded| loaded.rules[0].condition.to_string()).as_deref(),
        Some("(evt.type = open and proc.name in (cat, tac))")
    );
    assert_eq!(reports.len(), 2);
    let broken = [File { name: "a.yaml", text: "- list: l" }, files[1]];
    assert_eq!(load(&broken, &[Source::Syscall]).1.len(), 1, "the first file that does not load ends it");
}

#[test]
fn rules_see_the_events_of_their_source() {
    let text = format!(
        "{RULE}- rule: audit\n  desc: d\n  condition: ka.verb = create and ka.target.resource = pods\n  output: user=%ka.user.name\n  priority: WARNING\n  source: k8s_audit\n"
    );
    let (loaded, report) = load_one(&text, &Source::ALL);
    let engine = Engine::new(&loaded.unwrap_or_else(|| panic!("{}", report.to_text(&text)))).expect("an engine");
    let fired = |event| engine.run(&event).into_iter().map(|alert| (alert.rule, alert.output)).collect::<Vec<_>>();
    let pair = |rule: &str, output: &str| vec![(rule.to_owned(), output.to_owned())];
    assert_eq!(fired(json!({"evt.type": "open", "proc.name": "cat"})), pair("r", "o cat"));
    assert_eq!(
        fired(json!({"fields": {"ka.verb": "create", "ka.target.resource": "pods", "ka.user.name": "ada"}})),
        pair("audit", "user=ada")
    );
    assert_eq!(fired(json!({"evt.source": "k8s_audit", "evt.type": "open"})), Vec::new());
    assert_eq!(fired(json!({"evt.type": "close"})), Vec::new());
}
