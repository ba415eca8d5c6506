//! `leaktrace diff`: what differs between two reports or recordings.

mod saved;

use super::{Failure, fails};
use crate::{
    cli::{self, Cli, exit_code},
    model::diff::Diff,
    output::{Output, Style},
    proc::Proc,
};

pub(super) fn run(cli: &Cli, options: &cli::Diff) -> Result<u8, Failure> {
    let base = saved::load(&options.base)?;
    let new = saved::load(&options.new)?;
    let found = Diff::between(&base, &new);
    let host = Proc::default().host_facts().hostname;
    let output = Output::open(options.output.as_deref(), &host)?;
    let style = Style {
        color: cli.color,
        top: options.top,
        all: options.all,
        ..Style::default()
    };
    output.write_document(options.format, &found, style)?;
    Ok(if fails(options.fail_on, found.worst_news()) {
        exit_code::LEAKS
    } else {
        exit_code::FINE
    })
}
