//! What a capture of all events costs: bytes and nanoseconds of an event written,
//! events read in a second. `cargo bench -p leak-user --bench capture [-- EVENTS]`;
//! `cargo xtask bench --only capture` puts the figures into the document.

use std::collections::BTreeSet;

use leak_common::{Class, Handle, Kind, ProcessId};
use leak_user::{
    analysis::{Beginning, Input},
    capture::{Item, Reader, Writer, verify},
    event::{Acquired, Event, Released, SiteId},
};

/// Events, unless the command line says otherwise.
const EVENTS: usize = 4_000_000;
/// How often each figure is taken; the median counts.
const ROUNDS: usize = 5;

fn main() {
    // cargo passes `--bench`.
    let wanted = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let churn = Churn::new().events(wanted.unwrap_or(EVENTS));
    let count = churn.len() as f64;

    let mut file = Vec::new();
    let write = median(|| {
        let sink = std::mem::take(&mut file);
        file = written(&churn, sink);
    });
    let read = median(|| assert_eq!(events_in(&file), churn.len() as u64));
    let verified = median(|| assert!(verify(&*file).is_ok_and(|verified| verified.intact())));
    assert!(
        as_written(&churn, &file),
        "what was read is not what was written"
    );

    println!("bytes_per_event {:.2}", file.len() as f64 / count);
    println!("write_ns_per_event {:.1}", write * 1e9 / count);
    println!("read_events_per_second {:.0}", count / read);
    println!("verify_events_per_second {:.0}", count / verified);
}

fn written(churn: &[Input], sink: Vec<u8>) -> Vec<u8> {
    let mut sink = sink;
    sink.clear();
    let mut writer = Writer::new(sink, &Beginning::default()).expect("memory does not fail");
    for event in churn {
        writer.input(event).expect("memory does not fail");
    }
    writer.finish().expect("memory does not fail").0
}

fn events_in(file: &[u8]) -> u64 {
    let mut events = 0;
    let mut latest = 0;
    let mut reader = Reader::new(file).expect("it was just written");
    let read = reader.visit(|item| {
        // Something of each event must be looked at, or the compiler leaves it out.
        let time = match item {
            Item::Input(Input::Event(Event::Acquired(acquired))) => acquired.time,
            Item::Input(Input::Event(Event::Released(released))) => released.time,
            _ => return,
        };
        events += 1;
        latest = latest.max(time);
    });
    read.expect("memory does not fail");
    assert!(latest > 0);
    events
}

fn as_written(churn: &[Input], file: &[u8]) -> bool {
    let reader = Reader::new(file).expect("it was just written");
    reader
        .zip(churn)
        .all(|(item, event)| matches!(item, Ok(Item::Input(read)) if read == *event))
}

/// Seconds of processor time that it takes: what else runs on the machine counts less.
fn median(mut run: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = processor_seconds();
            run();
            processor_seconds() - start
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}

fn processor_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists, and the address is that of a timespec.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the thread's clock cannot be read");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Processes that open and close: descriptors of several kinds, some mappings, from
/// some tens of sites each, on two processors at 500,000 events a second.
struct Churn {
    random: u64,
    time: u64,
    processes: Vec<Opener>,
    /// What is to be released, by time.
    due: BTreeSet<(u64, usize, u64, u64)>,
    events: Vec<Input>,
}

struct Opener {
    id: ProcessId,
    sites: Vec<(SiteId, Kind)>,
    /// Descriptors that are open.
    open: BTreeSet<u64>,
    next_address: u64,
}

impl Churn {
    const PROCESSES: u32 = 8;
    const SITES: u64 = 40;
    /// Mean time between two acquisitions.
    const GAP_NS: f64 = 4000.0;

    fn new() -> Churn {
        let mut churn = Churn {
            random: 0x2545_f491_4f6c_dd1d,
            time: 86_400_000_000_000,
            processes: Vec::new(),
            due: BTreeSet::new(),
            events: Vec::new(),
        };
        for number in 0..Self::PROCESSES {
            let sites = (0..Self::SITES)
                .map(|site| {
                    let kind = match site % 8 {
                        0 => Kind::Mapping,
                        1 | 2 => Kind::Socket,
                        3 => Kind::Pipe,
                        _ => Kind::File,
                    };
                    (SiteId(churn.next() | 1), kind)
                })
                .collect();
            let next_address = 0x7f00_0000_0000 + (churn.next() & 0xff_ffff_f000);
            churn.processes.push(Opener {
                id: ProcessId::new(1000 + 17 * number, 4_000_000 + u64::from(number) * 999),
                sites,
                open: (0..10).collect(),
                next_address,
            });
        }
        churn
    }

    /// xorshift64*: the same churn each time.
    fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Between 0 and 1, both out of reach.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn events(mut self, count: usize) -> Vec<Input> {
        while self.events.len() < count {
            self.time += (-self.uniform().ln() * Self::GAP_NS) as u64;
            while let Some(&due) = self.due.first()
                && due.0 <= self.time
            {
                self.due.remove(&due);
                self.release(due);
            }
            self.acquire();
        }
        self.events
    }

    fn acquire(&mut self) {
        // Some processes and some sites are busier than others.
        let process = (self.uniform() * self.uniform() * f64::from(Self::PROCESSES)) as usize;
        let site = (self.uniform() * self.uniform() * Self::SITES as f64) as usize;
        let length = (self.next() % 64 + 1) << 12;
        // From 2 us to 20 ms, as likely short as long on a logarithmic scale.
        let life = (2000.0 * 10_000f64.powf(self.uniform())) as u64;
        let opener = &mut self.processes[process];
        let (site, kind) = opener.sites[site];
        let (class, value, size) = if kind == Kind::Mapping {
            opener.next_address -= length;
            (Class::Mapping, opener.next_address, length)
        } else {
            let lowest = (0..)
                .find(|number| !opener.open.contains(number))
                .expect("there is always another number");
            opener.open.insert(lowest);
            (Class::Descriptor, lowest, 0)
        };
        let handle = Handle::new(class, value);
        self.due
            .insert((self.time + life, process, handle.0, self.time));
        self.events.push(Input::Event(Event::Acquired(Acquired {
            time: self.time,
            process: opener.id,
            kind,
            handle,
            site,
            size,
            close_on_exec: kind != Kind::Mapping,
            kind_guessed: false,
            maybe_existed: false,
        })));
    }

    fn release(&mut self, due: (u64, usize, u64, u64)) {
        let (time, process, handle, acquired) = due;
        let handle = Handle(handle);
        let opener = &mut self.processes[process];
        opener.open.remove(&handle.value());
        self.events.push(Input::Event(Event::Released(Released {
            time,
            process: opener.id,
            handle,
            acquired: Some(acquired),
        })));
    }
}
