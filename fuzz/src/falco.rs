//! Falco: a rules file, a condition or an output, whichever the bytes are taken for.

use ::falco::{
    Engine, Format, Schema, compile,
    fields::Source,
    fields_of,
    rules::{File, load},
    syntax::parse,
};
use serde_json::json;

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let event = json!({"evt.type": "open", "evt.is_open_read": true, "fd.num": 3, "fd.name": "/etc/shadow", "fd.types": [],
        "proc.name": "a", "proc.args": "-t x", "user.uid": 0});
    let fields = fields_of(&event).expect("fields");
    let (loaded, reports) = load(&[File { name: "rules.yaml", text: &text }], &Source::ALL);
    for report in &reports {
        let _ = (report.to_text(&text), report.to_json(&text));
    }
    if let Some(loaded) = loaded {
        let engine = Engine::new(&loaded).expect("rules that load are ready to run");
        engine.run(&event);
    }
    let _ = Format::new(&text, Source::Syscall, &mut Schema::default());
    let Ok(condition) = parse(&text) else { return };
    let _ = condition.to_string();
    let mut schema = Schema::default();
    if let Ok((filter, _)) = compile(&condition, Source::Syscall, &mut schema) {
        filter.matches(&schema.decode(fields));
    }
}
