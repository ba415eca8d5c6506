//! `leaktrace diff`: what differs between two reports or recordings.

use super::{Failure, fails, saved};
use crate::{
    cli::{Cli, Diff, DiffFormat, exit_code},
    output::{Output, formats::diff},
    proc::Proc,
};

pub(super) fn run(cli: &Cli, options: &Diff) -> Result<u8, Failure> {
    let base = saved::load(&options.base)?;
    let new = saved::load(&options.new)?;
    let found = diff::Diff::between(&base, &new);
    let host = Proc::default().host_facts().hostname;
    let output = Output::open(options.output.as_deref(), &host)?;
    let text = diff::TextOptions {
        width: output.width(),
        color: output.color(cli.color),
        top: usize::try_from(options.top).unwrap_or(usize::MAX),
        all: options.all,
    };
    output.write(|out| match options.format {
        DiffFormat::Text => diff::write_text(&found, &text, out),
        DiffFormat::Json => diff::write_json(&found, out),
    })?;
    Ok(if fails(options.fail_on, found.worst_news()) {
        exit_code::LEAKS
    } else {
        exit_code::FINE
    })
}
