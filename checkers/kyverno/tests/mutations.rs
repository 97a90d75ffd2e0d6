//! Whatever a policy, an object or the evidence holds, the engine returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/kyverno.rs"]
mod kyverno_target;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

#[test]
fn no_policy_breaks_the_engine() {
    mutate::hold("kyverno", 4000, kyverno_target::run);
}
