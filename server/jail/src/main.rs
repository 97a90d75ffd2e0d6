//! What the suites of this crate start jails with: the very subcommands that `cordon` offers under `jail-…`. A suite cannot offer them
//! itself, as its arguments are the test runner's, and `cordon` would put everything else between an attack and its answer.

fn main() -> std::process::ExitCode {
    jail::command::run(std::env::args_os().skip(1).collect())
}
