//! The code of processes: unwind tables for the programs in the kernel, names for addresses, and stacks that wait for
//! either. It learns of code from the kernel's notices and from `/proc`, while processes live.

mod interpreted;
mod unfinished;

use std::time::Duration;

use leak_common::{ProcessId, wire::StackEnd};

use super::{Plan, outlet::Outlet};
use crate::{
    analysis::Input,
    event::{CodeMapped, Executed, Forked, Interpreted as Walked, Notice, Site},
    judge::GeneratedCode,
    kernel::{TableMaps, monotonic_now},
    ledger::SiteKey,
    model::{address::AddressRange, hash::Map, report::Frame, site::SiteId, time::Nanos},
    proc::Proc,
    stacks::{
        MappedCode,
        symbolize::{Symbolizer, UnknownCode},
        tables::{Figures, Tables},
    },
};
use interpreted::Interpreted;
pub(super) use unfinished::EndChanges;
use unfinished::Stacks;

/// How long the start may take until the code that is mapped has unwind tables; what is left then follows. Who traces a
/// host waits for hundreds of programs, who chose processes or a command for those alone.
const TABLES_FIRST: Duration = Duration::from_secs(2);
const TABLES_OF_CHOSEN: Duration = Duration::from_secs(10);

/// Least time between two looks at the same process's code.
const LEARN_AGAIN: Nanos = 100_000_000;

/// Files of code opened in a tick as they are mapped: a process that maps ever more of them must not keep the tracer
/// from its events. The others are found by looking at the process.
const FILES_IN_A_TICK: usize = 64;

/// Programs looked at in a tick when their first site is told, and not when something of it is old:
/// a process may have ended by then. A look takes about a tenth of a millisecond.
const EARLY_LOOKS: usize = 8;

pub(super) struct Code {
    proc: Proc,
    /// A command is traced, whose descendants may not live long.
    prompt: bool,
    symbolizer: Symbolizer,
    tables: Tables,
    interpreted: Interpreted,
    stacks: Stacks,
    /// Sites with frames whose code is not known.
    unknown: Map<SiteId, UnknownCode>,
    /// Programs that may still be looked at in this tick before anything of them is old.
    looks_left: usize,
    /// Which of its process's programs a site belongs to, where that is not the first.
    generations: Map<SiteId, u32>,
    /// When a process's code was last looked at.
    learned: Map<ProcessId, Nanos>,
    /// Files of code that may still be opened in this tick as they are mapped.
    files_left: usize,
}

impl Code {
    /// Learns the code of what is to be traced, and waits for its tables for a while.
    pub(super) fn start(maps: TableMaps, proc: &Proc, plan: &Plan) -> anyhow::Result<Code> {
        let tables = Tables::start(maps, proc.clone())?;
        let run = !plan.command.is_empty();
        if !run {
            tables.learn_processes(pids(proc, &plan.pids)?);
            tables.wait(match plan.pids.as_slice() {
                [] => TABLES_FIRST,
                _ => TABLES_OF_CHOSEN,
            });
        }
        if plan.pids.is_empty() {
            tables.learn_host();
        }
        Ok(Code {
            proc: proc.clone(),
            prompt: run,
            symbolizer: Symbolizer::default(),
            tables,
            interpreted: Interpreted::start()?,
            stacks: Stacks::default(),
            unknown: Map::default(),
            looks_left: EARLY_LOOKS,
            generations: Map::default(),
            learned: Map::default(),
            files_left: FILES_IN_A_TICK,
        })
    }

    /// Learns this program's own libraries: processes that live for a moment have names from those that are here too.
    pub(super) fn learn_own(&mut self) {
        self.symbolizer.learn_own(&self.proc, monotonic_now());
    }

    /// Learns the code of a command that is held before its first instruction.
    pub(super) fn learn_command(&mut self, process: ProcessId) {
        // Its exec is the first program after the fork.
        self.symbolizer
            .learn(&self.proc, process, 1, monotonic_now());
        self.tables.learn_command(process.pid());
        self.tables.wait(TABLES_OF_CHOSEN);
    }

    /// A new interval between looks begins.
    pub(super) fn tick(&mut self) {
        self.files_left = FILES_IN_A_TICK;
        self.looks_left = EARLY_LOOKS;
    }

    /// Uses up what concerns stacks alone.
    pub(super) fn noticed(&mut self, notice: &Notice, outlet: &mut Outlet) {
        match notice {
            Notice::CodeMapped(mapped) => {
                self.tables.want(mapped);
                self.stacks.mapped(mapped);
                self.learn_mapped(mapped, outlet.generation(mapped.process));
            }
            Notice::Interpreted(walked) => self.walked(walked),
            Notice::Unfinished(stack) => self.unfinished(stack, outlet),
            // Only the comparison of unwinders asks for these.
            Notice::StackSample(_) => {}
        }
    }

    fn walked(&mut self, walked: &Walked) {
        self.stacks.interpreted(walked.site, &walked.frames);
        if let Some(runtime) = self.tables.runtime(walked.layout) {
            let pid = walked.process.pid();
            self.interpreted
                .take(walked.site, pid, runtime, &walked.frames);
        }
    }

    /// Takes note of code that a process has just mapped.
    fn learn_mapped(&mut self, mapped: &CodeMapped, generation: u32) {
        let code = MappedCode::from(mapped);
        let open = || {
            self.files_left = self.files_left.checked_sub(1)?;
            self.tables.open(mapped).ok()
        };
        let process = (mapped.process, generation);
        self.symbolizer
            .mapped(&self.proc, process, mapped.time, &code, open);
    }

    /// Takes note of a site that its process's program of this number has.
    pub(super) fn site(&mut self, site: &Site, generation: u32) {
        if generation > 0 {
            self.generations.insert(site.id, generation);
        }
    }

    /// Which of its process's programs a site belongs to.
    fn generation_of(&self, site: SiteId) -> u32 {
        self.generations.get(&site).copied().unwrap_or(0)
    }

    /// A site that was made of another, for another kind, belongs to the same program.
    pub(super) fn derived(&mut self, site: SiteId, from: SiteId) {
        let generation = self.generation_of(from);
        self.generations.insert(site, generation);
    }

    /// A process is about to be told to have a child.
    pub(super) fn forked(&mut self, forked: &Forked, generation: u32) {
        self.stacks.forked(forked);
        self.symbolizer
            .inherit((forked.parent, generation), (forked.child, 0));
    }

    /// A process begins to run another program.
    pub(super) fn executed(&mut self, executed: &Executed) {
        self.stacks.forget_process(executed.process);
    }

    /// Looks at a new program at once, where it may not live long. It was told already.
    pub(super) fn look_at_program(&mut self, executed: &Executed, outlet: &Outlet) {
        let generation = outlet.generation(executed.process);
        self.learned.remove(&executed.process);
        self.look_at(executed.process, &[0], executed.time, generation);
    }

    /// Looks at the code of a site that was told just now, if few were before in this tick.
    pub(super) fn look_early(&mut self, site: SiteId, outlet: &mut Outlet) {
        let record = outlet.ledger().site(SiteKey::Site(site));
        let is_known = record.is_none_or(|one| self.learned.contains_key(&one.process));
        if !is_known && self.looks_left > 0 {
            self.looks_left -= 1;
            self.look_at_site(site, outlet);
        }
    }

    /// Reads a process's code if a stack is not covered by what is known of it.
    fn look_at(&mut self, process: ProcessId, frames: &[u64], time: Nanos, generation: u32) {
        if self.symbolizer.covers(process, generation, frames, time) {
            return;
        }
        // Garbage on a stack stays uncovered however often one looks.
        let now = monotonic_now();
        let last = self.learned.get(&process).copied();
        if last.is_some_and(|last| now.saturating_sub(last) < LEARN_AGAIN) && !self.prompt {
            return;
        }
        if self.proc.identity(process.pid()) == Some(process) {
            self.learned.insert(process, now);
            self.symbolizer.learn(&self.proc, process, generation, now);
        }
    }

    /// Looks at the code of a site's process.
    pub(super) fn look_at_site(&mut self, site: SiteId, outlet: &mut Outlet) {
        let Some(record) = outlet.ledger().site(SiteKey::Site(site)) else {
            return;
        };
        let process = record.process;
        let generation = self.generation_of(site);
        // The code of a program that was replaced is gone.
        if generation == outlet.generation(process) {
            let stack = (&*record.frames, record.first_seen);
            self.look_at(process, stack.0, stack.1, generation);
            let known = outlet.analysis().generated_code(process);
            let found = self
                .symbolizer
                .generated_code(process, generation, stack, known);
            if !found.is_empty() {
                let ranges = together(found, known);
                let code = GeneratedCode { process, ranges };
                outlet.tell(Input::GeneratedCode(Box::new(code)));
            }
        }
    }

    /// The site that a resource counts for, where its stack was finished.
    pub(super) fn resolve(&self, site: SiteId) -> SiteId {
        self.stacks.resolve(site)
    }

    /// The frames of a site with names, innermost first.
    pub(super) fn frames_of_site(&mut self, site: SiteId, outlet: &Outlet) -> Vec<Frame> {
        let Some(record) = outlet.ledger().site(SiteKey::Site(site)) else {
            return Vec::new();
        };
        let stack = Stack {
            process: record.process,
            generation: self.generation_of(site),
            site,
            frames: &record.frames,
            end: record.end,
            time: record.first_seen,
        };
        let (process, generation) = (stack.process, stack.generation);
        let why = self
            .symbolizer
            .unknown_code(process, generation, stack.frames, stack.time);
        match why.filter(|_| !stack.frames.is_empty()) {
            Some(why) => self.unknown.insert(site, why),
            None => self.unknown.remove(&site),
        };
        self.frames(&stack)
    }

    /// Why there are frames without a name and a file, in a sentence; `None` where there are none.
    pub(super) fn uncovered(&self) -> Option<String> {
        let count = |why| self.unknown.values().filter(|&&other| other == why).count();
        let reasons = [
            (
                UnknownCode::NeverRead,
                "the process ended before its code was looked at",
            ),
            (
                UnknownCode::Forgotten,
                "there was no room for the code of so many processes",
            ),
            (UnknownCode::NotMapped, "no code was seen at an address"),
        ];
        let reasons = reasons.into_iter().map(|(why, words)| (count(why), words));
        let reasons = reasons.filter(|(count, _)| *count > 0);
        let reasons: Vec<String> = reasons
            .map(|(count, words)| format!("{count} because {words}"))
            .collect();
        (!reasons.is_empty()).then(|| {
            let all = self.unknown.len();
            format!(
                "frames of {all} stacks have no names: {}",
                reasons.join(", ")
            )
        })
    }

    /// The frames of a stack with names, innermost first.
    pub(super) fn frames(&mut self, stack: &Stack<'_>) -> Vec<Frame> {
        let native =
            self.symbolizer
                .symbolize(stack.process, stack.generation, stack.frames, stack.time);
        self.interpreted
            .merge(stack.site, native, stack.end == StackEnd::Complete)
    }

    /// Waits for unwind tables that stacks wait for, for a while.
    pub(super) fn wait_for_tables(&self, limit: Duration) {
        self.tables.wait(limit);
    }

    /// Waits for names that are being read, for a while.
    pub(super) fn wait_for_names(&self, limit: Duration) {
        self.interpreted.wait(limit);
    }

    /// How many stacks end for other reasons than the programs counted.
    pub(super) fn end_changes(&self) -> &EndChanges {
        self.stacks.end_changes()
    }

    /// How the tables are doing.
    pub(super) fn figures(&self) -> Figures {
        self.tables.figures()
    }

    /// A process's exit is long past. What its stacks are made of stays as long as the ledger knows of it (`kept`).
    pub(super) fn forget_process(&mut self, process: ProcessId, kept: bool) {
        self.learned.remove(&process);
        self.stacks.forget_process(process);
        if !kept {
            self.symbolizer.forget(process);
        }
    }

    /// Nothing asks for a site any more.
    pub(super) fn forget_site(&mut self, site: SiteId) {
        self.interpreted.forget(site);
        self.stacks.forget_site(site);
        self.generations.remove(&site);
        self.unknown.remove(&site);
    }
}

/// A stack to be named.
pub(super) struct Stack<'a> {
    pub(super) process: ProcessId,
    /// Which of the process's programs it was.
    pub(super) generation: u32,
    pub(super) site: SiteId,
    /// Addresses, innermost first.
    pub(super) frames: &'a [u64],
    pub(super) end: StackEnd,
    /// When it was taken.
    pub(super) time: Nanos,
}

/// All that is in one of both, in the order of addresses.
fn together(mut ranges: Vec<AddressRange>, known: &[AddressRange]) -> Vec<AddressRange> {
    ranges.extend_from_slice(known);
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges
}

/// The chosen processes, or all of them.
fn pids(proc: &Proc, chosen: &[u32]) -> std::io::Result<Vec<u32>> {
    if !chosen.is_empty() {
        return Ok(chosen.to_vec());
    }
    let processes = proc.processes()?;
    Ok(processes.iter().map(|stat| stat.id.pid()).collect())
}
