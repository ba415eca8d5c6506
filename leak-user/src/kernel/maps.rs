//! The programs' tables, as the aggregator reads and writes them.

use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::Context as _;
use aya::{
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
    programs::Program,
};
use leak_common::{
    Counter, Kind, ProcessId,
    wire::{FailureKey, SiteCount, WatchKey, Young, YoungKey, acquired},
};

use super::{LoadError, Tracer, sys};
use crate::{
    event::Acquired,
    model::{refusal::Refusal, site::SiteId},
};

/// Sum of each counter over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; Counter::COUNT]);

impl Counters {
    /// One counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }
}

/// An entry of the young table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YoungEntry {
    pub key: YoungKey,
    pub acquired: Acquired,
}

/// An entry of the young table whose resource is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VacantEntry {
    pub key: YoungKey,
    /// When the last resource was acquired, by the monotonic clock.
    pub last: u64,
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodProcessId(ProcessId);
// SAFETY: one word.
unsafe impl aya::Pod for PodProcessId {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodFailureKey(FailureKey);
// SAFETY: integers without padding (its size is asserted beside the type).
unsafe impl aya::Pod for PodFailureKey {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodSiteCount(SiteCount);
// SAFETY: two words.
unsafe impl aya::Pod for PodSiteCount {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodWatchKey(WatchKey);
// SAFETY: two words (its size is asserted beside the type).
unsafe impl aya::Pod for PodWatchKey {}

impl Tracer {
    pub(super) fn map(&self, name: &str) -> &Map {
        self.ebpf.map(name).expect("the object has this map")
    }

    pub(super) fn map_mut(&mut self, name: &str) -> &mut Map {
        self.ebpf.map_mut(name).expect("the object has this map")
    }

    pub(super) fn hash_map_data(&self, name: &str) -> &MapData {
        match self.map(name) {
            Map::HashMap(data) => data,
            _ => unreachable!("{name} is a hash map"),
        }
    }

    /// Every resource in the young table. An entry whose kind is not known is damaged
    /// and left out.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn young(&self) -> anyhow::Result<Vec<YoungEntry>> {
        Ok(self.young_and_vacant()?.0)
    }

    /// Every resource in the young table, and the entries that wait for one.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn young_and_vacant(&self) -> anyhow::Result<(Vec<YoungEntry>, Vec<VacantEntry>)> {
        let mut entries = Vec::new();
        let mut vacant = Vec::new();
        sys::read_map(
            self.hash_map_data("YOUNG").fd().as_fd(),
            |key: YoungKey, young: Young| {
                if young.time == 0 {
                    let last = young.size;
                    vacant.push(VacantEntry { key, last });
                    return;
                }
                let Some(kind) = Kind::from_wire(young.kind) else {
                    return;
                };
                let flag = |bit: u32| young.flags & bit != 0;
                let acquired = Acquired {
                    time: young.time,
                    process: young.process,
                    kind,
                    handle: key.handle,
                    site: SiteId(young.site),
                    size: young.size,
                    close_on_exec: flag(acquired::CLOSE_ON_EXEC),
                    kind_guessed: flag(acquired::KIND_GUESSED),
                    maybe_existed: flag(acquired::MAYBE_EXISTED),
                };
                entries.push(YoungEntry { key, acquired });
            },
        )
        .context("cannot read the young table")?;
        Ok((entries, vacant))
    }

    /// Takes promoted entries out of the young table, unless their keys have been
    /// acquired anew.
    ///
    /// # Errors
    /// The kernel refused the run.
    pub fn expire(&self, entries: &[YoungEntry]) -> anyhow::Result<()> {
        self.take_out(
            entries
                .iter()
                .map(|entry| (entry.key, [entry.acquired.time, 0])),
        )
        .context("cannot take out promoted entries")
    }

    /// Takes vacant entries out of the young table, unless they have been used since.
    ///
    /// # Errors
    /// The kernel refused the run.
    pub fn clear_out(&self, entries: &[VacantEntry]) -> anyhow::Result<()> {
        self.take_out(entries.iter().map(|entry| (entry.key, [0, entry.last])))
            .context("cannot take out vacant entries")
    }

    fn take_out(&self, entries: impl Iterator<Item = (YoungKey, [u64; 2])>) -> anyhow::Result<()> {
        let Some(program) = self.ebpf.program("expire") else {
            return Ok(());
        };
        let program = program.fd()?.as_fd();
        for (key, [time, last]) in entries {
            sys::run_program(program, &[key.owner.0, key.handle.0, time, last])?;
        }
        Ok(())
    }

    /// How often each site has acquired, and how much of that was released out of the young table,
    /// counted by the kernel side.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn site_totals(&self) -> anyhow::Result<Vec<(SiteId, SiteCount)>> {
        let mut totals = Vec::new();
        sys::read_map(
            self.hash_map_data("SITES").fd().as_fd(),
            |site: u64, total: SiteCount| {
                totals.push((SiteId(site), total));
            },
        )
        .context("cannot read the site table")?;
        Ok(totals)
    }

    /// How often each process was refused something, by error.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn failure_counts(&self) -> anyhow::Result<Vec<((ProcessId, Refusal), u64)>> {
        let mut counts = Vec::new();
        sys::read_map(
            self.hash_map_data("FAILURES").fd().as_fd(),
            |key: FailureKey, count: u64| {
                if let Some(error) = Refusal::from_number(key.error) {
                    counts.push(((key.process, error), count));
                }
            },
        )
        .context("cannot read the table of failures")?;
        Ok(counts)
    }

    /// Forgets a process's failures with an error: the next one is its first.
    pub fn forget_failure(&mut self, (process, error): (ProcessId, Refusal)) {
        let key = PodFailureKey(FailureKey {
            process,
            error: error.number(),
            reserved: 0,
        });
        if let Ok(mut failures) =
            HashMap::<_, PodFailureKey, u64>::try_from(self.map_mut("FAILURES"))
        {
            // It may be gone already.
            let _ = failures.remove(&key);
        }
    }

    /// Forgets a site: its next acquisition sends it again.
    pub fn forget_site(&mut self, site: SiteId) {
        if let Ok(mut sites) = HashMap::<_, u64, PodSiteCount>::try_from(self.map_mut("SITES")) {
            // It may be gone already.
            let _ = sites.remove(&site.0);
        }
    }

    /// The sites that added watches of an inotify descriptor: of each that is known, in their order.
    #[must_use]
    pub fn watch_sites(&self, process: ProcessId, descriptor: u32, watches: &[u32]) -> Vec<SiteId> {
        let Ok(sites) = HashMap::<_, PodWatchKey, u64>::try_from(self.map("WATCHES")) else {
            return Vec::new();
        };
        let site = |watch: &u32| {
            let key = PodWatchKey(WatchKey::new(process, descriptor, *watch));
            sites.get(&key, 0).ok().map(SiteId)
        };
        watches.iter().filter_map(site).collect()
    }

    /// Has reads of fanotify descriptors traced: some process has one from before. Their events
    /// bring descriptors.
    ///
    /// # Errors
    /// This process may not have one, or the kernel refused the run.
    pub fn learn_fanotify(&self) -> anyhow::Result<()> {
        let Some(program) = self.ebpf.program("learn") else {
            return Ok(());
        };
        let fanotify = sys::fanotify().context("cannot make a fanotify descriptor")?;
        let number = fanotify.as_raw_fd() as u64;
        sys::run_program(program.fd()?.as_fd(), &[number, 0, 0, 0])?;
        Ok(())
    }

    /// The counters' present values.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn counters(&self) -> anyhow::Result<Counters> {
        let counters = PerCpuArray::<_, u64>::try_from(self.map("COUNTERS"))?;
        let mut sums = Counters::default();
        for counter in Counter::ALL {
            let values = counters.get(&(counter as u32), 0)?;
            sums.0[counter as usize] = values.iter().sum();
        }
        Ok(sums)
    }

    /// Events that the kernel did not deliver because the same program was running
    /// on that CPU.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.ebpf
            .programs()
            .filter_map(|(_, program): (_, &Program)| {
                sys::program_facts(program.fd().ok()?.as_fd()).ok()
            })
            .map(|facts| facts.missed)
            .sum()
    }

    /// The processes that lost records since the last call, and how many;
    /// [`ProcessId::NONE`] stands for any of them.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn take_losses(&mut self) -> anyhow::Result<Vec<(ProcessId, u64)>> {
        let mut losses = Vec::new();
        let data = self.hash_map_data("LOSSES");
        sys::read_map(data.fd().as_fd(), |process: ProcessId, count: u64| {
            losses.push((process, count));
        })
        .context("cannot read the losses")?;
        if !losses.is_empty() {
            let mut map = HashMap::<_, PodProcessId, u64>::try_from(self.map_mut("LOSSES"))?;
            for (process, _) in &losses {
                // A loss that comes in between is still in the counters.
                let _ = map.remove(&PodProcessId(*process));
            }
        }
        Ok(losses)
    }

    /// Releases of what was acquired before `time` are sent even when young.
    ///
    /// # Errors
    /// The kernel refused the write.
    pub fn set_emit_before(&mut self, time: u64) -> Result<(), LoadError> {
        Array::<_, u64>::try_from(self.map_mut("EMIT_BEFORE"))
            .and_then(|mut array| array.set(0, time, 0))
            .map_err(|error| LoadError::Other(error.into()))?;
        self.emit_before = time;
        Ok(())
    }

    /// What was given to [`Tracer::set_emit_before`] last.
    #[must_use]
    pub fn emit_before(&self) -> u64 {
        self.emit_before
    }

    /// Selects a process: `bits` of `leak_common::config::target`.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_target(&mut self, tgid: u32, bits: u32) -> anyhow::Result<()> {
        let mut targets = HashMap::<_, u32, u32>::try_from(self.map_mut("TARGETS"))?;
        let before = targets.get(&tgid, 0).unwrap_or(0);
        if before | bits != before {
            targets
                .insert(tgid, before | bits, 0)
                .with_context(|| format!("cannot select process {tgid}"))?;
        }
        Ok(())
    }

    /// Whether any process pleases of those that are selected by pid, and their
    /// descendants, until they are reaped; some may have been selected by name alone.
    /// Reads no further than to the first.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn any_target(&self, pleases: impl Fn(u32) -> bool) -> anyhow::Result<bool> {
        let targets = HashMap::<_, u32, u32>::try_from(self.map("TARGETS"))?;
        for target in targets.keys() {
            if pleases(target?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a process is selected by the filters of pids and names; true without any.
    #[must_use]
    pub fn is_target(&self, tgid: u32) -> bool {
        let required = self.required_targets;
        if required == 0 {
            return true;
        }
        HashMap::<_, u32, u32>::try_from(self.map("TARGETS"))
            .and_then(|targets| targets.get(&tgid, 0))
            .is_ok_and(|bits| bits & required == required)
    }
}
