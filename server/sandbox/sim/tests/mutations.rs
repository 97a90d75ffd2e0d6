//! Whatever a learner types, the shell and its commands return. The functions are those of the fuzz targets.

#[path = "../../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../../fuzz/src/shell.rs"]
mod shell;

#[test]
fn no_script_breaks_the_shell() {
    mutate::hold("shell", 500, shell::run);
}
