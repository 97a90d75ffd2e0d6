//! Whatever a manifest holds, the engine returns. The functions are those of the fuzz targets.

#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/src/rbac.rs"]
mod rbac;

#[test]
fn no_role_breaks_the_engine() {
    mutate::hold("rbac", 4000, rbac::run);
}
