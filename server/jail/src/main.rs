//! The jail's own helper program, for its tests: the very subcommands that the `cordon` binary offers under `jail-…`.

fn main() -> std::process::ExitCode {
    jail::command::run(std::env::args_os().skip(1).collect())
}
