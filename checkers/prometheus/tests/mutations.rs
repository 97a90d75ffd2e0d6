//! Whatever expressions, series, rules and tests hold, the engine returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/src/prometheus.rs"]
mod prometheus_target;

#[test]
fn no_input_breaks_the_engine() {
    mutate::hold("prometheus", 2000, prometheus_target::run);
}
