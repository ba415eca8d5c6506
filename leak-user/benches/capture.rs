//! What a recording of all events costs: bytes and nanoseconds of each event that is
//! written, events that are read, reported and verified in a second.
//!
//! ```sh
//! cargo bench -p leak-user --bench capture                        # 4 million events
//! cargo bench -p leak-user --bench capture -- EVENTS              # as many as you say
//! cargo bench -p leak-user --bench capture -- 140000000 big.lkt   # writes a gigabyte
//! cargo xtask bench --only capture                                # into docs/cost.md
//! ```
//!
//! With a file, nothing is measured: the recording is written there, for example to see
//! how much memory `leaktrace report big.lkt` takes. Time is that of the processor,
//! memory is the only device: neither a disk nor what else runs is measured.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, VecDeque},
    fs::File,
    io::Write,
};

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};
use leak_user::{
    analysis::{Beginning, Input},
    event::{Acquired, Event, Released, Site},
    model::{site::SiteId, time::Nanos},
    recording::{
        format::{Item, Reader, Writer, verify},
        reader::{self, Query, Source},
    },
};

/// Events, unless the command line says otherwise.
const EVENTS: usize = 4_000_000;
/// How often each figure is taken; the median counts.
const ROUNDS: usize = 5;

fn main() {
    // cargo passes `--bench`.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let wanted = words.next().map(|word| word.parse().expect("EVENTS"));
    let churn = Churn::new().take(wanted.unwrap_or(EVENTS));
    if let Some(path) = words.next() {
        let file = File::create(path).expect("FILE");
        written(churn, file);
        return;
    }
    let churn: Vec<Input> = churn.collect();
    let count = churn.len() as f64;

    let mut file = Vec::new();
    let write = median(|| {
        let mut sink = std::mem::take(&mut file);
        sink.clear();
        file = written(&churn, sink);
    });
    let events = acquired_and_released(&churn);
    let read = median(|| assert_eq!(read_from(&file), events));
    let outstanding = events.0 - events.1;
    let reported = median(|| assert_eq!(outstanding_in(&file), outstanding));
    let verified = median(|| assert!(verify(&*file).is_ok_and(|verified| verified.intact())));
    assert!(
        as_written(&churn, &file),
        "what was read is not what was written"
    );

    println!("bytes_per_event {:.2}", file.len() as f64 / count);
    println!("write_ns_per_event {:.1}", write * 1e9 / count);
    println!("read_events_per_second {:.0}", count / read);
    println!("report_events_per_second {:.0}", count / reported);
    println!("verify_events_per_second {:.0}", count / verified);
}

fn written<W: Write>(churn: impl IntoIterator<Item: Borrow<Input>>, sink: W) -> W {
    let beginning = Beginning {
        started: Churn::STARTED,
        from: Churn::STARTED,
        nursery: 1_000_000_000,
        all_events: true,
        ..Beginning::default()
    };
    let mut writer = Writer::new(sink, &beginning).expect("the sink takes all");
    for input in churn {
        writer.input(input.borrow()).expect("the sink takes all");
    }
    writer.finish().expect("the sink takes all").0
}

/// How many events of a churn are acquisitions, and how many releases.
fn acquired_and_released(churn: &[Input]) -> (u64, u64) {
    let count = |is: fn(&Input) -> bool| churn.iter().filter(|&input| is(input)).count() as u64;
    (
        count(|input| matches!(input, Input::Event(Event::Acquired(_)))),
        count(|input| matches!(input, Input::Event(Event::Released(_)))),
    )
}

/// Makes the report; returns how many resources are outstanding in it.
fn outstanding_in(file: &[u8]) -> u64 {
    let source = Source {
        name: "churn".to_owned(),
        content: file,
        is_being_written: false,
    };
    let report = reader::report(vec![source], &Query::default()).expect("it was just written");
    let processes = report.processes.iter();
    processes
        .flat_map(|process| process.outstanding.values())
        .sum()
}

/// Reads everything; returns how many acquisitions and releases there are.
fn read_from(file: &[u8]) -> (u64, u64) {
    let (mut acquired, mut released) = (0, 0);
    let mut latest = 0;
    let mut reader = Reader::new(file).expect("it was just written");
    let read = reader.visit(|item| {
        // Something of each event must be looked at, or the compiler leaves it out.
        let time = match item {
            Item::Input(Input::Event(Event::Acquired(event))) => {
                acquired += 1;
                event.time
            }
            Item::Input(Input::Event(Event::Released(event))) => {
                released += 1;
                event.time
            }
            _ => return,
        };
        latest = latest.max(time);
    });
    read.expect("memory does not fail");
    assert!(latest > 0);
    (acquired, released)
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
/// some tens of sites each, on two processors at 500,000 events a second. It never ends.
struct Churn {
    random: u64,
    time: Nanos,
    /// Until when the horizon and the samples were told.
    horizon: Nanos,
    sample: Nanos,
    processes: Vec<Opener>,
    /// What is to be released, by time.
    due: BTreeSet<(Nanos, usize, u64, Nanos)>,
    next: VecDeque<Input>,
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
    const FRAMES: u64 = 12;
    /// Mean time between two acquisitions.
    const GAP_NS: f64 = 4000.0;
    const STARTED: Nanos = 86_400_000_000_000;
    /// As a trace tells them.
    const HORIZON_EACH: Nanos = 200_000_000;
    const SAMPLE_EACH: Nanos = 1_000_000_000;

    fn new() -> Churn {
        let mut churn = Churn {
            random: 0x2545_f491_4f6c_dd1d,
            time: Self::STARTED,
            horizon: Self::STARTED,
            sample: Self::STARTED,
            processes: Vec::new(),
            due: BTreeSet::new(),
            next: VecDeque::new(),
        };
        for number in 0..Self::PROCESSES {
            let id = ProcessId::new(1000 + 17 * number, 4_000_000 + u64::from(number) * 999);
            let sites = (0..Self::SITES).map(|site| churn.site(id, site)).collect();
            let next_address = 0x7f00_0000_0000 + (churn.random() & 0xff_ffff_f000);
            churn.processes.push(Opener {
                id,
                sites,
                open: (0..10).collect(),
                next_address,
            });
        }
        churn
    }

    /// Tells a site of a process.
    fn site(&mut self, process: ProcessId, number: u64) -> (SiteId, Kind) {
        let kind = match number % 8 {
            0 => Kind::Mapping,
            1 | 2 => Kind::Socket,
            3 => Kind::Pipe,
            _ => Kind::File,
        };
        let id = SiteId(self.random() | 1);
        let frames = (0..Self::FRAMES)
            .map(|_| 0x5555_0000_0000 + self.random() % (1 << 24))
            .collect();
        let site = Event::Site(Site {
            time: self.time,
            process,
            kind,
            id,
            tid: process.pid(),
            frames,
            end: StackEnd::Complete,
        });
        self.next.push_back(Input::Event(site));
        (id, kind)
    }

    /// xorshift64*: the same churn each time.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Between 0 and 1, both out of reach.
    fn uniform(&mut self) -> f64 {
        ((self.random() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Goes on to the next acquisition.
    fn step(&mut self) {
        self.time += (-self.uniform().ln() * Self::GAP_NS) as u64;
        while let Some(&due) = self.due.first()
            && due.0 <= self.time
        {
            self.due.remove(&due);
            self.release(due);
        }
        if self.time >= self.horizon + Self::HORIZON_EACH {
            self.horizon = self.time;
            self.next.push_back(Input::Horizon(self.time));
        }
        if self.time >= self.sample + Self::SAMPLE_EACH {
            self.sample = self.time;
            self.next.push_back(Input::Sample(self.time));
        }
        self.acquire();
    }

    fn acquire(&mut self) {
        // Some processes and some sites are busier than others.
        let process = (self.uniform() * self.uniform() * f64::from(Self::PROCESSES)) as usize;
        let site = (self.uniform() * self.uniform() * Self::SITES as f64) as usize;
        let length = (self.random() % 64 + 1) << 12;
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
        self.next.push_back(Input::Event(Event::Acquired(Acquired {
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

    fn release(&mut self, due: (Nanos, usize, u64, Nanos)) {
        let (time, process, handle, acquired) = due;
        let handle = Handle(handle);
        let opener = &mut self.processes[process];
        opener.open.remove(&handle.value());
        self.next.push_back(Input::Event(Event::Released(Released {
            time,
            process: opener.id,
            handle,
            acquired: Some(acquired),
        })));
    }
}

impl Iterator for Churn {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        while self.next.is_empty() {
            self.step();
        }
        self.next.pop_front()
    }
}
