//! `leaktrace doctor`: what this machine allows, and how to get what it lacks.

mod examine;

use super::Failure;
use crate::{
    cli::{Cli, Doctor, DoctorFormat, exit_code},
    output::{
        Output,
        formats::doctor::{self, Status},
    },
};

pub(super) fn run(cli: &Cli, options: &Doctor) -> Result<u8, Failure> {
    let report = examine::examine();
    let output = Output::stdout();
    let (width, color) = (output.width(), output.color(cli.color));
    output.write(|out| match options.format {
        DoctorFormat::Text => doctor::write_text(&report, width, color, out),
        DoctorFormat::Json => doctor::write_json(&report, out),
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
