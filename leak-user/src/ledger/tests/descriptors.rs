//! Descriptor tables and children: any interleaving of open, close, dup2,
//! close_range, fork, exec, exit and wait equals the tables of a naive model.

use std::collections::{BTreeMap, BTreeSet};

use leak_common::{Class, Handle, Kind, ProcessId};
use proptest::prelude::*;

use super::{kernel::Kernel, process};
use crate::ledger::{BaselineProcess, Config, Shown, SiteKey, SiteRecord};
use crate::{
    event::{Event, Executed, Forked, RangeReleased},
    model::time::Nanos,
};

const MAX_DESCRIPTOR: u32 = 9;
const MAX_PROCESSES: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Open {
        by: usize,
        close_on_exec: bool,
    },
    Close {
        by: usize,
        descriptor: u32,
    },
    Duplicate {
        by: usize,
        to: u32,
        close_on_exec: bool,
    },
    CloseRange {
        by: usize,
        first: u32,
        last: u32,
        unshare: bool,
        mark: bool,
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
    Wait {
        by: usize,
    },
    Pass {
        ticks: u64,
    },
    Scan,
}

fn steps(share: bool) -> impl Strategy<Value = Vec<Step>> {
    let by = 0..MAX_PROCESSES;
    let descriptor = 0..=MAX_DESCRIPTOR;
    let step = prop_oneof![
        8 => (by.clone(), any::<bool>())
            .prop_map(|(by, close_on_exec)| Step::Open { by, close_on_exec }),
        6 => (by.clone(), descriptor.clone())
            .prop_map(|(by, descriptor)| Step::Close { by, descriptor }),
        3 => (by.clone(), descriptor.clone(), any::<bool>())
            .prop_map(|(by, to, close_on_exec)| Step::Duplicate { by, to, close_on_exec }),
        2 => (by.clone(), descriptor.clone(), descriptor, any::<bool>(), any::<bool>())
            .prop_map(|(by, a, b, unshare, mark)| Step::CloseRange {
                by, first: a.min(b), last: a.max(b), unshare, mark,
            }),
        3 => (by.clone(), any::<bool>())
            .prop_map(move |(by, shares)| Step::Fork { by, share: shares && share }),
        2 => by.clone().prop_map(|by| Step::Exec { by }),
        1 => by.clone().prop_map(|by| Step::Exit { by }),
        2 => by.prop_map(|by| Step::Wait { by }),
        5 => (1_u64..40).prop_map(|ticks| Step::Pass { ticks }),
        2 => Just(Step::Scan),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Open {
    acquired: Nanos,
    close_on_exec: bool,
}

#[derive(Clone, Debug)]
struct Running {
    id: ProcessId,
    table: usize,
    /// Children with the times of their forks; whether they exited.
    children: BTreeMap<ProcessId, (Nanos, bool)>,
}

/// Asserts that everything that was acquired at a site is somewhere.
fn check_balance(kernel: &Kernel, key: SiteKey, record: &SiteRecord) {
    for lossy in [false, true] {
        let balance = record.balance(lossy);
        let parts = balance.released + balance.young + balance.outstanding;
        assert_eq!(balance.acquired, parts + balance.unaccounted);
    }
    if let SiteKey::Site(site) = key
        && kernel.is_lossless()
    {
        let (balance, counted) = (record.balance(true), kernel.counted(site));
        assert_eq!(balance.unaccounted, 0, "{record:?}");
        assert_eq!(
            (balance.acquired, balance.young),
            (counted.acquired, counted.young),
            "{record:?}"
        );
    }
}

struct World {
    kernel: Kernel,
    tables: Vec<BTreeMap<u32, Open>>,
    running: Vec<Running>,
    started: u32,
}

impl World {
    fn new(losses: Vec<bool>) -> World {
        let mut kernel = Kernel::new(Config::default(), losses);
        let open = Open {
            acquired: 0,
            close_on_exec: false,
        };
        let id = process(0);
        kernel.ledger.baseline(&BaselineProcess {
            id,
            parent: None,
            comm: *b"first\0\0\0\0\0\0\0\0\0\0\0",
            time: 0,
            descriptors: vec![(0, Kind::File), (1, Kind::File), (2, Kind::File)],
            mappings: Vec::new(),
            threads: Vec::new(),
            children: Vec::new(),
            zombies: Vec::new(),
        });
        World {
            kernel,
            tables: vec![(0..3).map(|descriptor| (descriptor, open)).collect()],
            running: vec![Running {
                id,
                table: 0,
                children: BTreeMap::new(),
            }],
            started: 1,
        }
    }

    fn step(&mut self, step: &Step) {
        // An unsharing counts as one tick before its close_range.
        self.kernel.now += 2;
        let count = self.running.len();
        let pick = |by: usize| by % count.max(1);
        match *step {
            Step::Pass { ticks } => self.kernel.now += ticks,
            Step::Scan => self.kernel.scan(),
            _ if count == 0 => {}
            Step::Open { by, close_on_exec } => {
                let table = &self.tables[self.running[pick(by)].table];
                let free = (0..=MAX_DESCRIPTOR).find(|number| !table.contains_key(number));
                if let Some(descriptor) = free {
                    self.open(pick(by), descriptor, close_on_exec);
                }
            }
            Step::Close { by, descriptor } => self.close(pick(by), descriptor),
            Step::Duplicate {
                by,
                to,
                close_on_exec,
            } => {
                self.close(pick(by), to);
                self.open(pick(by), to, close_on_exec);
            }
            Step::CloseRange {
                by,
                first,
                last,
                unshare,
                mark,
            } => {
                self.close_range(pick(by), first, last, unshare, mark);
            }
            Step::Fork { by, share } => self.fork(pick(by), share),
            Step::Exec { by } => self.exec(pick(by)),
            Step::Exit { by } => self.exit(pick(by)),
            Step::Wait { by } => self.wait(pick(by)),
        }
    }

    fn open(&mut self, by: usize, descriptor: u32, close_on_exec: bool) {
        let Running { id, table, .. } = self.running[by];
        let open = Open {
            acquired: self.kernel.now,
            close_on_exec,
        };
        self.tables[table].insert(descriptor, open);
        let handle = Handle::new(Class::Descriptor, u64::from(descriptor));
        self.kernel
            .acquire(id, id, Kind::File, handle, close_on_exec, 0);
    }

    fn close(&mut self, by: usize, descriptor: u32) {
        let Running { id, table, .. } = self.running[by];
        let closed = self.tables[table].remove(&descriptor);
        let handle = Handle::new(Class::Descriptor, u64::from(descriptor));
        self.kernel
            .release(id, handle, closed.map(|open| open.acquired));
    }

    fn own_table(&mut self, by: usize) {
        let table = self.running[by].table;
        if self
            .running
            .iter()
            .filter(|other| other.table == table)
            .count()
            > 1
        {
            self.tables.push(self.tables[table].clone());
            self.running[by].table = self.tables.len() - 1;
        }
    }

    fn close_range(&mut self, by: usize, first: u32, last: u32, unshare: bool, mark: bool) {
        if unshare {
            self.own_table(by);
        }
        let Running { id, table, .. } = self.running[by];
        if mark {
            for (_, open) in self.tables[table].range_mut(first..=last) {
                open.close_on_exec = true;
            }
        } else {
            self.tables[table].retain(|number, _| !(first..=last).contains(number));
        }
        self.kernel.send(Event::RangeReleased(RangeReleased {
            time: self.kernel.now,
            process: id,
            class: Class::Descriptor,
            first: u64::from(first),
            last: u64::from(last),
            unshare,
            close_on_exec: mark,
            attachment: false,
        }));
    }

    fn fork(&mut self, by: usize, share: bool) {
        if self.running.len() >= MAX_PROCESSES {
            return;
        }
        let Running {
            id: parent,
            mut table,
            ..
        } = self.running[by];
        let child = process(self.started);
        self.started += 1;
        if !share {
            self.tables.push(self.tables[table].clone());
            table = self.tables.len() - 1;
        }
        self.running[by]
            .children
            .insert(child, (self.kernel.now, false));
        self.running.push(Running {
            id: child,
            table,
            children: BTreeMap::new(),
        });
        let handle = Handle::task(Class::Process, child);
        self.kernel
            .acquire(ProcessId::NONE, parent, Kind::Process, handle, false, 0);
        self.kernel.send(Event::Forked(Forked {
            time: self.kernel.now,
            parent,
            child,
            shares_files: share,
            shares_memory: false,
            comm: [0; 16],
        }));
    }

    fn exec(&mut self, by: usize) {
        self.own_table(by);
        let Running { id, table, .. } = self.running[by];
        self.tables[table].retain(|_, open| !open.close_on_exec);
        self.kernel.send(Event::Executed(Executed {
            time: self.kernel.now,
            process: id,
            comm: [0; 16],
        }));
    }

    fn exit(&mut self, by: usize) {
        let Running { id, .. } = self.running.remove(by);
        for parent in &mut self.running {
            if let Some((_, exited)) = parent.children.get_mut(&id) {
                *exited = true;
            }
        }
        self.kernel.send(Event::Exited {
            time: self.kernel.now,
            process: id,
        });
    }

    /// Reaps the first child that exited.
    fn wait(&mut self, by: usize) {
        let children = &mut self.running[by].children;
        let Some((&child, &(forked, _))) = children.iter().find(|(_, (_, exited))| *exited) else {
            return;
        };
        children.remove(&child);
        let handle = Handle::task(Class::Process, child);
        self.kernel.release(ProcessId::NONE, handle, Some(forked));
    }

    fn descriptors(&self, id: ProcessId) -> BTreeMap<u32, Nanos> {
        let mut found = BTreeMap::new();
        for holding in self.kernel.ledger.holdings(id) {
            if let Some(number) = holding.handle.descriptor() {
                assert_eq!(found.insert(number, holding.acquired), None);
            }
        }
        found
    }

    /// Asserts that every process holds what the model says, as far as it was told.
    fn check(&mut self) {
        for running in &self.running {
            let expected: BTreeMap<u32, Nanos> = self.tables[running.table]
                .iter()
                .filter(|(_, open)| self.kernel.told.contains(&open.acquired))
                .map(|(&number, open)| (number, open.acquired))
                .collect();
            assert_eq!(self.descriptors(running.id), expected, "{:?}", running.id);
            self.check_children(running);
        }
        let known = self
            .kernel
            .ledger
            .processes()
            .filter(|p| p.exited.is_none());
        assert_eq!(known.count(), self.running.len());
        self.check_counts();
    }

    fn check_children(&self, running: &Running) {
        let children: BTreeSet<Handle> = self
            .kernel
            .ledger
            .holdings(running.id)
            .into_iter()
            .filter(|holding| holding.kind == Kind::Process)
            .map(|holding| holding.handle)
            .collect();
        let handle = |child: &ProcessId| Handle::task(Class::Process, *child);
        assert_eq!(children, running.children.keys().map(handle).collect());
        let zombies = running.children.values().filter(|(_, exited)| *exited);
        let view = self.kernel.ledger.process(running.id).unwrap();
        assert_eq!(view.zombies, zombies.count());
    }

    /// Asserts that counters kept on the way equal what is there.
    fn check_counts(&mut self) {
        self.kernel.count_sites();
        let ledger = &self.kernel.ledger;
        for view in ledger.processes() {
            if view.exited.is_none() {
                let all = view.outstanding.total() + view.preexisting.total();
                assert_eq!(all, ledger.holdings(view.id).len() as u64);
            }
        }
        let details = ledger.details(|_| true);
        for (key, record) in ledger.sites() {
            let counted = details.get(&key).map_or(0, |detail| detail.count);
            assert_eq!(record.outstanding, counted, "{key:?}");
            check_balance(&self.kernel, key, record);
        }
    }

    /// Compares every process with what `/proc` would show, as after a loss.
    fn reconcile_all(&mut self) {
        let known: Vec<ProcessId> = self.kernel.ledger.processes().map(|p| p.id).collect();
        for id in known {
            if !self.running.iter().any(|running| running.id == id) {
                self.kernel.ledger.forget(id);
            }
        }
        for running in &self.running {
            let descriptors: Vec<(u32, Kind)> = self.tables[running.table]
                .keys()
                .map(|&number| (number, Kind::File))
                .collect();
            let shown = Shown {
                time: self.kernel.now,
                descriptors: Some(descriptors.clone()),
                ..Shown::default()
            };
            if self.kernel.ledger.process(running.id).is_none() {
                self.kernel.ledger.baseline(&BaselineProcess {
                    id: running.id,
                    parent: None,
                    comm: [0; 16],
                    time: self.kernel.now,
                    descriptors,
                    mappings: Vec::new(),
                    threads: Vec::new(),
                    children: Vec::new(),
                    zombies: Vec::new(),
                });
            }
            self.kernel.ledger.reconcile(running.id, &shown);
        }
    }

    fn check_shown(&mut self) {
        for running in &self.running {
            let found: Vec<u32> = self.descriptors(running.id).into_keys().collect();
            let shown: Vec<u32> = self.tables[running.table].keys().copied().collect();
            assert_eq!(found, shown);
            let view = self.kernel.ledger.process(running.id).unwrap();
            assert!(!view.needs_reconcile && !view.lossy);
        }
        self.check_counts();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_equals_the_tables_of_the_model(steps in steps(false)) {
        let mut world = World::new(Vec::new());
        for step in &steps {
            world.step(step);
        }
        world.kernel.settle();
        prop_assert!(!world.kernel.blind);
        world.check();
    }

    /// Where processes share a table, the young table can take one's descriptor for
    /// another's: those cases are left to `/proc`.
    #[test]
    fn shared_tables_equal_the_model_unless_the_kernel_side_was_blind(steps in steps(true)) {
        let mut world = World::new(Vec::new());
        for step in &steps {
            world.step(step);
        }
        world.kernel.settle();
        if !world.kernel.blind {
            world.check();
        }
        world.reconcile_all();
        for running in &world.running {
            let found: Vec<u32> = world.descriptors(running.id).into_keys().collect();
            let shown: Vec<u32> = world.tables[running.table].keys().copied().collect();
            prop_assert_eq!(found, shown);
        }
    }

    #[test]
    fn losses_followed_by_a_reconciliation_leave_no_false_leak(
        steps in steps(true),
        losses in prop::collection::vec(prop::bool::weighted(0.3), 1..50),
    ) {
        let mut world = World::new(losses);
        for step in &steps {
            world.step(step);
        }
        world.kernel.settle();
        world.kernel.ledger.lost(None);
        world.kernel.now += 50;
        world.kernel.ledger.horizon(world.kernel.now);
        world.reconcile_all();
        world.check_shown();
    }
}

#[test]
fn the_generated_interleavings_take_the_late_paths() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut ended, mut inherited) = (0, 0);
    for _ in 0..100 {
        let mut world = World::new(Vec::new());
        for step in &steps(false).new_tree(&mut runner).unwrap().current() {
            world.step(step);
        }
        world.kernel.settle();
        ended += world.kernel.ledger.totals().ended_before_promotion;
        inherited += world
            .kernel
            .ledger
            .processes()
            .map(|view| view.inherited.total())
            .sum::<u64>();
    }
    assert!(ended > 100 && inherited > 100, "{ended} {inherited}");
}
