//! Stacks that end because a table is missing: a trace finishes them when it is there,
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
use crate::stack_sample::StackSample;

/// How long a stack waits for tables, and how many wait at most: as in a trace.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_WAITING: usize = 1024;

/// How often it is looked whether tables have come.
const AGAIN: Duration = Duration::from_millis(50);

/// A stack that was taken up to where tables were missing.
pub(crate) struct Unfinished {
    pub(crate) sample: StackSample,
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
        sample: &StackSample,
        reference: Reference,
        process: Rc<Process>,
        tables: &Tables,
    ) -> bool {
        if self.stacks.len() >= MAX_WAITING {
            return false;
        }
        let mut code: Vec<MappedCode> = self.mapped.of(sample.process).collect();
        code.extend(tables.mapped_code(sample.process.pid()));
        self.stacks.push_back(Unfinished {
            sample: sample.clone(),
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
        let sample = &mut self.sample;
        let registers = Registers {
            instruction: sample.instruction,
            stack: sample.stack_pointer,
            frame: sample.frame_pointer,
            link: Some(sample.link),
            after_call: true,
        };
        let code = |address| tables.code_at(&self.code, address);
        let (callers, end) = finish(registers, 1, &sample.memory, code);
        if end == StackEnd::NoTable {
            return false;
        }
        let mut frames = vec![sample.instruction];
        frames.extend(callers);
        // Otherwise the process was gone before its mappings could be read: a trace, which
        // goes on from the last frame, has nothing to add either.
        if frames.starts_with(&sample.frames) {
            sample.frames = frames.into();
            sample.end = end;
        }
        true
    }
}
