//! Tells cargo that the bundled pages belong to this crate. Bundling itself is the Makefile's work: a build runs no npm.

fn main() {
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=../templates");
}
