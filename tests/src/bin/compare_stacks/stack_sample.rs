//! Where the stacks come from: the kernel walks them, and hands out with each the
//! registers and memory it was walked from.

use std::collections::VecDeque;
use std::thread::sleep;
use std::time::{Duration, Instant};

use leak_common::Counter;
use leak_user::event::{Event, Message, Notice};
use leak_user::kernel::RingReader;
use leak_user::kernel::decode::decode_batch;
use leak_user::kernel::{Options, Tracer};
use leak_user::proc::Proc;
use leak_user::stacks::tables::{Tables, default_memory};

pub(crate) use leak_user::event::StackSample;

/// How long the tables of what is installed may take.
const TABLES: Duration = Duration::from_secs(60);

/// Without a change for so long, they are complete.
const SETTLED: Duration = Duration::from_secs(1);

/// Short, since a process may live no longer than some milliseconds.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// The tracer, as `leaktrace trace` runs it on a host, for what this process starts.
pub(crate) struct Source {
    // Ends before the programs do: it holds their ring.
    reader: RingReader,
    tables: Tables,
    tracer: Tracer,
    messages: VecDeque<Message>,
    lost: u64,
}

impl Source {
    /// Traces all descendants of this process from now on.
    ///
    /// # Errors
    /// Where the tracer does not load or attach.
    pub(crate) fn start() -> Result<Source, String> {
        let options = Options {
            // Each stack comes with 32 KiB of memory.
            ring_bytes: 256 << 20,
            follow_own_children: true,
            prompt: true,
            all_events: true,
            stack_memory: default_memory(),
            stack_samples: true,
            ..Options::default()
        };
        let mut tracer = Tracer::load(&options).map_err(|error| error.to_string())?;
        let proc = Proc::new("/proc");
        let maps = tracer.take_tables().map_err(|error| error.to_string())?;
        let tables = Tables::start(maps, proc.clone())
            .map_err(|error| format!("cannot start the threads that build tables: {error}"))?;
        let processes = proc
            .processes()
            .map_err(|error| format!("cannot list processes: {error}"))?;
        tables.learn_processes(processes.iter().map(|stat| stat.id.pid()));
        tables.wait(TABLES);
        tables.learn_host();
        settle(&tables);
        tracer.attach().map_err(|error| error.to_string())?;
        let ring = tracer.take_ring().map_err(|error| error.to_string())?;
        let reader = RingReader::start(ring, options.ring_bytes, true)
            .map_err(|error| format!("cannot start the thread that reads the ring: {error}"))?;
        let source = Source {
            reader,
            tables,
            tracer,
            messages: VecDeque::new(),
            lost: 0,
        };
        source.tell_tables();
        Ok(source)
    }

    /// Says on stderr how the tables are doing.
    pub(crate) fn tell_tables(&self) {
        eprintln!("tables: {}", self.tables.figures());
    }

    /// The next event, or nothing if none came within `patience`. Frames are as they
    /// are in memory: the instruction pointer, which is behind the `syscall`, then
    /// return addresses.
    ///
    /// # Errors
    /// Where records make no sense.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Option<Message>, String> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.messages.pop_front() {
                return Ok(Some(event));
            }
            if let Some(batch) = self.reader.try_next() {
                let undecodable = decode_batch(&batch, |message| match message {
                    Message::Notice(Notice::CodeMapped(mapped)) => {
                        self.tables.want(&mapped);
                        self.messages.push_back(message);
                    }
                    Message::Notice(Notice::StackSample(_))
                    | Message::Event(
                        Event::Forked(_) | Event::Executed(_) | Event::Exited { .. },
                    ) => {
                        self.messages.push_back(message);
                    }
                    _ => {}
                });
                if undecodable > 0 {
                    return Err(format!("{undecodable} records make no sense"));
                }
                continue;
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            sleep(LOOK_AGAIN);
        }
    }

    /// The tables that the kernel walks by.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How many records were lost since the last time this was asked.
    ///
    /// # Errors
    /// Where the kernel refuses to tell.
    pub(crate) fn lost(&mut self) -> Result<u64, String> {
        let counters = self.tracer.counters().map_err(|error| error.to_string())?;
        let lost = counters.get(Counter::RingFull);
        let new = lost - self.lost;
        self.lost = lost;
        Ok(new)
    }
}

/// Waits until the tables of what is installed are there, so that each program is
/// met as on a host that has been traced for a while.
fn settle(tables: &Tables) {
    let begun = Instant::now();
    let mut last = tables.figures();
    while begun.elapsed() < TABLES {
        sleep(SETTLED);
        let now = tables.figures();
        if now == last && now.waiting == 0 {
            return;
        }
        last = now;
    }
    eprintln!("tables of what is installed are still being built");
}
