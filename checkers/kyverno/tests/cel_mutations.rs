//! Whatever policies in CEL and objects hold, judging returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/cel_policies.rs"]
mod cel_policies;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

#[test]
fn no_policy_in_cel_breaks_the_engine() {
    mutate::hold("cel_policies", 1500, cel_policies::run);
}
