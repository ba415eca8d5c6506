//! What runs while a tracer watches, and gives one figure.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::options::Options;

/// A load and how its figure reads.
pub(super) struct Load {
    pub(super) name: &'static str,
    measure: Box<dyn Fn() -> Result<f64>>,
}

impl Load {
    pub(super) fn new(name: &'static str, measure: impl Fn() -> Result<f64> + 'static) -> Load {
        Load {
            name,
            measure: Box::new(measure),
        }
    }

    /// Runs it once.
    pub(super) fn measure(&self) -> Result<f64> {
        (self.measure)()
    }
}

/// Loops of system calls in one thread; nanoseconds per turn.
pub(super) fn loops(options: &Options) -> Vec<Load> {
    [
        ("open + close of /dev/null", "open"),
        ("socket + close", "socket"),
        ("getppid (a call that is not traced)", "getppid"),
        ("read + write of one byte", "readwrite"),
        ("ioctl that makes no descriptor", "ioctl"),
        ("getsockopt", "getsockopt"),
    ]
    .map(|(name, word)| {
        let program = options.bench_loop.clone();
        let seconds = options.loop_seconds().to_string();
        Load::new(name, move || {
            let output = output(Command::new(&program).args([word, &seconds]))?;
            Ok(pair(&output)?.0)
        })
    })
    .into()
}

/// Open + close at the end of a chain of calls, in one thread; nanoseconds per turn.
///
/// # Errors
/// The program was not given.
pub(super) fn stacks(options: &Options) -> Result<Vec<Load>> {
    let program = options.stack_loop()?;
    Ok([
        ("the same stack each turn", "same"),
        ("another stack each turn", "another"),
    ]
    .map(|(name, word)| {
        let program = program.to_owned();
        let seconds = options.loop_seconds().to_string();
        Load::new(name, move || {
            let output = output(Command::new(&program).args([word, &seconds]))?;
            Ok(pair(&output)?.0)
        })
    })
    .into())
}

/// Runs a loop at `pace` turns a second; returns the pace that was reached.
pub(super) fn paced(options: &Options, word: &str, pace: f64, seconds: f64) -> Result<f64> {
    let output = output(Command::new(&options.bench_loop).args([
        word,
        &seconds.to_string(),
        &pace.to_string(),
    ]))?;
    Ok(pair(&output)?.1)
}

/// What a program prints; it must succeed.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let name = crate::command::show(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{name}`"))?;
    if !output.status.success() {
        bail!("`{name}` failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Nanoseconds per turn and turns per second.
fn pair(output: &str) -> Result<(f64, f64)> {
    let mut words = output.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(each)), Some(Ok(rate))) => Ok((each, rate)),
        _ => bail!("the loop printed {output:?}"),
    }
}
