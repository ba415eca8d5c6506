//! From the young table to the ledger: what has lived long enough, and what its
//! process left when it exited.

use leak_common::{Handle, Kind, identity::site_of_other_kind};

use super::{Intake, Parts};
use crate::{
    analysis::Input,
    event::{Acquired, Event, Released, Site},
    kernel::{YoungEntry, monotonic_now},
    ledger::SiteKey,
    model::site::SiteId,
};

/// Nanoseconds that a vacant entry of the young table is kept, beyond the nursery's age.
const VACANT: u64 = 1_000_000_000;

/// Resources of a site whose kind is asked for, and whose code is looked at, where all
/// events are told.
const KIND_ASKED: u64 = 16;

impl Intake {
    /// Promotes what is old.
    pub(in crate::trace) fn promote(&mut self, parts: &mut Parts<'_>) -> anyhow::Result<()> {
        let due = monotonic_now().saturating_sub(parts.scope.nursery);
        // Since the last look, the programs tell every release of what was acquired
        // before this: none of them is still about to pass in silence.
        let old = due.min(parts.tracer.emit_before());
        let (entries, mut vacant) = parts.tracer.young_and_vacant()?;
        // Those in use are taken again at once.
        vacant.retain(|entry| entry.last.saturating_add(VACANT) <= old);
        parts.tracer.clear_out(&vacant)?;
        self.young.clear();
        let mut promoted: Vec<YoungEntry> = Vec::new();
        for entry in entries {
            if entry.acquired.time <= old || self.ended_with_its_process(&entry) {
                promoted.push(entry);
            } else {
                *self.young.entry(entry.acquired.site).or_default() += 1;
            }
        }
        for entry in &promoted {
            self.acquired(entry.acquired, parts);
        }
        parts.tracer.expire(&promoted)?;
        // A release between the reading and the taking out was sent with the time of
        // its acquisition, and is in the ring behind this.
        parts.outlet.tell(Input::Horizon(old));
        parts.tell_releases_until(due.saturating_add(parts.scope.tick))
    }

    /// Whether a young resource ended with its process: nothing will release it any
    /// more. Children and segments do not.
    fn ended_with_its_process(&self, entry: &YoungEntry) -> bool {
        self.exited.contains_key(&entry.acquired.process)
            && !matches!(entry.acquired.kind, Kind::Process | Kind::Shm)
    }

    /// Passes an acquisition to the ledger, with its kind from /proc where that is
    /// a guess.
    pub(super) fn acquired(&mut self, acquired: Acquired, parts: &mut Parts<'_>) {
        // Some hooks are in place before others: what was acquired meanwhile may have
        // no stack, and is in the baseline, which is read after the beginning.
        let mut acquired = acquired;
        acquired.site = parts.code.resolve(acquired.site);
        if acquired.time < parts.outlet.analysis().beginning().started {
            return self.not_of_its_site(&acquired);
        }
        if acquired.kind_guessed && !self.exited.contains_key(&acquired.process) {
            self.find_kind(&mut acquired, parts);
        } else if acquired.kind_guessed
            && acquired.kind == Kind::Anon
            && let Some(known) = parts.kind_of_others(acquired.site)
        {
            // Nobody can look any more: it is what the others of its site are.
            acquired.kind = known;
        }
        if acquired.kind == Kind::Mapping && acquired.size == 0 {
            acquired.size = self.attached_bytes(&acquired);
        }
        if !parts.scope.kinds.contains(acquired.kind)
            || acquired.maybe_existed && !self.made(&acquired)
        {
            return self.not_of_its_site(&acquired);
        }
        acquired.site = self.site_of_kind(&acquired, parts);
        parts.tell(Event::Acquired(acquired));
        if parts.usual_kind(acquired.site).is_none() {
            parts.code.look_at_site(acquired.site, parts.outlet);
        }
        self.describe_early(&acquired, parts);
        if !parts.outlet.analysis().knows_program(acquired.process) {
            parts.describer.tell_facts(acquired.process, parts.outlet);
        }
    }

    /// Finds whose child it was that is gone: the kernel side tells that of every process
    /// of the host, as a parent that is traced may have had it from before. Whether it can
    /// be one of a process that is traced.
    pub(super) fn find_parent(&self, gone: &mut Released, parts: &Parts<'_>) -> bool {
        let ledger = parts.outlet.ledger();
        if let Some(parent) = ledger.parent_of(gone.handle) {
            gone.process = parent;
            return true;
        }
        let child = gone.handle.as_task();
        // It may be gone before its acquisition arrives.
        parts.scope.chosen.everything()
            || child.is_some_and(|child| ledger.process(child).is_some())
    }

    /// Finds the kind of a descriptor for which the kernel side has a guess.
    fn find_kind(&self, acquired: &mut Acquired, parts: &Parts<'_>) {
        if let Some(kind) = parts.usual_kind(acquired.site) {
            acquired.kind = kind;
            return;
        }
        let pid = acquired.process.pid();
        let number = acquired.handle.descriptor();
        if let Some(kind) = number.and_then(|number| self.proc.descriptor_kind(pid, number)) {
            acquired.kind = kind;
            acquired.kind_guessed = false;
        }
    }

    /// Describes a site's first resources while they last: those of chosen processes, and what a recording asks for.
    fn describe_early(&self, acquired: &Acquired, parts: &mut Parts<'_>) {
        if self.exited.contains_key(&acquired.process)
            || parts.describer.has_described(acquired.site)
            || parts.scope.chosen.everything() && !parts.outlet.may_describe()
        {
            return;
        }
        parts.describer.describe_early(acquired, parts.outlet);
    }

    /// A site has one kind. Where one place acquires several (descriptors of all
    /// sorts arrive in messages), each kind but the first gets a site of its own.
    fn site_of_kind(&mut self, acquired: &Acquired, parts: &mut Parts<'_>) -> SiteId {
        let Some(record) = parts.outlet.ledger().site(SiteKey::Site(acquired.site)) else {
            return acquired.site;
        };
        if record.kind == acquired.kind || record.promoted == 0 {
            return acquired.site;
        }
        let id = SiteId(site_of_other_kind(acquired.site.0, acquired.kind));
        if parts.outlet.ledger().site(SiteKey::Site(id)).is_none() {
            let site = Site {
                time: acquired.time,
                process: record.process,
                kind: acquired.kind,
                id,
                tid: record.tid,
                frames: record.frames.clone(),
                end: record.end,
            };
            parts.code.derived(id, acquired.site);
            parts.tell(Event::Site(site));
        }
        self.not_of_its_site(acquired);
        id
    }

    /// The kernel's count of a site is one too high.
    fn not_of_its_site(&mut self, acquired: &Acquired) {
        *self.moved.entry(acquired.site).or_default() += 1;
    }

    /// Size of a shared memory attachment: shmat(2) does not say it.
    fn attached_bytes(&self, acquired: &Acquired) -> u64 {
        let start = acquired.handle.value();
        let mappings = self
            .proc
            .mappings(acquired.process.pid())
            .unwrap_or_default();
        let found = mappings.iter().find(|mapping| mapping.range.start == start);
        found.map_or(0, |mapping| mapping.range.length())
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

impl Parts<'_> {
    /// Has the programs tell every release of what was acquired until then: all of it that
    /// is old may be promoted at the next look.
    pub(in crate::trace) fn tell_releases_until(&mut self, time: u64) -> anyhow::Result<()> {
        if time > self.tracer.emit_before() {
            self.tracer.set_emit_before(time)?;
        }
        Ok(())
    }

    /// The kind of the descriptors that a site acquired before.
    fn kind_of_others(&self, site: SiteId) -> Option<Kind> {
        let record = self.outlet.ledger().site(SiteKey::Site(site))?;
        (record.promoted > 0).then_some(record.kind)
    }

    /// The kind that a site's first resources had, where every event is told: most are
    /// over when they are read, and `/proc` shows what came after. It stays a guess,
    /// which a comparison with `/proc` corrects.
    fn usual_kind(&self, site: SiteId) -> Option<Kind> {
        let record = self.outlet.ledger().site(SiteKey::Site(site))?;
        let known = record.promoted >= KIND_ASKED;
        (self.outlet.analysis().beginning().all_events && known).then_some(record.kind)
    }
}
