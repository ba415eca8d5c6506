//! Events for tests of the writers.

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

use crate::model::time::Calendar;
use crate::{
    event::{
        Acquired, Call, Event, Executed, Failed, Forked, RangeReleased, Released, Remapped, Site,
        Uncovered,
    },
    model::{refusal::Refusal, site::SiteId},
};

/// The clock that [`events`] go by.
pub(crate) const CALENDAR: Calendar = Calendar {
    monotonic_zero: 1_767_323_045_000_000_000,
};

/// One event of every kind, a millisecond apart, of pid 77.
pub(crate) fn events() -> Vec<Event> {
    let process = ProcessId::new(77, 5);
    let comm = *b"worker\xff\0\0\0\0\0\0\0\0\0";
    let site = SiteId(0x1234);
    let millisecond = |number: u64| number * 1_000_000;
    vec![
        Event::Forked(Forked {
            time: millisecond(0),
            parent: ProcessId::new(1, 0),
            child: process,
            shares_files: false,
            shares_memory: false,
            comm,
        }),
        Event::Executed(Executed {
            time: millisecond(1),
            process,
            comm,
        }),
        Event::Site(Site {
            time: millisecond(2),
            process,
            kind: Kind::Mapping,
            id: site,
            tid: 77,
            frames: [0x40_1000, 0x7f00_0000_1000].into(),
            end: StackEnd::Complete,
        }),
        Event::Acquired(Acquired {
            time: millisecond(3),
            process,
            kind: Kind::Mapping,
            handle: Handle::new(Class::Mapping, 0x7000),
            site,
            size: 4096,
            close_on_exec: false,
            kind_guessed: false,
            maybe_existed: false,
        }),
        Event::Remapped(Remapped {
            time: millisecond(4),
            process,
            old: 0x7000,
            old_length: 4096,
            new: 0x9000,
            new_length: 8192,
            site,
            keeps_old: false,
        }),
        Event::Released(Released {
            time: millisecond(5),
            process,
            handle: Handle::new(Class::Descriptor, 3),
            acquired: Some(millisecond(3)),
        }),
        Event::RangeReleased(RangeReleased {
            time: millisecond(6),
            process,
            class: Class::Descriptor,
            first: 3,
            last: 9,
            unshare: false,
            close_on_exec: false,
            attachment: false,
        }),
        Event::Uncovered {
            time: millisecond(7),
            process,
            cause: Uncovered::Compat,
        },
        Event::Exited {
            time: millisecond(8),
            process,
        },
    ]
}

/// A call that was refused, in the same process.
pub(crate) fn failed() -> Failed {
    Failed {
        time: 7_000_000,
        process: ProcessId::new(77, 5),
        kind: Kind::File,
        site: SiteId(0x1234),
        size: 0,
        call: Call::System(257),
        error: Refusal::Files,
        tid: 77,
    }
}
