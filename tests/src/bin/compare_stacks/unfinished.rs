//! Stacks that end for want of tables: a trace finishes them when the tables are there,
//! from the memory that came with them. The same is done here, by the same functions.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use leak_common::wire::StackEnd;
use leak_user::event::Registers;
use leak_user::stacks::MappedCode;
use leak_user::stacks::tables::{CodeByProcess, Tables};
use leak_user::stacks::unwind::finish;

use crate::processes::{Process, Reference};
use crate::snapshot::Snapshot;

/// How long a stack waits for tables, and how many wait at most: as in a trace.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_WAITING: usize = 1024;

/// How often it is looked whether tables have come.
const AGAIN: Duration = Duration::from_millis(50);

/// A stack that was taken up to where tables were missing.
pub(crate) struct Unfinished {
    pub(crate) snapshot: Snapshot,
    pub(crate) reference: Reference,
    pub(crate) process: Rc<Process>,
    code: Vec<MappedCode>,
    since: Instant,
}

/// Unfinished stacks, and what is needed to finish them.
#[derive(Default)]
pub(crate) struct Waiting {
    stacks: VecDeque<Unfinished>,
    pub(crate) mapped: CodeByProcess,
    looked: Option<Instant>,
}

impl Waiting {
    /// Takes an unfinished stack. False if too many wait.
    pub(crate) fn take(
        &mut self,
        snapshot: &Snapshot,
        reference: Reference,
        process: Rc<Process>,
        tables: &Tables,
    ) -> bool {
        if self.stacks.len() >= MAX_WAITING {
            return false;
        }
        let mut code: Vec<MappedCode> = self.mapped.of(snapshot.process).collect();
        code.extend(tables.mapped_code(snapshot.process.pid()));
        self.stacks.push_back(Unfinished {
            snapshot: snapshot.clone(),
            reference,
            process,
            code,
            since: Instant::now(),
        });
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// The stacks that are finished now, with all their frames, and those that nobody
    /// waits for any more, as they were.
    pub(crate) fn finished(&mut self, tables: &Tables) -> Vec<Unfinished> {
        let mut done = Vec::new();
        if self.looked.is_some_and(|time| time.elapsed() < AGAIN) {
            return done;
        }
        self.looked = Some(Instant::now());
        for _ in 0..self.stacks.len() {
            let Some(mut stack) = self.stacks.pop_front() else {
                break;
            };
            if stack.finish(tables) || stack.since.elapsed() > PATIENCE {
                done.push(stack);
            } else {
                self.stacks.push_back(stack);
            }
        }
        done
    }
}

impl Unfinished {
    /// False while tables are missing.
    fn finish(&mut self, tables: &Tables) -> bool {
        let snapshot = &mut self.snapshot;
        let registers = Registers {
            instruction: snapshot.instruction,
            stack: snapshot.stack_pointer,
            frame: snapshot.frame_pointer,
            link: Some(snapshot.link),
            after_call: true,
        };
        let code = |address| tables.code_at(&self.code, address);
        let (callers, end) = finish(registers, 1, &snapshot.memory, code);
        if end == StackEnd::NoTable {
            return false;
        }
        let mut frames = vec![snapshot.instruction];
        frames.extend(callers);
        // Otherwise the process was gone before its mappings could be read: a trace, which
        // goes on from the last frame, has nothing to add either.
        if frames.starts_with(&snapshot.frames) {
            snapshot.frames = frames.into();
            snapshot.end = end;
        }
        true
    }
}
