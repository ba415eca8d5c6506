//! The command `leaktrace`.

use std::process::ExitCode;

use leak_user::{cli::Cli, commands, kernel::raise_descriptor_limit};

fn main() -> ExitCode {
    let cli = match Cli::from_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_logging(cli.verbose);
    raise_descriptor_limit();
    commands::run(&cli)
}

/// Logs go to standard error; the programs' own come through the `log` facade, which
/// `init` connects.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug,aya=info,aya_obj=info",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("LEAKTRACE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
