//! Whatever a manifest holds, the engine returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/src/network_policy.rs"]
mod network_policy;

#[test]
fn no_policy_breaks_the_engine() {
    mutate::hold("network_policy", 4000, network_policy::run);
}
