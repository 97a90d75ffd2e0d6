//! Whatever documents hold, the engine returns, and it returns soon. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/gatekeeper.rs"]
mod gatekeeper_target;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

#[test]
fn no_document_breaks_the_engine() {
    mutate::hold("gatekeeper", 400, gatekeeper_target::run);
}
