//! Stacks that the programs could not finish because a table was missing. They are finished
//! here once there are tables, and what was acquired at them counts for the site
//! that the programs would have found.

use std::collections::VecDeque;

use leak_common::{
    ProcessId, identity::site_of, limits::MAX_FRAMES, unwind::PythonFrame, wire::StackEnd,
};

use super::{Code, Outlet};
use crate::{
    analysis::Input,
    event::{CodeMapped, Event, Forked, Site, Unfinished},
    ledger::SiteKey,
    model::{hash::Map, site::SiteId, time::Nanos},
    stacks::{MappedCode, tables::CodeByProcess, unwind::finish},
};

/// Stacks that wait at most: some 16 KiB each.
const MAX_WAITING: usize = 1024;

/// How long a stack waits for tables.
const PATIENCE: Nanos = 5_000_000_000;

/// Interpreted stacks that are remembered until it is known whether their native half
/// is finished: records of one stack follow each other closely.
const MAX_INTERPRETED: usize = 64;

#[derive(Debug)]
struct Waiting {
    stack: Box<Unfinished>,
    code: Vec<MappedCode>,
    python: Box<[PythonFrame]>,
}

/// What is known of unfinished stacks.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    waiting: VecDeque<Waiting>,
    /// From sites of one unfinished stack to the site of the finished one.
    aliases: Map<SiteId, SiteId>,
    /// Where processes have mapped code since the trace began.
    mapped: CodeByProcess,
    interpreted: VecDeque<(SiteId, Box<[PythonFrame]>)>,
    ends: EndChanges,
}

/// How many more, or fewer, stacks end for each reason than the programs counted.
#[derive(Debug, Default)]
pub(in crate::trace) struct EndChanges([i64; StackEnd::ALL.len()]);

impl EndChanges {
    fn change(&mut self, from: StackEnd, to: StackEnd) {
        self.0[from as usize] -= 1;
        self.0[to as usize] += 1;
    }

    /// The programs' count with the changes.
    pub(in crate::trace) fn apply(&self, end: StackEnd, count: u64) -> u64 {
        count.saturating_add_signed(self.0[end as usize])
    }
}

impl Stacks {
    /// Takes note of code that a process has mapped.
    pub(super) fn mapped(&mut self, mapped: &CodeMapped) {
        self.mapped.mapped(mapped);
    }

    /// A child has the code of its parent.
    pub(super) fn forked(&mut self, forked: &Forked) {
        self.mapped.forked(forked.parent, forked.child);
    }

    /// A process is gone, or runs another program.
    pub(super) fn forget_process(&mut self, process: ProcessId) {
        self.mapped.forget(process);
    }

    pub(super) fn end_changes(&self) -> &EndChanges {
        &self.ends
    }

    /// The site that a resource counts for.
    pub(super) fn resolve(&self, site: SiteId) -> SiteId {
        self.aliases.get(&site).copied().unwrap_or(site)
    }

    /// Drops what is known of a site.
    pub(super) fn forget_site(&mut self, site: SiteId) {
        self.aliases.remove(&site);
    }

    /// Remembers the interpreted half of a stack.
    pub(super) fn interpreted(&mut self, site: SiteId, frames: &[PythonFrame]) {
        if self.interpreted.len() >= MAX_INTERPRETED {
            self.interpreted.pop_front();
        }
        self.interpreted.push_back((site, frames.into()));
    }

    fn take_interpreted(&mut self, site: SiteId) -> Box<[PythonFrame]> {
        let found = self
            .interpreted
            .iter()
            .position(|(other, _)| *other == site);
        found
            .and_then(|index| self.interpreted.remove(index))
            .map(|(_, frames)| frames)
            .unwrap_or_default()
    }
}

impl Code {
    /// Takes an unfinished stack, while its process may still be there.
    pub(super) fn unfinished(&mut self, stack: &Unfinished, outlet: &mut Outlet) {
        let mut code = vec![MappedCode::from(stack)];
        code.extend(self.stacks.mapped.of(stack.process));
        if self.proc.identity(stack.process.pid()) == Some(stack.process) {
            code.extend(self.tables.mapped_code(stack.process.pid()));
        }
        let waiting = Waiting {
            stack: Box::new(stack.clone()),
            code,
            python: self.stacks.take_interpreted(stack.site),
        };
        if self.try_to_finish(&waiting, outlet) {
            return;
        }
        if self.stacks.waiting.len() >= MAX_WAITING {
            // The oldest stays as it is: it says why it ends.
            self.stacks.waiting.pop_front();
        }
        self.stacks.waiting.push_back(waiting);
    }

    /// Finishes the stacks whose tables have come.
    pub(in crate::trace) fn finish_stacks(&mut self, now: Nanos, outlet: &mut Outlet) {
        for _ in 0..self.stacks.waiting.len() {
            let Some(waiting) = self.stacks.waiting.pop_front() else {
                return;
            };
            let given_up = now.saturating_sub(waiting.stack.time) > PATIENCE;
            if !self.try_to_finish(&waiting, outlet) && !given_up {
                self.stacks.waiting.push_back(waiting);
            }
        }
    }

    /// False while tables are missing.
    fn try_to_finish(&mut self, waiting: &Waiting, outlet: &mut Outlet) -> bool {
        let stack = &waiting.stack;
        let Some(record) = outlet.ledger().site(SiteKey::Site(stack.site)) else {
            return true;
        };
        let mut frames = record.frames.to_vec();
        let (tid, promoted, before) = (record.tid, record.promoted, record.end);
        let code = |address| self.tables.code_at(&waiting.code, address);
        let (callers, end) = finish(stack.last, frames.len(), &stack.memory, code);
        if end == StackEnd::NoTable {
            return false;
        }
        frames.extend(callers);
        frames.truncate(MAX_FRAMES);
        self.stacks.ends.change(before, end);
        // What the programs would have called the site.
        let own = SiteId(site_of(stack.process, &frames, &waiting.python, stack.kind));
        // What was counted at the unfinished site already stays there.
        let id = if promoted > 0 { stack.site } else { own };
        let site = Site {
            time: stack.time,
            process: stack.process,
            kind: stack.kind,
            id,
            tid,
            frames: frames.into(),
            end,
        };
        if id != stack.site {
            self.stacks.aliases.insert(stack.site, id);
            self.interpreted.rename(stack.site, id);
            let generation = self.generation_of(stack.site);
            if generation > 0 {
                self.generations.entry(id).or_insert(generation);
            }
        }
        let known = outlet.ledger().site(SiteKey::Site(id));
        if id == stack.site || known.is_none_or(|known| known.frames.is_empty()) {
            outlet.tell(Input::Event(Event::Site(site)));
        }
        true
    }
}
