//! Whatever a manifest holds, the engine returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/src/pod_security.rs"]
mod pod_security;

#[test]
fn no_pod_breaks_the_engine() {
    mutate::hold("pod_security", 4000, pod_security::run);
}
