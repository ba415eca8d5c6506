//! `leaktrace doctor`: what this machine allows, and how to get what it lacks.

mod examine;

use super::Failure;
use crate::{
    cli::{Cli, Doctor, exit_code},
    model::doctor::{DoctorReport, Status},
    output::{
        Output, Style,
        formats::{ChecksWriter, TextOptions},
    },
};

pub(super) fn run(cli: &Cli, options: &Doctor) -> Result<u8, Failure> {
    let style = Style {
        color: cli.color,
        ..Style::default()
    };
    let output = Output::stdout();
    let report = match &options.format.checks {
        Some(writer) => one_by_one(writer, style.resolve(&output))?,
        None => {
            let report = examine::examine(&mut |_| ());
            output.write_document(options.format, &report, style)?;
            report
        }
    };
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

/// Writes each check when it is made, and the result after the last.
fn one_by_one(writer: &ChecksWriter, options: TextOptions) -> anyhow::Result<DoctorReport> {
    let mut written = Ok(());
    let report = examine::examine(&mut |check| {
        if written.is_ok() {
            written = Output::stdout().write(|out| (writer.check)(check, &options, out));
        }
    });
    written?;
    Output::stdout().write(|out| (writer.result)(&report, &options, out))?;
    Ok(report)
}
