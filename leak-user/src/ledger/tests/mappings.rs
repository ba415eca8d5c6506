//! Mappings: any interleaving of mmap, munmap, mremap, fork, vfork, exec and exit
//! equals a map of pages.

use std::collections::{BTreeMap, BTreeSet};

use leak_common::{Class, Handle, Kind, ProcessId};
use proptest::prelude::*;

use super::{kernel::Kernel, process};
use crate::ledger::{Config, Shown};
use crate::{
    event::{Event, Executed, Forked, RangeReleased, Remapped},
    model::{site::SiteId, time::Nanos},
};

const PAGE: u64 = 4096;
const PAGES: u64 = 24;
const MAX_PROCESSES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Map {
        by: usize,
        length: u64,
        fixed: Option<u64>,
    },
    Unmap {
        by: usize,
        first: u64,
        length: u64,
    },
    /// Unmaps the n-th acquisition as it was made.
    UnmapWhole {
        by: usize,
        nth: usize,
    },
    Remap {
        by: usize,
        first: u64,
        length: u64,
        new_length: u64,
        to: Option<u64>,
    },
    RemapWhole {
        by: usize,
        nth: usize,
        new_length: u64,
        to: Option<u64>,
    },
    Duplicate {
        by: usize,
        first: u64,
        length: u64,
    },
    Fork {
        by: usize,
        share: bool,
    },
    Exec {
        by: usize,
    },
    Exit {
        by: usize,
    },
    Pass {
        ticks: u64,
    },
    Scan,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let by = || 0..MAX_PROCESSES;
    let page = || 0..PAGES;
    let length = || 1_u64..5;
    let to = || prop::option::weighted(0.4, 0..PAGES);
    let step = prop_oneof![
        8 => (by(), length(), prop::option::weighted(0.3, page()))
            .prop_map(|(by, length, fixed)| Step::Map { by, length, fixed }),
        4 => (by(), page(), length())
            .prop_map(|(by, first, length)| Step::Unmap { by, first, length }),
        3 => (by(), 0_usize..8).prop_map(|(by, nth)| Step::UnmapWhole { by, nth }),
        4 => (by(), page(), length(), length(), to())
            .prop_map(|(by, first, length, new_length, to)| Step::Remap {
                by, first, length, new_length, to,
            }),
        2 => (by(), 0_usize..8, length(), to())
            .prop_map(|(by, nth, new_length, to)| Step::RemapWhole { by, nth, new_length, to }),
        1 => (by(), page(), length())
            .prop_map(|(by, first, length)| Step::Duplicate { by, first, length }),
        2 => (by(), any::<bool>()).prop_map(|(by, share)| Step::Fork { by, share }),
        1 => by().prop_map(|by| Step::Exec { by }),
        1 => by().prop_map(|by| Step::Exit { by }),
        4 => (1_u64..40).prop_map(|ticks| Step::Pass { ticks }),
        2 => Just(Step::Scan),
    ];
    prop::collection::vec(step, 1..100)
}

struct World {
    kernel: Kernel,
    /// Pages with the time of the acquisition that they belong to.
    memories: Vec<BTreeMap<u64, Nanos>>,
    running: Vec<(ProcessId, usize)>,
    started: u32,
}

impl World {
    fn new(losses: Vec<bool>) -> World {
        let mut kernel = Kernel::new(Config::default(), losses);
        kernel.ledger.apply(&Event::Executed(Executed {
            time: 0,
            process: process(0),
            comm: [0; 16],
        }));
        World {
            kernel,
            memories: vec![BTreeMap::new()],
            running: vec![(process(0), 0)],
            started: 1,
        }
    }

    fn pages(&mut self, by: usize) -> &mut BTreeMap<u64, Nanos> {
        let memory = self.running[by].1;
        &mut self.memories[memory]
    }

    fn gap(&mut self, by: usize, length: u64) -> Option<u64> {
        let pages = self.pages(by);
        (0..PAGES * 2).find(|first| (*first..first + length).all(|page| !pages.contains_key(&page)))
    }

    /// The first and length of the n-th acquisition that is in one piece.
    fn whole(&mut self, by: usize, nth: usize) -> Option<(u64, u64)> {
        let pages = self.pages(by);
        let times: BTreeSet<Nanos> = pages.values().copied().collect();
        let time = times.iter().nth(nth)?;
        let own = || {
            pages
                .iter()
                .filter(|(_, at)| *at == time)
                .map(|(page, _)| *page)
        };
        let (first, last) = (own().min()?, own().max()?);
        (own().count() as u64 == last - first + 1).then_some((first, last - first + 1))
    }

    fn step(&mut self, step: &Step) {
        self.kernel.now += 1;
        let count = self.running.len();
        let pick = |by: usize| by % count.max(1);
        match *step {
            Step::Pass { ticks } => self.kernel.now += ticks,
            Step::Scan => self.kernel.scan(),
            _ if count == 0 => {}
            Step::Map { by, length, fixed } => self.map(pick(by), length, fixed),
            Step::Unmap { by, first, length } => self.unmap(pick(by), first, length),
            Step::UnmapWhole { by, nth } => {
                if let Some((first, length)) = self.whole(pick(by), nth) {
                    self.unmap(pick(by), first, length);
                }
            }
            Step::Remap {
                by,
                first,
                length,
                new_length,
                to,
            } => {
                self.remap(pick(by), first, length, new_length, to);
            }
            Step::RemapWhole {
                by,
                nth,
                new_length,
                to,
            } => {
                if let Some((first, length)) = self.whole(pick(by), nth) {
                    self.remap(pick(by), first, length, new_length, to);
                }
            }
            Step::Duplicate { by, first, length } => self.duplicate(pick(by), first, length),
            Step::Fork { by, share } => self.fork(pick(by), share),
            Step::Exec { by } => {
                self.memories.push(BTreeMap::new());
                self.running[pick(by)].1 = self.memories.len() - 1;
                self.kernel.send(Event::Executed(Executed {
                    time: self.kernel.now,
                    process: self.running[pick(by)].0,
                    comm: [0; 16],
                }));
            }
            Step::Exit { by } => {
                let (process, _) = self.running.remove(pick(by));
                let time = self.kernel.now;
                self.kernel.send(Event::Exited { time, process });
            }
        }
    }

    fn map(&mut self, by: usize, length: u64, fixed: Option<u64>) {
        if let Some(first) = fixed {
            self.clear(by, first, length);
        }
        let Some(first) = fixed.or_else(|| self.gap(by, length)) else {
            return;
        };
        self.occupy(by, first, length);
    }

    /// A range goes and is told: munmap, or what is mapped over.
    fn clear(&mut self, by: usize, first: u64, length: u64) {
        self.pages(by)
            .retain(|page, _| !(first..first + length).contains(page));
        self.kernel.send(Event::RangeReleased(RangeReleased {
            time: self.kernel.now,
            process: self.running[by].0,
            class: Class::Mapping,
            first: first * PAGE,
            last: (first + length) * PAGE - 1,
            unshare: false,
            close_on_exec: false,
            attachment: false,
        }));
    }

    /// An acquisition, of now.
    fn occupy(&mut self, by: usize, first: u64, length: u64) {
        let now = self.kernel.now;
        self.pages(by)
            .extend((first..first + length).map(|page| (page, now)));
        let id = self.running[by].0;
        let handle = Handle::new(Class::Mapping, first * PAGE);
        self.kernel
            .acquire(id, id, Kind::Mapping, handle, false, length * PAGE);
    }

    /// Takes an entry out of the young table if the range is exactly its own. Says
    /// whether it was young.
    fn take_exact(&mut self, by: usize, first: u64, length: u64) -> bool {
        let id = self.running[by].0;
        let handle = Handle::new(Class::Mapping, first * PAGE);
        let exact = self
            .kernel
            .young
            .get(&(id, handle))
            .is_some_and(|young| young.acquired.size == length * PAGE);
        if !exact {
            return false;
        }
        match self.kernel.take_young(id, handle) {
            Some((young, true)) => {
                let time = young.acquired.time;
                let others = self
                    .pages(by)
                    .range(first..first + length)
                    .any(|(_, &acquired)| acquired != time);
                self.kernel.blind |= others;
                true
            }
            _ => false,
        }
    }

    fn unmap(&mut self, by: usize, first: u64, length: u64) {
        if self.take_exact(by, first, length) {
            self.pages(by)
                .retain(|page, _| !(first..first + length).contains(page));
        } else {
            self.clear(by, first, length);
        }
    }

    fn remap(&mut self, by: usize, first: u64, length: u64, new_length: u64, to: Option<u64>) {
        let pages = self.pages(by);
        let moved: Vec<Nanos> = (first..first + length)
            .map_while(|p| pages.get(&p).copied())
            .collect();
        if moved.len() as u64 != length {
            return;
        }
        let behind = first + length..first + new_length;
        let grows_in_place = behind.clone().all(|page| !pages.contains_key(&page));
        let new = match to {
            // MREMAP_FIXED: the two ranges must not overlap.
            Some(to) if to + new_length <= first || first + length <= to => to,
            Some(_) => return,
            None if grows_in_place => first,
            None => match self.gap(by, new_length) {
                Some(gap) => gap,
                None => return,
            },
        };
        if self.take_exact(by, first, length) {
            // A young mapping begins anew where it is now.
            self.pages(by)
                .retain(|page, _| !(first..first + length).contains(page));
            if new != first {
                self.clear(by, new, new_length);
            }
            self.occupy(by, new, new_length);
            return;
        }
        let last = moved[moved.len() - 1];
        let pages = self.pages(by);
        pages.retain(|page, _| {
            !(first..first + length).contains(page) && !(new..new + new_length).contains(page)
        });
        for index in 0..new_length {
            let time = moved.get(index as usize).copied().unwrap_or(last);
            pages.insert(new + index, time);
        }
        self.send_remapped(by, (first, length), (new, new_length), false);
    }

    /// mremap with `MREMAP_DONTUNMAP`.
    fn duplicate(&mut self, by: usize, first: u64, length: u64) {
        let pages = self.pages(by);
        if !(first..first + length).all(|page| pages.contains_key(&page)) {
            return;
        }
        let Some(new) = self.gap(by, length) else {
            return;
        };
        let now = self.kernel.now;
        self.pages(by)
            .extend((new..new + length).map(|page| (page, now)));
        self.kernel.told.insert(now);
        self.send_remapped(by, (first, length), (new, length), true);
    }

    fn send_remapped(&mut self, by: usize, old: (u64, u64), new: (u64, u64), keeps_old: bool) {
        self.kernel.send(Event::Remapped(Remapped {
            time: self.kernel.now,
            process: self.running[by].0,
            old: old.0 * PAGE,
            old_length: old.1 * PAGE,
            new: new.0 * PAGE,
            new_length: new.1 * PAGE,
            site: SiteId(77),
            keeps_old,
        }));
    }

    fn fork(&mut self, by: usize, share: bool) {
        if self.running.len() >= MAX_PROCESSES {
            return;
        }
        let (parent, mut memory) = self.running[by];
        let child = process(self.started);
        self.started += 1;
        if !share {
            self.memories.push(self.memories[memory].clone());
            memory = self.memories.len() - 1;
        }
        self.running.push((child, memory));
        self.kernel.send(Event::Forked(Forked {
            time: self.kernel.now,
            parent,
            child,
            shares_files: false,
            shares_memory: share,
            comm: [0; 16],
        }));
    }

    fn found(&self, id: ProcessId) -> BTreeMap<u64, Nanos> {
        let mut pages = BTreeMap::new();
        for holding in self.kernel.ledger.holdings(id) {
            let first = holding.handle.value() / PAGE;
            for page in first..first + holding.size / PAGE {
                assert_eq!(pages.insert(page, holding.acquired), None);
            }
        }
        pages
    }

    fn check(&self) {
        for &(id, memory) in &self.running {
            let expected: BTreeMap<u64, Nanos> = self.memories[memory]
                .iter()
                .filter(|(_, acquired)| self.kernel.told.contains(acquired))
                .map(|(&page, &acquired)| (page, acquired))
                .collect();
            assert_eq!(self.found(id), expected, "{id:?}");
            let mappings: BTreeSet<Nanos> = expected.into_values().collect();
            let view = self.kernel.ledger.process(id).unwrap();
            let counted = view.outstanding.get(Kind::Mapping);
            assert_eq!(counted, mappings.len() as u64, "a mapping counts once");
        }
        self.check_counts();
    }

    fn check_counts(&self) {
        let ledger = &self.kernel.ledger;
        let details = ledger.details(|_| true);
        for (key, record) in ledger.sites() {
            let counted = details.get(&key).map_or(0, |detail| detail.count);
            assert_eq!(record.outstanding, counted, "{key:?}");
            assert!(counted > 0 || record.bytes == 0, "{record:?}");
        }
    }

    fn reconcile_all(&mut self) {
        let known: Vec<ProcessId> = self.kernel.ledger.processes().map(|p| p.id).collect();
        for id in known {
            if !self.running.iter().any(|&(running, _)| running == id) {
                self.kernel.ledger.forget(id);
            }
        }
        for &(id, memory) in &self.running {
            let pages = &self.memories[memory];
            let shown = Shown {
                time: self.kernel.now,
                descriptors: Some(Vec::new()),
                mappings: Some(
                    pages
                        .keys()
                        .map(|page| (page * PAGE..(page + 1) * PAGE).into())
                        .collect(),
                ),
                ..Shown::default()
            };
            self.kernel.ledger.reconcile(id, &shown);
        }
    }

    /// Asserts that nothing is outstanding that `/proc` does not show.
    fn check_shown(&self) {
        for &(id, memory) in &self.running {
            for page in self.found(id).keys() {
                assert!(self.memories[memory].contains_key(page), "{id:?} {page}");
            }
        }
        self.check_counts();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// One munmap of exactly a young mapping's original range can hit others that
    /// have taken parts of it: those cases are left to `/proc`.
    #[test]
    fn any_interleaving_equals_the_pages_of_the_model(steps in steps()) {
        let mut world = World::new(Vec::new());
        for step in &steps {
            world.step(step);
        }
        world.kernel.settle();
        if !world.kernel.blind {
            world.check();
        }
        world.reconcile_all();
        world.check_shown();
    }

    #[test]
    fn losses_followed_by_a_reconciliation_leave_no_false_leak(
        steps in steps(),
        losses in prop::collection::vec(prop::bool::weighted(0.3), 1..50),
    ) {
        let mut world = World::new(losses);
        for step in &steps {
            world.step(step);
        }
        world.kernel.settle();
        world.kernel.ledger.lost(None);
        world.reconcile_all();
        world.check_shown();
    }
}

#[test]
fn the_generated_interleavings_are_seldom_blind_and_take_the_late_paths() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut ended, mut inherited, mut blind) = (0, 0, 0);
    for _ in 0..100 {
        let mut world = World::new(Vec::new());
        for step in &steps().new_tree(&mut runner).unwrap().current() {
            world.step(step);
        }
        world.kernel.settle();
        blind += u32::from(world.kernel.blind);
        ended += world.kernel.ledger.totals().ended_before_promotion;
        inherited += world
            .kernel
            .ledger
            .processes()
            .map(|view| view.inherited.total())
            .sum::<u64>();
    }
    assert!(blind < 30, "{blind}");
    assert!(ended > 50 && inherited > 50, "{ended} {inherited}");
}
