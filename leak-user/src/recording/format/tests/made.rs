//! Inputs and recordings to test with.

use leak_common::{
    Class, Handle, Kind, ProcessId,
    unwind::{FileKey, PythonFrame},
    wire::StackEnd,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

use crate::{
    analysis::{Beginning, FirstFailure, Input, SavedAnalysis},
    event::{
        Acquired, Call, CodeMapped, Event, Executed, Failed, Forked, Interpreted, Notice,
        RangeReleased, Registers, Released, Remapped, Site, StackSample, Uncovered, Unfinished,
    },
    judge::{GeneratedCode, LastUses, Observation},
    ledger::{BaselineProcess, Shown, SiteCounts},
    model::{
        address::AddressRange,
        facts::{Description, Facts},
        hex::Hex,
        refusal::Refusal,
        report::{Failure, Frame, Health, Holder, Host, Limit, SharedLimit, Socket},
        site::SiteId,
    },
    recording::format::{Damage, Item, ReadError, Reader, Unknown, Writer},
};

/// What recordings here begin with.
pub(super) fn beginning() -> Beginning {
    Beginning {
        version: "0.1.0".into(),
        host: Host {
            hostname: "here".into(),
            kernel: "6.18".into(),
            arch: "x86_64".into(),
            boot_id: "0d4d".into(),
        },
        started: 1_000_000,
        started_at: 1_700_000_000_000_000_000,
        from: 1_000_000,
        part: 0,
        nursery: 1_000_000_000,
        kinds: 0x7fffe,
        keep_exited: false,
        all_events: false,
    }
}

/// The file of a recording of `inputs`; after every `flushes` inputs a segment is closed.
pub(super) fn recording(inputs: &[Input], flushes: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &beginning()).unwrap();
    for (number, input) in inputs.iter().enumerate() {
        writer.input(input).unwrap();
        if (number + 1).is_multiple_of(flushes) {
            writer.flush_segment().unwrap();
        }
    }
    writer.finish().unwrap().0
}

/// What a reader makes of bytes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) beginning: Option<Beginning>,
    pub(super) inputs: Vec<Input>,
    pub(super) damages: Vec<Damage>,
    pub(super) unknown: Vec<Unknown>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Read, ReadError> {
    let mut reader = Reader::new(bytes)?;
    let mut read = Read {
        beginning: reader.beginning().cloned(),
        ..Read::default()
    };
    reader.visit(|item| match item {
        Item::Input(input) => read.inputs.push(input),
        Item::Damage(damage) => read.damages.push(damage),
        Item::Unknown(unknown) => read.unknown.push(unknown),
    })?;
    Ok(read)
}

/// Programs that open and close.
pub(super) fn churn(count: u64) -> Vec<Input> {
    let mut events = vec![Event::Forked(Forked {
        time: 1_000_000,
        parent: ProcessId::new(1, 1),
        child: ProcessId::new(100, 5),
        shares_files: false,
        shares_memory: false,
        comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
    })];
    for turn in 0..count {
        let process = ProcessId::new(100 + (turn % 3) as u32, 5);
        let time = 1_000_000 + turn * 1500;
        let descriptor = Handle::new(Class::Descriptor, 3 + turn % 5);
        let site = SiteId(0x9e37_79b9_7f4a_7c15 ^ (turn % 4));
        events.push(Event::Acquired(Acquired {
            time,
            process,
            kind: Kind::File,
            handle: descriptor,
            site,
            size: 0,
            close_on_exec: turn % 2 == 0,
            kind_guessed: false,
            maybe_existed: false,
        }));
        events.push(Event::Released(Released {
            time: time + 700,
            process,
            handle: descriptor,
            acquired: (turn % 4 != 0).then_some(time),
        }));
    }
    events.into_iter().map(Input::Event).collect()
}

fn process() -> impl Strategy<Value = ProcessId> {
    prop_oneof![
        (1..4u32).prop_map(|pid| ProcessId::new(pid, 7)),
        any::<u64>().prop_map(ProcessId)
    ]
}

fn site_id() -> impl Strategy<Value = SiteId> {
    prop_oneof![(0..4u64).prop_map(SiteId), any::<u64>().prop_map(SiteId)]
}

fn handle() -> impl Strategy<Value = Handle> {
    prop_oneof![
        (0..64u64).prop_map(|number| Handle::new(Class::Descriptor, number)),
        (0..1u64 << 47).prop_map(|address| Handle::new(Class::Mapping, address)),
        any::<u64>().prop_map(Handle)
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_000u64, any::<u64>()]
}

fn kind() -> impl Strategy<Value = Kind> {
    select(Kind::ALL.to_vec())
}

fn frames() -> impl Strategy<Value = Box<[u64]>> {
    vec(any::<u64>(), 0..20).prop_map(Vec::into_boxed_slice)
}

fn memory() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..100).prop_map(Vec::into_boxed_slice)
}

fn end() -> impl Strategy<Value = StackEnd> {
    select(StackEnd::ALL.to_vec())
}

fn file() -> impl Strategy<Value = FileKey> {
    any::<(u64, i64, u32, u32)>().prop_map(
        |(inode, changed_seconds, changed_nanoseconds, device)| FileKey {
            inode,
            changed_seconds,
            changed_nanoseconds,
            device,
        },
    )
}

prop_compose! {
    fn acquired()(
        time in time(), process in process(), kind in kind(), handle in handle(), site in site_id(),
        size in prop_oneof![Just(0), any::<u64>()], flags: [bool; 3],
    ) -> Event {
        let [close_on_exec, kind_guessed, maybe_existed] = flags;
        Event::Acquired(Acquired {
            time, process, kind, handle, site, size, close_on_exec, kind_guessed, maybe_existed,
        })
    }
}

prop_compose! {
    fn released()(
        time in time(), process in process(), handle in handle(),
        acquired in of(time()),
    ) -> Event {
        Event::Released(Released { time, process, handle, acquired })
    }
}

prop_compose! {
    fn site()(
        time in time(), process in process(), kind in kind(), id in site_id(), tid: u32,
        frames in frames(), end in end(),
    ) -> Event {
        Event::Site(Site { time, process, kind, id, tid, frames, end })
    }
}

prop_compose! {
    fn range()(
        time in time(), process in process(), class in 1..7u32, first: u64, last: u64,
        flags: [bool; 3],
    ) -> Event {
        let [unshare, close_on_exec, attachment] = flags;
        let class = Class::from_wire(class).unwrap();
        Event::RangeReleased(RangeReleased {
            time, process, class, first, last, unshare, close_on_exec, attachment,
        })
    }
}

prop_compose! {
    fn lifecycle()(
        time in time(), process in process(), other in process(), numbers: [u64; 4],
        site in site_id(), comm: [u8; 16], flags: [bool; 2], which in 0..6,
    ) -> Event {
        let [old, old_length, new, new_length] = numbers;
        let [shares_files, shares_memory] = flags;
        match which {
            0 => Event::Forked(Forked {
                time, parent: process, child: other, shares_files, shares_memory, comm,
            }),
            1 => Event::Executed(Executed { time, process, comm }),
            2 => Event::Exited { time, process },
            3 => Event::Uncovered { time, process, cause: Uncovered::Compat },
            4 => Event::Uncovered { time, process, cause: Uncovered::UringClose },
            _ => Event::Remapped(Remapped {
                time, process, old, old_length, new, new_length, site, keeps_old: shares_files,
            }),
        }
    }
}

prop_compose! {
    fn code()(
        time in time(), process in process(), kind in kind(), site in site_id(), file in file(),
        numbers: [u64; 4], frames in frames(), end in end(), memory in memory(),
        link: Option<u64>, flag: bool, which in 0..5, error in select(Refusal::ALL.to_vec()),
    ) -> Input {
        let [start, end_address, offset, instruction] = numbers;
        match which {
            0 => Input::Notice(Notice::CodeMapped(CodeMapped {
                time, process, file, start, end: end_address, offset, wanted: flag,
            })),
            1 => Input::Notice(Notice::Interpreted(Interpreted {
                time, process, site, layout: instruction as u32,
                frames: frames.iter().map(|&code| PythonFrame { code, place: !code }).collect(),
            })),
            2 => Input::Notice(Notice::StackSample(Box::new(StackSample {
                time, process, tid: offset as u32, instruction, stack_pointer: start,
                frame_pointer: end_address, link: offset, frames, end, memory,
            }))),
            3 => Input::Failed(Failed {
                time, process, kind, site, size: start, error, tid: offset as u32,
                call: if flag { Call::System(257) } else { Call::Uring(18) },
            }),
            _ => Input::Notice(Notice::Unfinished(Box::new(Unfinished {
                time, process, kind, site,
                last: Registers { instruction, stack: start, frame: offset, link, after_call: flag },
                file, start, end: end_address, offset, memory,
            }))),
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => acquired(),
        4 => released(),
        1 => site(),
        1 => range(),
        1 => lifecycle(),
    ]
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn descriptors() -> impl Strategy<Value = Vec<(u32, Kind)>> {
    vec((any::<u32>(), kind()), 0..10)
}

fn mappings() -> impl Strategy<Value = Vec<AddressRange>> {
    let range = any::<(u64, u64)>().prop_map(|(start, end)| (start..end).into());
    vec(range, 0..10)
}

fn handles() -> impl Strategy<Value = Vec<Handle>> {
    vec(handle(), 0..10)
}

prop_compose! {
    fn baseline()(
        id in process(), parent in of(process()), comm: [u8; 16], time in time(),
        descriptors in descriptors(), mappings in mappings(), threads in handles(),
        children in handles(), zombies in handles(),
    ) -> Input {
        Input::Baseline(Box::new(BaselineProcess {
            id, parent, comm, time, descriptors, mappings, threads, children, zombies,
        }))
    }
}

prop_compose! {
    fn compared()(
        process in process(), time in time(), descriptors in of(descriptors()),
        mappings in of(mappings()), threads in of(handles()), young in handles(),
        adopt_as_preexisting: bool,
    ) -> Input {
        Input::Compared { process, shown: Box::new(Shown {
            time, descriptors, mappings, threads, young, adopt_as_preexisting,
        }) }
    }
}

prop_compose! {
    fn told()(
        process in process(), lost in of(process()), time in time(), site in site_id(),
        total: u64, start_ticks: u64, comm in text(), exe in text(), cmdline in texts(),
        container_id in of(text()), handles in handles(), which in 0..12,
    ) -> Input {
        match which {
            0 => Input::Gone(process),
            1 => Input::Lost(lost),
            2 => Input::Horizon(time),
            3 => Input::Counted { site, counts: SiteCounts { acquired: total, released: lost.map(|lost| lost.0), young: time, elsewhere: start_ticks } },
            4 => Input::Sample(time),
            5 => Input::Ended { time, wall: total },
            7 => Input::Restored(Box::new(SavedAnalysis::Latest(time))),
            8 => Input::Restored(Box::new(SavedAnalysis::History {
                process: process.0, points: vec![(time, total), (total, time)],
            })),
            9 => Input::LastUses(Box::new(LastUses {
                time, site, accepted: total % 2 == 0,
                resources: vec![(time, total), (total, time)],
            })),
            10 => Input::GeneratedCode(Box::new(GeneratedCode {
                process, ranges: vec![AddressRange { start: time, end: total }],
            })),
            6 => Input::Observed(Box::new(Observation {
                time, process,
                close_wait: handles.iter().map(|&handle| (handle, comm.clone())).collect(),
                watches: handles.iter().map(|&handle| (handle, total)).collect(),
                stacks: handles.iter().filter(|_| time % 2 == 0).map(|&handle| (handle, time)).collect(),
                adders: handles.into_iter().filter(|_| time % 3 == 0).map(|handle| (handle, SiteId(total))).collect(),
            })),
            _ => Input::Facts(process, Box::new(Facts {
                read: time, start_ticks, cgroup: comm.clone(), user: exe.clone(), parent: start_ticks as u32, comm, exe, cmdline,
                container_id,
            })),
        }
    }
}

prop_compose! {
    fn described()(
        time in time(), process in process(), handle in handle(), kind in kind(),
        site in site_id(), text in text(), words in texts(), option in of(text()),
        number: u64, line: Option<u32>, real: f64, flag: bool, which in 0..7,
        error in select(&Refusal::ALL[..]),
    ) -> Input {
        let word = |at: usize| words.get(at).cloned().unwrap_or_default();
        match which {
            0 => Input::Described { time, process, handle, kind, description: Box::new(Description {
                text, deleted: flag, half_closed: flag, socket: flag.then(|| Socket {
                    family: word(0), local: word(1), peer: word(2), state: word(3),
                }),
                ..Description::default()
            }) },
            1 => Input::Stack { site, frames: words.iter().map(|word| Frame {
                address: Hex(number), symbol: text.clone(), module: word.clone(),
                file: option.clone(), line, inlined: flag, build_id: option.clone(),
                module_offset: flag.then_some(Hex(time)),
            }).collect() },
            2 => Input::Limits(process, vec![Limit {
                resource: text, used: number, soft: time, exhaustion_seconds: flag.then_some(real), ..Limit::default() }]),
            3 => Input::SharedLimits(words.iter().map(|word| SharedLimit {
                scope: word.clone(), resource: text.clone(), used: number, limit: time,
                growth_per_second: real, exhaustion_seconds: flag.then_some(real),
            }).collect()),
            4 => Input::Shared { time, process, handle, holders: words.iter().map(|word| Holder {
                pid: process.pid(), comm: word.clone(), handle: text.clone(), what: word.clone(),
                count: number,
            }).collect() },
            5 => Input::FirstFailure(Box::new(FirstFailure { time, process, error, failure: Failure {
                comm: text, count: number, call: word(0), meaning: word(1),
                ..Failure::default()
            } })),
            _ => Input::Health(Box::new(Health {
                events: number, lost: time, uncovered: words.clone(),
                lost_by_cause: words.into_iter().map(|word| (word, number)).collect(),
                ..Health::default()
            })),
        }
    }
}

/// Any input.
pub(super) fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => event().prop_map(Input::Event),
        1 => code(),
        1 => baseline(),
        1 => compared(),
        3 => told(),
        2 => described(),
    ]
}
