//! The commands, one per file. Each puts together from the other modules what the command line asks for.

mod completions;
mod diff;
mod doctor;
mod man;
mod messages;
mod plan;
mod record;
mod recordings;
mod report;
mod trace;
mod traced;
mod verify;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command, FailOn, exit_code},
    kernel::LoadError,
    model::{escape::escape, report::Verdict},
    trace::TraceError,
};
use trace::Target;

/// Runs the command that was asked for; errors go to standard error.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Trace(options) => {
            trace::run(cli, &options.options, Target::Running(&options.pids))
        }
        Command::Record(options) => record::run(cli, options),
        Command::Report(options) => report::run(cli, options).map_err(Failure::from),
        Command::Verify(options) => verify::run(options).map_err(Failure::from),
        Command::Run(options) => trace::run(cli, &options.options, Target::Command(options)),
        Command::Diff(options) => diff::run(cli, options),
        Command::Doctor(options) => doctor::run(cli, options),
        Command::Completions(options) => completions::run(options.shell),
        Command::Man(options) => man::run(&options.directory).map_err(Failure::from),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command failed, and with which exit code.
struct Failure {
    code: u8,
    message: String,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure {
            code: exit_code::ERROR,
            message: format!("{error:#}"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure {
            code: exit_code::ERROR,
            message: error.to_string(),
        }
    }
}

impl From<TraceError> for Failure {
    fn from(error: TraceError) -> Failure {
        let code = match &error {
            TraceError::Load(LoadError::Privilege(_)) => exit_code::PRIVILEGE,
            TraceError::Load(LoadError::Kernel(_)) => exit_code::KERNEL,
            TraceError::Load(_) | TraceError::Other(_) => exit_code::ERROR,
            TraceError::Command { code, .. } => *code,
            TraceError::Aborted => 130,
        };
        Failure {
            code,
            message: error.to_string(),
        }
    }
}

/// Writes a message to standard error. It may quote what traced programs wrote, which is escaped; lines of our own stay
/// lines.
fn complain(message: &str) {
    let lines: Vec<String> = message.lines().map(escape).collect();
    eprintln!("leaktrace: {}", lines.join("\n"));
}

fn fails(fail_on: Option<FailOn>, worst: Option<Verdict>) -> bool {
    match (fail_on, worst) {
        (Some(FailOn::Leak), Some(worst)) => worst <= Verdict::Leak,
        (Some(FailOn::Suspect), Some(worst)) => worst <= Verdict::Suspect,
        (None, _) | (_, None) => false,
    }
}
