//! Compares stacks walked in the kernel with those that framehop, an unwinder by
//! others, finds from the same registers and memory, on real programs:
//!
//!     compare_stacks [--output FILE] [--seconds N] [PROGRAM...]
//!
//! Needs root. Programs that are not installed are left out, and named on stderr.

mod elf;
mod processes;
mod services;
mod stack_sample;
mod table;
mod tools;
mod unfinished;
mod verdict;
mod workload;

use std::collections::HashSet;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use leak_common::ProcessId;
use leak_user::event::{Event, Message, Notice};

use crate::processes::{Process, Processes, Reference};
use crate::stack_sample::{Source, StackSample};
use crate::table::Counts;
use crate::unfinished::Waiting;
use crate::verdict::Verdict;
use crate::workload::{WORKLOADS, Workload};

/// How long to wait for what is still on its way when a program has ended.
const DRAIN: Duration = Duration::from_millis(500);

/// Stacks without explanation that are shown, per program.
const SHOWN: u64 = 3;

struct Arguments {
    output: Option<String>,
    seconds: u64,
    programs: Vec<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed = Arguments {
        output: None,
        seconds: 5,
        programs: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--output" => parsed.output = Some(value()?),
            "--seconds" => {
                let text = value()?;
                parsed.seconds = text
                    .parse()
                    .map_err(|_| format!("{text:?} is no number of seconds"))?;
            }
            name if WORKLOADS.iter().any(|workload| workload.name == name) => {
                parsed.programs.push(argument);
            }
            _ => {
                let names = WORKLOADS.map(|workload| workload.name).join(", ");
                return Err(format!("{argument:?} is none of {names}"));
            }
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    match perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare_stacks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform() -> Result<(), String> {
    let arguments = arguments()?;
    let mut source = Source::start()?;
    // Programs must be looked at before they are gone.
    set_priority(-20);
    let mut programs = Vec::new();
    for workload in &WORKLOADS {
        let chosen = arguments.programs.is_empty()
            || arguments.programs.iter().any(|name| name == workload.name);
        if !chosen {
            continue;
        }
        let time = Duration::from_secs(arguments.seconds);
        if let Some(counts) = measure(workload, time, &mut source)? {
            programs.push((workload.name.to_owned(), counts));
        }
    }
    let text = table::markdown(&programs);
    print!("{text}");
    if let Some(file) = arguments.output {
        std::fs::write(&file, text).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// Lets a program work and compares all of its stacks; nothing if it is not installed.
fn measure(
    workload: &Workload,
    time: Duration,
    source: &mut Source,
) -> Result<Option<Counts>, String> {
    eprintln!("{} ...", workload.name);
    let work = workload.work;
    let worker = std::thread::spawn(move || {
        set_priority(0);
        work(time)
    });
    let mut comparison = Comparison::default();
    loop {
        let over = worker.is_finished();
        match source.next(if over { DRAIN } else { DRAIN / 10 })? {
            Some(event) => comparison.take(&event, source),
            None if over && comparison.waiting.is_empty() => break,
            None => {}
        }
        comparison.finish(source);
    }
    comparison.counts.lost = source.lost()?;
    source.tell_tables();
    match worker.join() {
        Ok(Some(())) => Ok(Some(comparison.counts)),
        // It has said so.
        Ok(None) => Ok(None),
        Err(_) => Err(format!("the work of {} failed", workload.name)),
    }
}

/// Sets how nice this thread is.
fn set_priority(nice: i32) {
    // SAFETY: setpriority(2) takes numbers; 0 is the thread itself.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

#[derive(Default)]
struct Comparison {
    processes: Processes,
    counts: Counts,
    /// Children that do not run a program of their own yet.
    unborn: HashSet<ProcessId>,
    waiting: Waiting,
}

impl Comparison {
    fn take(&mut self, message: &Message, source: &Source) {
        match message {
            Message::Event(Event::Forked(forked)) => {
                if forked.parent.pid() == std::process::id() {
                    self.unborn.insert(forked.child);
                }
                self.processes.forked(forked.parent, forked.child);
                self.waiting.mapped.forked(forked.parent, forked.child);
            }
            Message::Event(Event::Executed(executed)) => {
                self.unborn.remove(&executed.process);
                self.processes.executed(executed.process);
                self.waiting.mapped.forget(executed.process);
            }
            Message::Event(Event::Exited { process, .. }) => self.waiting.mapped.forget(*process),
            Message::Notice(Notice::CodeMapped(mapped)) => {
                self.processes.mapped(mapped);
                self.waiting.mapped.mapped(mapped);
            }
            Message::Notice(Notice::StackSample(sample)) => self.compare(sample, source),
            _ => {}
        }
    }

    fn compare(&mut self, sample: &StackSample, source: &Source) {
        let process = sample.process;
        if process.pid() == std::process::id() || self.unborn.contains(&process) {
            return;
        }
        let Some(process) = self.processes.of(sample) else {
            return self.count(Verdict::Gone, sample);
        };
        let reference = process.unwind(sample);
        let verdict = verdict::compare(sample, &reference, &*process);
        let waits = matches!(verdict, Verdict::NoTable | Verdict::Evicted)
            && self.waiting.take(
                sample,
                reference.clone(),
                Rc::clone(&process),
                source.tables(),
            );
        if !waits {
            self.tell(verdict, sample, &reference, &process);
        }
    }

    /// Compares the stacks that could be finished meanwhile.
    fn finish(&mut self, source: &Source) {
        for stack in self.waiting.finished(source.tables()) {
            let (sample, process) = (&stack.sample, &stack.process);
            let verdict = verdict::compare(sample, &stack.reference, &**process);
            let verdict = if verdict.is_right() {
                Verdict::Finished
            } else {
                verdict
            };
            self.tell(verdict, sample, &stack.reference, process);
        }
    }

    /// Counts a stack, and shows it if it is not right and one of the first.
    fn tell(
        &mut self,
        verdict: Verdict,
        sample: &StackSample,
        reference: &Reference,
        process: &Process,
    ) {
        if !verdict.is_right() && self.counts.of(verdict) < SHOWN {
            let place = |address| process.place(address);
            eprintln!("{}", story(verdict, sample, reference, place));
        }
        self.count(verdict, sample);
    }

    fn count(&mut self, verdict: Verdict, sample: &StackSample) {
        self.counts.add(verdict, sample.frames.len());
    }
}

/// Both stacks side by side from two frames before they part.
fn story(
    verdict: Verdict,
    sample: &StackSample,
    reference: &Reference,
    place: impl Fn(u64) -> String,
) -> String {
    let (ours, theirs) = (&sample.frames, &reference.frames);
    let alike = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let from = alike.saturating_sub(2);
    let column = |frames: &[u64]| -> String {
        let places = frames.iter().skip(from).take(6).map(|frame| place(*frame));
        places.map(|place| format!("\n    {place:?}")).collect()
    };
    format!(
        "{} in thread {} (ip {:#x}, sp {:#x}, fp {:#x}): alike for {alike} frames\n  ours ({} frames, {}):{}\n  framehop's ({} frames, {}{}):{}",
        verdict.heading(),
        sample.tid,
        sample.instruction,
        sample.stack_pointer,
        sample.frame_pointer,
        ours.len(),
        sample.end.name(),
        column(ours),
        theirs.len(),
        reference.error.as_deref().unwrap_or("to the end"),
        if reference.ran_out {
            ", out of memory"
        } else {
            ""
        },
        column(theirs),
    )
}
