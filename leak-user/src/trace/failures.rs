//! Failures of a running trace: what ran out is read at once, stack and number
//! are told when the report is made or the process is forgotten.

use std::collections::HashMap;

use leak_common::{ProcessId, syscalls, wire::StackEnd};

use super::{
    code::{Code, Stack},
    outlet::Outlet,
};
use crate::{
    analysis::{FirstFailure, Input},
    event::{Call, Failed},
    kernel::{Tracer, monotonic_now},
    ledger::SiteKey,
    model::{refusal::Refusal, report::Failure, site::SiteId, time::Nanos},
    proc::{Proc, Refused, Shortage},
};

/// Least time between two looks at all processes of the host.
const LOOK_AGAIN: Nanos = 250_000_000;

/// Failures of running processes that are remembered: the programs keep no more.
const MAX_OPEN: usize = leak_common::limits::FAILURE_ENTRIES as usize;

/// Failures whose processes may fail again.
pub(super) struct Failures {
    proc: Proc,
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

impl Failures {
    pub(super) fn new(proc: &Proc) -> Failures {
        Failures {
            proc: proc.clone(),
            open: HashMap::new(),
            looked: None,
        }
    }

    /// Takes note of a failure, while what is known of its process and of who holds
    /// what can still be read. Name and command line of the process are told already.
    pub(super) fn failed(&mut self, failed: &Failed, code: &mut Code, outlet: &mut Outlet) {
        let key = (failed.process, failed.error);
        if self.open.len() >= MAX_OPEN {
            return;
        }
        let call = call_name(failed.call);
        let Shortage { meaning, holders } = self.shortage(failed, &call);
        let mut open = Open {
            site: failed.site,
            generation: outlet.generation(failed.process),
            frames: Box::default(),
            end: StackEnd::NotTaken,
            known: FirstFailure {
                time: failed.time,
                process: failed.process,
                error: failed.error,
                failure: Failure {
                    pid: failed.process.pid(),
                    start_time: u64::from(failed.process.start_ticks()),
                    comm: outlet.analysis().comm(failed.process),
                    error: failed.error.name().to_owned(),
                    call,
                    count: 1,
                    meaning,
                    holders,
                    ..Failure::default()
                },
            },
        };
        code.look_at_site(failed.site, outlet);
        open.refresh(code, outlet);
        outlet.tell(Input::FirstFailure(Box::new(open.known.clone())));
        self.open.insert(key, open);
    }

    /// What ran out. The host is not searched for holders at every failure when many
    /// processes fail at once.
    fn shortage(&mut self, failed: &Failed, call: &str) -> Shortage {
        let now = monotonic_now();
        let soon = |looked: Nanos| now.saturating_sub(looked) < LOOK_AGAIN;
        // A full table of descriptors is its process's own matter.
        if failed.error != Refusal::Files {
            if self.looked.is_some_and(soon) {
                return Shortage {
                    meaning: failed.error.meaning().to_owned(),
                    ..Shortage::default()
                };
            }
            self.looked = Some(now);
        }
        self.proc.shortage(Refused {
            pid: failed.process.pid(),
            call,
            error: failed.error,
            size: failed.size,
        })
    }

    /// Takes note of stacks that were finished.
    pub(super) fn refresh(&mut self, code: &Code, outlet: &Outlet) {
        for failure in self.open.values_mut() {
            failure.refresh(code, outlet);
        }
    }

    /// Tells stack and number of every failure.
    pub(super) fn tell(
        &mut self,
        tracer: &Tracer,
        code: &mut Code,
        outlet: &mut Outlet,
    ) -> anyhow::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let counts = counts(tracer)?;
        for (key, failure) in &mut self.open {
            failure.refresh(code, outlet);
            failure.tell(counts.get(key).copied().unwrap_or(0), code, outlet);
        }
        Ok(())
    }

    /// Tells the failures of processes that are gone for the last time, and makes room
    /// for those of others.
    pub(super) fn close(
        &mut self,
        gone: &[ProcessId],
        tracer: &mut Tracer,
        code: &mut Code,
        outlet: &mut Outlet,
    ) -> anyhow::Result<()> {
        let keys: Vec<(ProcessId, Refusal)> = self
            .open
            .keys()
            .filter(|(process, _)| gone.contains(process))
            .copied()
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let counts = counts(tracer)?;
        for key in keys {
            if let Some(mut failure) = self.open.remove(&key) {
                failure.refresh(code, outlet);
                failure.tell(counts.get(&key).copied().unwrap_or(0), code, outlet);
            }
            tracer.forget_failure(key);
        }
        Ok(())
    }
}

impl Open {
    /// Takes over what the ledger knows of the stack: it may have been finished since.
    fn refresh(&mut self, code: &Code, outlet: &Outlet) {
        let site = code.resolve(self.site);
        if let Some(record) = outlet.ledger().site(SiteKey::Site(site)) {
            self.frames = record.frames.clone();
            self.end = record.end;
        }
        self.site = site;
    }

    /// Tells it anew, with its stack and the kernel's `count`, if more is known now.
    fn tell(&mut self, count: u64, code: &mut Code, outlet: &mut Outlet) {
        let stack = code.frames(&Stack {
            process: self.known.process,
            generation: self.generation,
            site: self.site,
            frames: &self.frames,
            end: self.end,
            time: self.known.time,
        });
        let known = &mut self.known.failure;
        let count = count.max(known.count);
        if count != known.count || stack != known.stack {
            known.count = count;
            known.stack = stack;
            outlet.tell(Input::FirstFailure(Box::new(self.known.clone())));
        }
    }
}

/// How often processes were refused something, by the kernel's count.
fn counts(tracer: &Tracer) -> anyhow::Result<HashMap<(ProcessId, Refusal), u64>> {
    Ok(tracer.failure_counts()?.into_iter().collect())
}

/// What was called, as people know it.
fn call_name(call: Call) -> String {
    match call {
        Call::System(number) => syscalls::name(number, cfg!(target_arch = "aarch64"))
            .map_or_else(|| format!("system call {number}"), str::to_owned),
        // include/uapi/linux/io_uring.h, enum io_uring_op.
        Call::Uring(operation) => match operation {
            10 => "io_uring recvmsg".to_owned(),
            13 => "io_uring accept".to_owned(),
            18 => "io_uring openat".to_owned(),
            28 => "io_uring openat2".to_owned(),
            45 => "io_uring socket".to_owned(),
            54 => "io_uring fixed_fd_install".to_owned(),
            62 => "io_uring pipe".to_owned(),
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
