//! Whatever a rules file, a condition or an output holds, the engine returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/falco.rs"]
mod engine;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

use falco::{
    Schema, compile,
    fields::Source,
    rules::{File, load},
    syntax::parse,
};

#[test]
fn the_seeds_say_something() {
    let text = include_str!("../../../fuzz/seeds/falco/rules.yaml");
    let (loaded, reports) = load(&[File { name: "rules.yaml", text }], &Source::ALL);
    assert!(loaded.is_some(), "{}", reports[0].to_text(text));
    for condition in [
        include_str!("../../../fuzz/seeds/falco/condition-operators"),
        include_str!("../../../fuzz/seeds/falco/condition-transformers"),
        include_str!("../../../fuzz/seeds/falco/condition-getopt"),
        include_str!("../../../fuzz/seeds/falco/condition-regex"),
    ] {
        let expr = parse(condition).unwrap_or_else(|error| panic!("{condition}: {error}"));
        compile(&expr, Source::Syscall, &mut Schema::default()).unwrap_or_else(|error| panic!("{condition}: {error}"));
    }
}

#[test]
fn no_text_breaks_the_engine() {
    mutate::hold("falco", 1500, engine::run);
}
