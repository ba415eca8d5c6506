//! What a measurement is told: which programs to measure with, and how long.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::section::Section;

/// What `measure` needs to know.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The leaktrace to measure
    #[arg(long)]
    pub(super) leaktrace: PathBuf,
    /// The program with the loops
    #[arg(long)]
    pub(super) bench_loop: PathBuf,
    /// The program whose stacks are taken
    #[arg(long)]
    pub(super) stack_loop: Option<PathBuf>,
    /// The program that writes and reads captures
    #[arg(long)]
    pub(super) capture_bench: Option<PathBuf>,
    /// Measure this section alone
    #[arg(long)]
    pub(super) only: Option<Section>,
    /// Shorter rounds
    #[arg(long)]
    pub(super) quick: bool,
}

impl Options {
    /// The program whose stacks are taken.
    pub(super) fn stack_loop(&self) -> Result<&Path> {
        self.stack_loop
            .as_deref()
            .context("stacks are measured with --stack-loop")
    }

    /// How often each figure is taken.
    pub(super) fn rounds(&self) -> usize {
        if self.quick { 4 } else { 7 }
    }

    /// How long a loop runs for one figure.
    pub(super) fn loop_seconds(&self) -> f64 {
        if self.quick { 0.3 } else { 1.0 }
    }

    /// How long a server is under load for one figure.
    pub(super) fn server_seconds(&self) -> u32 {
        if self.quick { 1 } else { 3 }
    }
}
