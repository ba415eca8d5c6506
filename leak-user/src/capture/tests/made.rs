//! Events and captures to test with.

use leak_common::{
    Class, Handle, Kind, ProcessId,
    unwind::{FileKey, PythonFrame},
    wire::StackEnd,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    capture::{Damage, Item, ReadError, Reader, Writer},
    event::{
        Acquired, Call, CodeMapped, Event, Executed, Failed, Forked, Interpreted, RangeReleased,
        Refusal, Registers, Released, Remapped, Site, SiteId, StackSnapshot, Uncovered, Unfinished,
    },
};

pub(super) const BEGINNING: &[u8] = b"{\"made\":\"for a test\"}";

/// A capture of `events`, a segment closed behind each of `flushes` many.
pub(super) fn capture(events: &[Event], flushes: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), BEGINNING).unwrap();
    for (number, event) in events.iter().enumerate() {
        writer.event(event).unwrap();
        if (number + 1).is_multiple_of(flushes) {
            writer.flush_segment().unwrap();
        }
    }
    writer.finish().unwrap().0
}

/// What a reader makes of bytes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) beginning: Option<Vec<u8>>,
    pub(super) events: Vec<Event>,
    pub(super) damages: Vec<Damage>,
    pub(super) others: Vec<Item>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Read, ReadError> {
    let mut reader = Reader::new(bytes)?;
    let mut read = Read {
        beginning: reader.beginning().map(<[u8]>::to_vec),
        ..Read::default()
    };
    reader.visit(|item| match item {
        Item::Event(event) => read.events.push(event),
        Item::Damage(damage) => read.damages.push(damage),
        other => read.others.push(other),
    })?;
    Ok(read)
}

/// A few events of every sort, in the way of a program that opens and closes.
pub(super) fn churn(count: u64) -> Vec<Event> {
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
    events
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
        acquired in proptest::option::of(time()),
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
    ) -> Event {
        let [start, end_address, offset, instruction] = numbers;
        match which {
            0 => Event::CodeMapped(CodeMapped {
                time, process, file, start, end: end_address, offset, wanted: flag,
            }),
            1 => Event::Interpreted(Interpreted {
                time, process, site, layout: instruction as u32,
                frames: frames.iter().map(|&code| PythonFrame { code, place: !code }).collect(),
            }),
            2 => Event::Snapshot(Box::new(StackSnapshot {
                time, process, tid: offset as u32, instruction, stack_pointer: start,
                frame_pointer: end_address, link: offset, frames, end, memory,
            })),
            3 => Event::Failed(Failed {
                time, process, kind, site, size: start, error, tid: offset as u32,
                call: if flag { Call::System(257) } else { Call::Uring(18) },
            }),
            _ => Event::Unfinished(Box::new(Unfinished {
                time, process, kind, site,
                last: Registers { instruction, stack: start, frame: offset, link, after_call: flag },
                file, start, end: end_address, offset, memory,
            })),
        }
    }
}

/// Any event.
pub(super) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => acquired(),
        4 => released(),
        1 => site(),
        1 => range(),
        1 => lifecycle(),
        1 => code(),
    ]
}
