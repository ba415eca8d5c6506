//! The command line: types that clap fills, and the checks that need no more
//! than the arguments themselves. Nothing here looks at the system or does work.

pub mod exit_code;
mod help;
mod options;
mod recording;
mod values;

use std::ffi::OsString;

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

pub use options::{
    AdviceOptions, BuildServer, Completions, Diff, Doctor, FailOn, Failing, Man, ReportOptions,
    Run, Selection, Trace, TraceOptions,
};
pub use recording::{Record, Report, Verify};
pub use values::KindChoice;

use leak_common::limits::MAX_COMMS;

use crate::output::{Color, formats::Medium};

/// The whole command line.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(
    name = "leaktrace",
    version,
    about = help::ABOUT,
    long_about = help::LONG_ABOUT,
    after_help = help::TOP_SHORT,
    after_long_help = help::TOP,
    arg_required_else_help = true,
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Colour the output; `auto` obeys NO_COLOR
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        display_order = 90,
        help_heading = help::MESSAGES
    )]
    pub color: Color,

    /// Log more to standard error; -vv logs still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 91,
          help_heading = help::MESSAGES)]
    pub verbose: u8,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    Trace(Trace),
    Run(Run),
    Record(Box<Record>),
    Report(Report),
    Verify(Verify),
    Diff(Diff),
    Doctor(Doctor),
    Completions(Completions),
    Man(Man),
}

impl Cli {
    /// Parses and checks arguments, the first of which is the program's name.
    ///
    /// # Errors
    ///
    /// On wrong usage, and where help or the version was asked for:
    /// [`clap::Error::exit`] prints either and ends with the right code.
    pub fn from_args<I, T>(args: I) -> Result<Cli, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(args).map_err(with_tip)?;
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        match cli.contradiction() {
            None => Ok(cli),
            Some((kind, message)) => {
                let name = match cli.command {
                    Command::Trace(_) => "trace",
                    Command::Run(_) => "run",
                    Command::Diff(_) => "diff",
                    Command::Record(_) => "record",
                    Command::Report(_) => "report",
                    Command::Verify(_) => "verify",
                    Command::Doctor(_) => "doctor",
                    Command::Completions(_) => "completions",
                    Command::Man(_) => "man",
                };
                let subcommand = command
                    .find_subcommand_mut(name)
                    .expect("the name of a subcommand that was just parsed");
                Err(subcommand.error(kind, message))
            }
        }
    }

    /// Which arguments contradict each other, although each is valid alone.
    fn contradiction(&self) -> Option<(ErrorKind, String)> {
        if let Some(contradiction) = self.tables_without_directory() {
            return Some(contradiction);
        }
        let options = match &self.command {
            Command::Trace(trace) => {
                if let Some(contradiction) = trace.options.contradiction(Failing::default()) {
                    return Some(contradiction);
                }
                &trace.options.selection
            }
            Command::Run(run) => {
                if let Some(contradiction) = run.options.contradiction(run.failing) {
                    return Some(contradiction);
                }
                &run.options.selection
            }
            Command::Record(record) => {
                if let Some(contradiction) = record.contradiction() {
                    return Some(contradiction);
                }
                &record.selection
            }
            Command::Report(report) => return report.contradiction(),
            Command::Verify(_)
            | Command::Diff(_)
            | Command::Doctor(_)
            | Command::Completions(_)
            | Command::Man(_) => return None,
        };
        if options.comms.len() > MAX_COMMS {
            return Some((
                ErrorKind::TooManyValues,
                format!(
                    "--comm was given {} times, at most {MAX_COMMS} are allowed",
                    options.comms.len()
                ),
            ));
        }
        match options.duration {
            Some(duration) if options.interval_given() > Some(duration) => Some((
                ErrorKind::ArgumentConflict,
                "--interval is longer than --duration: no interval would be complete".to_owned(),
            )),
            _ => None,
        }
    }

    fn tables_without_directory(&self) -> Option<(ErrorKind, String)> {
        let report = match &self.command {
            Command::Trace(trace) => &trace.options.report,
            Command::Run(run) => &run.options.report,
            Command::Report(report) => &report.report,
            Command::Record(_)
            | Command::Verify(_)
            | Command::Diff(_)
            | Command::Doctor(_)
            | Command::Completions(_)
            | Command::Man(_) => return None,
        };
        (report.format.medium == Medium::Directory && report.output.is_none()).then(|| {
            (
                ErrorKind::MissingRequiredArgument,
                format!(
                    "-f {} writes into a directory: name it with -o DIRECTORY",
                    report.format.name
                ),
            )
        })
    }
}

/// Says what was meant where that is likely: a number alone is a process.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let given = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(given)) if error.kind() == ErrorKind::UnknownArgument => given,
        _ => return error,
    };
    if values::pid(given).is_ok() {
        let tip = format!("to trace the process {given}, use '-p {given}'");
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![StyledStr::from(tip)]),
        );
    }
    error
}

/// The completion script for a shell, to be written to standard output.
#[must_use]
pub fn completion_script(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "leaktrace", &mut script);
    script
}

/// The manual pages, section 1, with their files' names: one for leaktrace and one for each of its commands.
#[must_use]
pub fn manual_pages() -> Vec<(String, Vec<u8>)> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    commands
        .map(|command| {
            let page = clap_mangen::Man::new(command.clone());
            let name = page.get_filename();
            let mut text = Vec::new();
            page.render(&mut text).expect("memory takes all");
            (name, text)
        })
        .collect()
}

#[cfg(test)]
mod tests;
