//! Failures of a running trace: what ran out is read at once, stack and number
//! are told when the report is made or the process is forgotten.

use std::collections::HashMap;

use leak_common::{ProcessId, syscalls, wire::StackEnd};

use super::engine::Engine;
use crate::{
    analysis::{FirstFailure, Input},
    event::{Call, Failed},
    kernel::monotonic_now,
    ledger::SiteKey,
    model::{
        refusal::Refusal,
        report::{Failure, Frame},
        site::SiteId,
        time::Nanos,
    },
    proc::{Refused, Shortage},
};

/// Least time between two looks at all processes of the host.
const LOOK_AGAIN: Nanos = 250_000_000;

/// Failures of running processes that are remembered: the programs keep no more.
const MAX_OPEN: usize = leak_common::limits::FAILURE_ENTRIES as usize;

/// Failures whose processes may fail again.
#[derive(Debug, Default)]
pub(super) struct Failures {
    open: HashMap<(ProcessId, Refusal), Open>,
    /// When the host was last looked at.
    looked: Option<Nanos>,
}

#[derive(Debug)]
struct Open {
    site: SiteId,
    /// Which of the process's programs it was.
    generation: u32,
    /// The site's addresses: the ledger forgets sites sooner.
    frames: Box<[u64]>,
    end: StackEnd,
    known: FirstFailure,
}

impl Engine {
    /// Takes note of a failure, while what is known of its process and of who holds
    /// what can still be read.
    pub(super) fn failed(&mut self, failed: &Failed) {
        let key = (failed.process, failed.error);
        if self.failures.open.len() >= MAX_OPEN {
            return;
        }
        self.remember(failed.process);
        let comm = self.analysis.comm(failed.process);
        let call = call_name(failed.call);
        let Shortage { meaning, holders } = self.shortage(failed, &call);
        let mut open = Open {
            site: failed.site,
            generation: self.generation(failed.process),
            frames: Box::default(),
            end: StackEnd::NotTaken,
            known: FirstFailure {
                time: failed.time,
                process: failed.process,
                error: failed.error,
                failure: Failure {
                    pid: failed.process.pid(),
                    start_time: u64::from(failed.process.start_ticks()),
                    comm,
                    error: failed.error.name().to_owned(),
                    call,
                    count: 1,
                    meaning,
                    holders,
                    ..Failure::default()
                },
            },
        };
        self.look_at_site(failed.site);
        self.refresh(&mut open);
        self.tell(Input::Failed(Box::new(open.known.clone())));
        self.failures.open.insert(key, open);
    }

    /// What ran out. The host is not searched for holders at every failure when many
    /// processes fail at once.
    fn shortage(&mut self, failed: &Failed, call: &str) -> Shortage {
        let now = monotonic_now();
        let soon = |looked: Nanos| now.saturating_sub(looked) < LOOK_AGAIN;
        // A full table of descriptors is its process's own matter.
        if failed.error != Refusal::Files {
            if self.failures.looked.is_some_and(soon) {
                return Shortage {
                    meaning: failed.error.meaning().to_owned(),
                    ..Shortage::default()
                };
            }
            self.failures.looked = Some(now);
        }
        self.proc.shortage(Refused {
            pid: failed.process.pid(),
            call,
            error: failed.error,
            size: failed.size,
        })
    }

    /// Takes over what the ledger knows of a failure's stack: it may have been
    /// finished since.
    fn refresh(&self, open: &mut Open) {
        let site = self.stacks.resolve(open.site);
        if let Some(record) = self.ledger().site(SiteKey::Site(site)) {
            open.frames = record.frames.clone();
            open.end = record.end;
        }
        open.site = site;
    }

    /// Takes note of stacks that were finished.
    pub(super) fn refresh_failures(&mut self) {
        let mut open = std::mem::take(&mut self.failures.open);
        for failure in open.values_mut() {
            self.refresh(failure);
        }
        self.failures.open = open;
    }

    /// Tells stack and number of every failure.
    pub(super) fn tell_failures(&mut self) -> anyhow::Result<()> {
        if self.failures.open.is_empty() {
            return Ok(());
        }
        self.refresh_failures();
        let counts: HashMap<(ProcessId, Refusal), u64> =
            self.tracer.failure_counts()?.into_iter().collect();
        let mut open = std::mem::take(&mut self.failures.open);
        for (key, failure) in &mut open {
            let count = counts.get(key).copied().unwrap_or(0);
            self.tell_failure(failure, count);
        }
        self.failures.open = open;
        Ok(())
    }

    fn tell_failure(&mut self, failure: &mut Open, count: u64) {
        let count = count.max(failure.known.failure.count);
        let stack = self.failed_at(failure);
        let known = &mut failure.known.failure;
        if count != known.count || stack != known.stack {
            known.count = count;
            known.stack = stack;
            self.tell(Input::Failed(Box::new(failure.known.clone())));
        }
    }

    fn failed_at(&mut self, failure: &Open) -> Vec<Frame> {
        let FirstFailure { time, process, .. } = failure.known;
        let native = self
            .symbolizer
            .symbolize(process, failure.generation, &failure.frames, time);
        self.interpreted
            .merge(failure.site, native, failure.end == StackEnd::Complete)
    }

    /// Tells the failures of processes that are gone for the last time, and makes room
    /// for those of others.
    pub(super) fn close_failures(&mut self, gone: &[ProcessId]) -> anyhow::Result<()> {
        let keys: Vec<(ProcessId, Refusal)> = self
            .failures
            .open
            .keys()
            .filter(|(process, _)| gone.contains(process))
            .copied()
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let counts: HashMap<(ProcessId, Refusal), u64> =
            self.tracer.failure_counts()?.into_iter().collect();
        for key in keys {
            if let Some(mut failure) = self.failures.open.remove(&key) {
                self.refresh(&mut failure);
                self.tell_failure(&mut failure, counts.get(&key).copied().unwrap_or(0));
            }
            self.tracer.forget_failure(key);
        }
        Ok(())
    }
}

/// What was called, as people know it.
fn call_name(call: Call) -> String {
    match call {
        Call::System(number) => syscalls::name(number, cfg!(target_arch = "aarch64"))
            .map_or_else(|| format!("system call {number}"), str::to_owned),
        // include/uapi/linux/io_uring.h, enum io_uring_op.
        Call::Uring(operation) => match operation {
            13 => "io_uring accept".to_owned(),
            18 => "io_uring openat".to_owned(),
            28 => "io_uring openat2".to_owned(),
            45 => "io_uring socket".to_owned(),
            54 => "io_uring fixed_fd_install".to_owned(),
            other => format!("io_uring operation {other}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_the_names_of_the_table() {
        let openat = if cfg!(target_arch = "aarch64") {
            56
        } else {
            257
        };
        assert_eq!(call_name(Call::System(openat)), "openat");
        assert_eq!(call_name(Call::System(9999)), "system call 9999");
        assert_eq!(call_name(Call::Uring(18)), "io_uring openat");
    }
}
