//! The command `leaktrace`.

use std::{io::Write as _, process::ExitCode, time::Duration};

use leak_user::{
    advice::Advice,
    bpf::{LoadError, raise_descriptor_limit},
    cli::{
        Cli, Command, Diff, DiffFormat, Doctor, DoctorFormat, FailOn, Record, Selection,
        TraceOptions, completion_script, exit_code,
    },
    doctor,
    output::{EventOutput, Output, ReportOutput, Style},
    proc::Proc,
    record::{self, Summary},
    replay::Missing,
    report::{self, doctor::Status, escape::escape, model::Verdict},
    saved,
    trace::{Outcome, Plan, TraceError, trace},
};

mod reading;

fn main() -> ExitCode {
    let cli = match Cli::from_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_logging(cli.verbose);
    raise_descriptor_limit();
    let result = match &cli.command {
        Command::Trace(options) => {
            trace_command(&cli, &options.options, Target::Running(&options.pids))
        }
        Command::Record(options) => record_command(&cli, options),
        Command::Report(options) => reading::report_command(&cli, options).map_err(Failure::from),
        Command::Verify(options) => reading::verify_command(options).map_err(Failure::from),
        Command::Run(options) => trace_command(
            &cli,
            &options.options,
            Target::Command(&options.command, options.fail_on),
        ),
        Command::Diff(options) => diff_command(&cli, options),
        Command::Doctor(options) => doctor_command(&cli, options),
        Command::Completions(options) => completions(options.shell),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("leaktrace: {}", escape_lines(&failure.message));
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

/// Messages quote what others wrote; lines of our own stay lines.
fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
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

/// What is traced.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// Running processes: these, or all.
    Running(&'a [u32]),
    /// A command, and what makes it fail.
    Command(&'a [std::ffi::OsString], Option<FailOn>),
}

fn trace_command(cli: &Cli, options: &TraceOptions, target: Target<'_>) -> Result<u8, Failure> {
    let host = Proc::default().host_facts().hostname;
    // Before anything is traced: a place that can not be written is told at once.
    let (format, path) = (options.looks.format, options.looks.output.as_deref());
    let (output, events) = match options.events {
        true => (None, Some(EventOutput::open(format, path, &host)?)),
        false => (Some(ReportOutput::open(format, path, &host)?), None),
    };
    let advice = Advice::read(&options.looks.advice)?;
    let (pids, command, fail_on) = match target {
        Target::Running(pids) => (pids.to_vec(), Vec::new(), None),
        Target::Command(command, fail_on) => (Vec::new(), command.to_vec(), fail_on),
    };
    let is_shown = events.as_ref().is_some_and(EventOutput::is_terminal);
    let plan = Plan {
        all_events: options.all_events,
        // A line that is kept up to date would be torn by those of the events.
        progress: cli.verbose == 0 && !is_shown,
        record: options.record.as_ref().map(|path| record::Plan {
            path: path.clone(),
            host,
            max_size: None,
            rotate: None,
            keep: None,
            past: None,
            redact: false,
        }),
        ..plan(cli, &options.selection, pids, command)
    };
    let runtime = runtime()?;
    let mut outcome = runtime.block_on(trace(&plan, events))?;
    let mut recorded = outcome.events.take().is_none_or(told_events);
    advice.apply(&mut outcome.report);
    let worst = outcome.report.worst();
    if let Some(age) = options.looks.min_age() {
        outcome.report.drop_young_steady(age.as_secs_f64());
    }
    let style = Style {
        color: cli.color,
        top: options.looks.top,
        show_steady: options.looks.all,
    };
    if let Some(output) = output {
        output.write(&outcome.report, style)?;
    }
    if let Some(summary) = &outcome.recording {
        recorded &= told(summary, false);
    }
    let code = end(runtime, &mut outcome)?;
    Ok(match (fails(fail_on, worst), recorded) {
        (true, _) => exit_code::LEAKS,
        (false, true) => code.unwrap_or(exit_code::FINE),
        (false, false) => exit_code::ERROR,
    })
}

fn record_command(cli: &Cli, options: &Record) -> Result<u8, Failure> {
    let plan = Plan {
        all_events: options.all_events,
        record: Some(record::Plan {
            path: options.output.clone(),
            host: Proc::default().host_facts().hostname,
            max_size: options.max_size,
            rotate: options.rotate,
            keep: options.keep,
            past: options.on_trigger.as_ref().map(|_| options.past),
            redact: options.redact,
        }),
        triggers: match &options.on_trigger {
            Some(triggers) => triggers.0.clone(),
            None => Vec::new(),
        },
        only_record: true,
        ..plan(
            cli,
            &options.selection,
            options.pids.clone(),
            options.command.clone(),
        )
    };
    let runtime = runtime()?;
    let mut outcome = runtime.block_on(trace(&plan, None))?;
    let recorded = outcome
        .recording
        .as_ref()
        .is_some_and(|summary| told(summary, options.on_trigger.is_some()));
    let code = end(runtime, &mut outcome)?;
    Ok(match recorded {
        true => code.unwrap_or(exit_code::FINE),
        false => exit_code::ERROR,
    })
}

/// Says what is missing among the events, and whether they could be written.
fn told_events(written: anyhow::Result<Missing>) -> bool {
    match written {
        Ok(missing) => {
            reading::told_missing(&missing);
            true
        }
        Err(error) => {
            eprintln!("leaktrace: {}", escape_lines(&format!("{error:#}")));
            false
        }
    }
}

/// Says what was recorded, and whether all of it was.
fn told(summary: &Summary, waited: bool) -> bool {
    let names: Vec<String> = summary
        .files
        .iter()
        .map(|path| escape(&path.to_string_lossy()))
        .collect();
    if let Some(error) = &summary.error {
        eprintln!("leaktrace: {}", escape_lines(error));
        return false;
    }
    match (names.as_slice(), waited) {
        ([], true) => eprintln!("no trigger fired: nothing was written"),
        ([], false) => eprintln!("recorded {} records", summary.records),
        (names, _) => eprintln!(
            "recorded {} records, {} bytes, in {}",
            summary.records,
            summary.bytes,
            names.join(", ")
        ),
    }
    if summary.lost > 0 {
        eprintln!(
            "{} records are lost to the recording, which is marked there",
            summary.lost
        );
    }
    if summary.is_full {
        eprintln!("the recording has its size (--max-size) and was ended; it is complete");
    }
    if let Some(chain) = &summary.chain {
        eprintln!("chain {}", reading::hexadecimal(chain));
    }
    true
}

/// What every trace shares.
fn plan(
    cli: &Cli,
    selection: &Selection,
    pids: Vec<u32>,
    command: Vec<std::ffi::OsString>,
) -> Plan {
    Plan {
        pids,
        comms: selection.comms.clone(),
        cgroup: selection.cgroup.clone(),
        kinds: selection.kinds(),
        command,
        duration: selection.duration,
        interval: selection.interval(),
        nursery: selection.nursery,
        ring_bytes: selection.ring_size,
        all_events: false,
        no_stacks: selection.no_stacks,
        stack_memory: selection
            .stack_memory
            .unwrap_or_else(leak_user::tables::default_memory),
        record: None,
        triggers: Vec::new(),
        only_record: false,
        verbose: cli.verbose > 0,
        progress: cli.verbose == 0,
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Waits for the command, whose code is ours.
fn end(runtime: tokio::runtime::Runtime, outcome: &mut Outcome) -> Result<Option<u8>, Failure> {
    let code = match &mut outcome.child {
        // The trace ended before the command: it goes on.
        Some(child) => Some(runtime.block_on(child.wait())?),
        None => outcome.exit_code,
    };
    // Threads that read a file on a dead network mount are not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(code)
}

fn fails(fail_on: Option<FailOn>, worst: Option<Verdict>) -> bool {
    match (fail_on, worst) {
        (Some(FailOn::Leak), Some(worst)) => worst <= Verdict::Leak,
        (Some(FailOn::Suspect), Some(worst)) => worst <= Verdict::Suspect,
        (None, _) | (_, None) => false,
    }
}

fn diff_command(cli: &Cli, options: &Diff) -> Result<u8, Failure> {
    let base = saved::load(&options.base)?;
    let new = saved::load(&options.new)?;
    let diff = report::diff::Diff::between(&base, &new);
    let host = Proc::default().host_facts().hostname;
    let output = Output::open(options.output.as_deref(), &host)?;
    let text = report::diff::TextOptions {
        width: output.width(),
        color: output.color(cli.color),
        top: usize::try_from(options.top).unwrap_or(usize::MAX),
        all: options.all,
    };
    output.write(|out| match options.format {
        DiffFormat::Text => report::diff::write_text(&diff, &text, out),
        DiffFormat::Json => report::diff::write_json(&diff, out),
    })?;
    Ok(if fails(options.fail_on, diff.worst_news()) {
        exit_code::LEAKS
    } else {
        exit_code::FINE
    })
}

fn doctor_command(cli: &Cli, options: &Doctor) -> Result<u8, Failure> {
    let report = doctor::examine();
    let output = Output::stdout();
    let (width, color) = (output.width(), output.color(cli.color));
    output.write(|out| match options.format {
        DoctorFormat::Text => report::doctor::write_text(&report, width, color, out),
        DoctorFormat::Json => report::doctor::write_json(&report, out),
    })?;
    let failed = |name: &str| {
        let mut checks = report.checks.iter();
        checks.any(|check| check.status == Status::Fail && check.name == name)
    };
    Ok(match report.worst() {
        Status::Pass | Status::Warn => exit_code::FINE,
        Status::Fail if failed("privileges") => exit_code::PRIVILEGE,
        Status::Fail => exit_code::KERNEL,
    })
}

fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    Output::stdout().write(|out| out.write_all(&completion_script(shell)))?;
    std::io::stdout().flush().ok();
    Ok(exit_code::FINE)
}
