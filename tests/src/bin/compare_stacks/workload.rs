//! The programs that are compared, each with work that opens, connects, forks and
//! calls back in the ways that are its own.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::tracer::run;

use crate::{services, tools};

/// A program at work.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Works for about so long; nothing if the program is not installed.
    pub(crate) work: fn(Duration) -> Option<()>,
}

macro_rules! workloads {
    ($($name:literal $work:path,)*) => {
        [$(Workload { name: $name, work: $work }),*]
    };
}

/// All of them.
pub(crate) const WORKLOADS: [Workload; 10] = workloads![
    "bash" tools::bash,
    "python3" tools::python,
    "node" tools::node,
    "java" tools::java,
    "nginx" services::nginx,
    "postgres" services::postgres,
    "redis" services::redis,
    "gcc" tools::gcc,
    "git" tools::git,
    "cargo" tools::cargo,
];

/// Runs a command again and again until the time is over, at least once.
///
/// # Panics
/// Where it fails.
pub(crate) fn again(time: Duration, mut command: impl FnMut() -> Command) {
    let start = Instant::now();
    loop {
        once(&mut command());
        if start.elapsed() >= time {
            break;
        }
    }
}

/// Runs a command to its end.
///
/// # Panics
/// Where it fails.
pub(crate) fn once(command: &mut Command) {
    let ran = run(command);
    assert_eq!(ran.code, 0, "{command:?}: {}{}", ran.stdout, ran.stderr);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "takes half a minute; the comparison itself fails where one does"]
    fn every_installed_program_does_its_work() {
        for workload in &WORKLOADS {
            let start = Instant::now();
            let done = (workload.work)(Duration::from_secs(1));
            eprintln!("{} {done:?} in {:?}", workload.name, start.elapsed());
        }
    }
}
