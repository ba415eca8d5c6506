//! `leaktrace verify`: whether recordings are whole.

use std::io::{self, Write as _};

use anyhow::Context as _;

use super::recordings;
use crate::{
    cli::{Verify, exit_code},
    model::escape::escape,
    recording::{format, reader::Source},
};

pub(super) fn run(options: &Verify) -> anyhow::Result<u8> {
    let mut code = exit_code::FINE;
    let mut out = io::stdout().lock();
    for path in &options.files {
        let source = recordings::open(path)?;
        let Source {
            name,
            content,
            is_being_written,
        } = source;
        let verified = format::verify(content).with_context(|| name.clone())?;
        let found = match (verified.intact(), verified.first_bad) {
            (true, _) | (false, None) => "whole".to_owned(),
            (false, Some(_)) if is_being_written && verified.early_end && verified.damaged == 1 => {
                "not finished, it is being written; whole so far".to_owned()
            }
            (false, Some(damage)) => {
                code = exit_code::ERROR;
                match verified.damaged {
                    1 => damage.to_string(),
                    more => format!("{damage}; and {} more places", more - 1),
                }
            }
        };
        writeln!(
            out,
            "{}: {found}\n  {} records in {} segments, format {}, chain {}",
            escape(&name),
            verified.records,
            verified.segments,
            verified.version,
            format::hexadecimal(&verified.chain)
        )?;
    }
    Ok(code)
}
