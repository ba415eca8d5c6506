//! From the young table to the ledger: what has lived long enough, and what its
//! process left when it exited.

use leak_common::Handle;

use super::engine::Engine;
use crate::{
    bpf::{YoungEntry, monotonic_now},
    event::{Acquired, Event},
};

impl Engine {
    /// Promotes what is old.
    pub(super) fn promote(&mut self) -> anyhow::Result<()> {
        let old = monotonic_now().saturating_sub(self.nursery);
        let entries = self.tracer.young()?;
        let promoted: Vec<YoungEntry> = entries
            .into_iter()
            .filter(|entry| {
                entry.acquired.time <= old || self.exited.contains_key(&entry.acquired.process)
            })
            .collect();
        for entry in &promoted {
            self.acquired(entry.acquired);
        }
        self.tracer.expire(&promoted)?;
        // A release between the reading and the taking out was sent with the time of
        // its acquisition, and is in the ring behind this.
        self.ledger.horizon(old);
        Ok(())
    }

    /// Passes an acquisition to the ledger, with its kind from /proc where that is
    /// a guess.
    pub(super) fn acquired(&mut self, acquired: Acquired) {
        let mut acquired = acquired;
        if acquired.kind_guessed
            && !self.exited.contains_key(&acquired.process)
            && let Some(descriptor) = acquired.handle.descriptor()
            && let Some(kind) = self
                .proc
                .descriptor_kind(acquired.process.pid(), descriptor)
        {
            acquired.kind = kind;
            acquired.kind_guessed = false;
        }
        if self.kinds & acquired.kind.bit() == 0 || acquired.maybe_existed && !self.made(&acquired)
        {
            return;
        }
        self.ledger.apply(&Event::Acquired(acquired));
        self.look_at_site(acquired.site);
        if !self.facts.contains_key(&acquired.process) {
            self.remember(acquired.process);
        }
    }

    /// Whether the process made the segment it asked for: the kernel keeps the
    /// creator's pid, so it says so for the segments of our own IPC name space.
    fn made(&self, acquired: &Acquired) -> bool {
        let own = self.proc.ipc_namespace(std::process::id());
        self.proc.shm_segments().iter().any(|segment| {
            own.is_some_and(|own| Handle::shm(own, segment.id) == acquired.handle)
                && segment.creator == acquired.process.pid()
        })
    }
}
