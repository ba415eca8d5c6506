//! The code maps of all processes, as many as there is room for. A child shares the map of its
//! parent until it maps code of its own.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    rc::Rc,
};

use leak_common::ProcessId;

use super::{Generation, Limits, code_map::CodeMap};

/// Processes of which it is remembered that there was no room for them.
const MAX_FORGOTTEN: usize = 65_536;

/// Which program of which process.
pub(super) type Program = (ProcessId, Generation);

#[derive(Debug)]
pub(super) struct CodeMaps {
    maps: BTreeMap<Program, Kept>,
    /// Of all maps, those that are shared counted for each process.
    mappings: usize,
    max_processes: usize,
    max_mappings: usize,
    max_perf_map_bytes: usize,
    /// Counts uses, to drop what was not used for longest.
    clock: u64,
    forgotten: HashSet<ProcessId>,
}

#[derive(Debug)]
struct Kept {
    map: Rc<CodeMap>,
    used: u64,
}

impl CodeMaps {
    pub(super) fn new(limits: &Limits) -> CodeMaps {
        CodeMaps {
            maps: BTreeMap::new(),
            mappings: 0,
            max_processes: limits.processes.max(1),
            max_mappings: limits.mappings,
            max_perf_map_bytes: limits.perf_map_bytes,
            clock: 0,
            forgotten: HashSet::new(),
        }
    }

    pub(super) fn get(&self, program: Program) -> Option<&CodeMap> {
        self.maps.get(&program).map(|kept| &*kept.map)
    }

    /// The same, which keeps it for longer.
    pub(super) fn used(&mut self, program: Program) -> Option<Rc<CodeMap>> {
        self.clock += 1;
        let kept = self.maps.get_mut(&program)?;
        kept.used = self.clock;
        Some(Rc::clone(&kept.map))
    }

    pub(super) fn take(&mut self, program: Program) -> Option<CodeMap> {
        let kept = self.maps.remove(&program)?;
        self.mappings -= kept.map.len();
        Some(Rc::unwrap_or_clone(kept.map))
    }

    pub(super) fn insert(&mut self, program: Program, map: CodeMap) {
        let has_names = map.perf_map.is_some();
        self.keep(program, Rc::new(map));
        if has_names {
            self.bound_perf_maps();
        }
    }

    /// Gives a program what is known of another one.
    pub(super) fn share(&mut self, from: Program, to: Program) {
        if let Some(map) = self.used(from) {
            self.keep(to, map);
        }
    }

    fn keep(&mut self, program: Program, map: Rc<CodeMap>) {
        self.clock += 1;
        let used = self.clock;
        self.mappings += map.len();
        if let Some(before) = self.maps.insert(program, Kept { map, used }) {
            self.mappings -= before.map.len();
        }
        self.forgotten.remove(&program.0);
        if self.maps.len() > self.max_processes || self.mappings > self.max_mappings {
            self.make_room();
        }
    }

    /// Drops those that were not used for longest: an eighth at a time, as it takes a look at all.
    fn make_room(&mut self) {
        let mut order: Vec<(u64, Program)> = self
            .maps
            .iter()
            .map(|(program, kept)| (kept.used, *program))
            .collect();
        order.sort_unstable();
        // The one that came last stays.
        order.pop();
        let less = |most: usize| most - most / 8;
        let (processes, mappings) = (less(self.max_processes), less(self.max_mappings));
        for (_, program) in order {
            let is_room = self.maps.len() <= processes && self.mappings <= mappings;
            if is_room {
                break;
            }
            self.take(program);
            if self.forgotten.len() < MAX_FORGOTTEN {
                self.forgotten.insert(program.0);
            }
        }
    }

    /// Whether there was no room for what was known of a process.
    pub(super) fn has_forgotten(&self, process: ProcessId) -> bool {
        self.forgotten.contains(&process)
    }

    /// Drops what is known of a process.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.forgotten.remove(&process);
        let programs = self.maps.range((process, 0)..=(process, Generation::MAX));
        let programs: Vec<Program> = programs.map(|(program, _)| *program).collect();
        for program in programs {
            self.take(program);
        }
    }

    /// Drops the perf maps not used for longest until the rest fits.
    fn bound_perf_maps(&mut self) {
        let named = self.maps.values_mut();
        let mut by_use: Vec<&mut Kept> = named.filter(|kept| kept.map.perf_map.is_some()).collect();
        by_use.sort_by_key(|kept| Reverse(kept.used));
        let mut bytes = 0;
        for kept in by_use {
            bytes += kept.map.perf_map.as_ref().map_or(0, |map| map.bytes());
            if bytes > self.max_perf_map_bytes {
                Rc::make_mut(&mut kept.map).perf_map = None;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.maps.len()
    }
}
