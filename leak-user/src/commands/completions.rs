//! `leaktrace completions`: the completion script of a shell.

use std::io::Write as _;

use super::Failure;
use crate::{
    cli::{completion_script, exit_code},
    output::Output,
};

pub(super) fn run(shell: clap_complete::Shell) -> Result<u8, Failure> {
    Output::stdout().write(|out| out.write_all(&completion_script(shell)))?;
    std::io::stdout().flush().ok();
    Ok(exit_code::FINE)
}
