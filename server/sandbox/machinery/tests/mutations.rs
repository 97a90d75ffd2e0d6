//! Whatever a learner sends, every reader of it returns: seeds and mutations of them. The functions are those of the fuzz targets.

#[path = "../../../../fuzz/src/apply.rs"]
mod apply;
#[path = "../../../../fuzz/src/decode.rs"]
mod decode;
#[path = "../../../../fuzz/src/input.rs"]
mod input;
#[path = "../../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../../fuzz/src/patches.rs"]
mod patches;
#[path = "../../../../fuzz/src/quantities.rs"]
mod quantities;
#[path = "../../../../fuzz/src/selectors.rs"]
mod selectors;
#[path = "../../../../fuzz/src/tables.rs"]
mod tables;

#[test]
fn no_body_breaks_the_decoder() {
    mutate::hold("decode", 3000, decode::run);
}

#[test]
fn no_patch_breaks_an_object() {
    mutate::hold("patches", 3000, patches::run);
}

#[test]
fn no_configuration_breaks_an_apply() {
    mutate::hold("apply", 2000, apply::run);
}

#[test]
fn no_selector_breaks_its_parser() {
    mutate::hold("selectors", 4000, selectors::run);
}

#[test]
fn no_object_breaks_a_table() {
    mutate::hold("tables", 3000, tables::run);
}

#[test]
fn no_number_breaks_a_quantity() {
    mutate::hold("quantities", 4000, quantities::run);
}
