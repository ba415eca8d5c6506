//! `leaktrace doctor`: what this machine allows, and how to get what it lacks.

mod examine;

use super::Failure;
use crate::{
    cli::{Cli, Doctor, exit_code},
    model::doctor::Status,
    output::{Output, Style},
};

pub(super) fn run(cli: &Cli, options: &Doctor) -> Result<u8, Failure> {
    let report = examine::examine();
    let style = Style {
        color: cli.color,
        ..Style::default()
    };
    Output::stdout().write_document(options.format, &report, style)?;
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
