//! Property tier: no text is too odd. Random bytes, and rules and conditions with pieces cut, doubled and swapped, load or are refused;
//! they never panic, and they never take long.

use falco::{
    Engine, Format, Schema, compile,
    fields::Source,
    fields_of,
    rules::{File, load},
    syntax::parse,
};
use serde_json::json;

/// A small generator (xorshift), so that every run is the same.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

const RULES: &str = "
- required_engine_version: 0.50.0
- required_plugin_versions:
  - {name: k8saudit, version: 0.7.0, alternatives: [{name: other, version: 1.0.0}]}
- list: shells
  items: [bash, sh, \"two words\"]
- list: more
  items: [shells, zsh]
- macro: open_read
  condition: (evt.type in (open, openat) and evt.is_open_read=true and fd.num>=0)
- rule: Read sensitive file
  desc: A rule
  condition: open_read and fd.name startswith /etc and not proc.name in (more) and not proc.aname[2] = sshd
  output: \"File opened (file=%fd.name user=%user.name parent=%proc.aname[2])\"
  priority: WARNING
  tags: [a, b]
  exceptions:
  - {name: known, fields: [proc.name, fd.name], comps: [in, startswith anyof], values: [[[cat, tac], [/etc/a, /etc/b]]]}
  - {name: single, fields: proc.name, values: [cat]}
- rule: Read sensitive file
  condition: and user.uid = 0
  tags: [c]
  override: {condition: append, tags: append}
- rule: Read sensitive file
  enabled: false
---
- macro: open_read
  condition: or evt.type = openat2
  append: true
";

const CONDITIONS: &[&str] = &[
    "evt.type in (open, openat) and not (fd.name glob '/etc/*' or proc.name = \"a \\\" b\")",
    "join(\",\", (proc.name, tolower(fd.name), 'x')) startswith oneof (a, b) or evt.arg.flags contains O_CREAT",
    "getopt((\"-n\", proc.args), \"nt:\")[t] exists and fd.net != 10.0.0.0/8 and evt.buffer bcontains 48545450",
    "proc.name regex '^[a-z]+(x|y){2,3}[[:alpha:]].*$' and len(fd.types) >= 16 and proc.env[PATH] iglob *BIN*",
];

/// One to three changes: a piece is cut out, doubled, put elsewhere, or replaced by an odd one.
fn mutate(text: &str, dice: &mut Dice) -> String {
    const ODD: &[&str] = &[
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "\\",
        ",",
        "%",
        "*",
        "=",
        "!=",
        " not ",
        " in ",
        "and",
        "or ",
        "\n",
        "\t",
        "\0",
        "é",
        "日本",
        ": ",
        "- ",
        "&a ",
        "*a",
        "~",
        "99999999999999999999",
        "-1",
        "|",
        ">",
        "\u{7f}",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(3) {
        let from = dice.below(chars.len());
        let to = (from + dice.below(12)).min(chars.len());
        match dice.below(4) {
            0 => drop(chars.drain(from..to)),
            1 => {
                let piece: Vec<char> = chars[from..to].to_vec();
                chars.splice(from..from, piece);
            }
            2 => {
                let piece: Vec<char> = chars.drain(from..to).collect();
                let at = dice.below(chars.len());
                chars.splice(at..at, piece);
            }
            _ => {
                let odd = ODD[dice.below(ODD.len())];
                chars.splice(from..from, odd.chars());
            }
        }
    }
    chars.into_iter().collect()
}

fn try_rules(text: &str) {
    let (loaded, reports) = load(&[File { name: "rules.yaml", text }], &Source::ALL);
    for report in &reports {
        let _ = (report.to_text(text), report.to_json(text));
    }
    if let Some(loaded) = loaded {
        let engine = Engine::new(&loaded).expect("rules that load are ready to run");
        engine.run(&json!({"evt.type": "open", "evt.is_open_read": true, "fd.num": 3, "fd.name": "/etc/shadow", "user.uid": 0}));
    }
}

fn try_condition(text: &str) {
    let Ok(expr) = parse(text) else { return };
    let _ = expr.to_string();
    let mut schema = Schema::default();
    if let Ok((filter, _)) = compile(&expr, Source::Syscall, &mut schema) {
        let event = json!({"evt.type": "open", "proc.name": "a", "fd.name": "/etc/x", "proc.args": "-t x", "fd.types": []});
        filter.matches(&schema.decode(fields_of(&event).expect("fields")));
    }
}

#[test]
fn the_texts_that_are_mutated_load() {
    let (loaded, reports) = load(&[File { name: "rules.yaml", text: RULES }], &Source::ALL);
    assert!(loaded.is_some(), "{}", reports[0].to_text(RULES));
    for condition in CONDITIONS {
        let expr = parse(condition).unwrap_or_else(|error| panic!("{condition}: {error}"));
        compile(&expr, Source::Syscall, &mut Schema::default()).unwrap_or_else(|error| panic!("{condition}: {error}"));
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..dice.below(120)).map(|_| dice.next() as u8).collect();
        let text = String::from_utf8_lossy(&bytes);
        try_rules(&text);
        try_condition(&text);
        let _ = Format::new(&text, Source::Syscall, &mut Schema::default());
    }
}

#[test]
fn mutated_rules_never_panic() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for _ in 0..600 {
        let text = mutate(RULES, &mut dice);
        try_rules(&text);
    }
}

#[test]
fn mutated_conditions_never_panic() {
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    for round in 0..4_000 {
        let text = mutate(CONDITIONS[round % CONDITIONS.len()], &mut dice);
        try_condition(&text);
        let _ = Format::new(&text, Source::Syscall, &mut Schema::default());
    }
}
