//! Single claims about the ledger.

mod processes;
mod resources;

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

use super::process;
use crate::event::*;
use crate::ledger::*;

const SITE: SiteId = SiteId(5);
const KEY: SiteKey = SiteKey::Site(SITE);

fn ledger() -> Ledger {
    started(Config::default())
}

fn started(config: Config) -> Ledger {
    let mut ledger = Ledger::new(config);
    ledger.baseline(&baseline(vec![(0, Kind::File)]));
    ledger
}

fn baseline(descriptors: Vec<(u32, Kind)>) -> BaselineProcess {
    BaselineProcess {
        id: process(0),
        parent: None,
        comm: *b"victim\0\0\0\0\0\0\0\0\0\0",
        time: 1,
        descriptors,
        mappings: Vec::new(),
        threads: Vec::new(),
        children: Vec::new(),
        zombies: Vec::new(),
    }
}

fn descriptor(number: u64) -> Handle {
    Handle::new(Class::Descriptor, number)
}

fn acquisition(time: Nanos, kind: Kind, handle: Handle) -> Acquired {
    Acquired {
        time,
        process: process(0),
        kind,
        handle,
        site: SITE,
        size: 0,
        close_on_exec: false,
        kind_guessed: false,
        maybe_existed: false,
    }
}

fn opened(ledger: &mut Ledger, time: Nanos, number: u64) {
    let acquired = acquisition(time, Kind::File, descriptor(number));
    ledger.apply(&Event::Acquired(acquired));
}

fn mapped(ledger: &mut Ledger, time: Nanos, start: u64, size: u64) {
    let acquired = Acquired {
        size,
        ..acquisition(time, Kind::Mapping, Handle::new(Class::Mapping, start))
    };
    ledger.apply(&Event::Acquired(acquired));
}

fn released(ledger: &mut Ledger, time: Nanos, by: ProcessId, handle: Handle) {
    ledger.apply(&Event::Released(Released {
        time,
        process: by,
        handle,
        acquired: None,
    }));
}

fn forked(ledger: &mut Ledger, time: Nanos, child: ProcessId, shares_files: bool) {
    ledger.apply(&Event::Forked(Forked {
        time,
        parent: process(0),
        child,
        shares_files,
        shares_memory: false,
        comm: [0; 16],
    }));
}

fn range(time: Nanos, class: Class, first: u64, last: u64) -> RangeReleased {
    RangeReleased {
        time,
        process: process(0),
        class,
        first,
        last,
        unshare: false,
        close_on_exec: false,
        attachment: false,
    }
}

fn outstanding(ledger: &Ledger, kind: Kind) -> u64 {
    ledger.process(process(0)).unwrap().outstanding.get(kind)
}

fn shown(time: Nanos, descriptors: Vec<(u32, Kind)>) -> Shown {
    Shown {
        time,
        descriptors: Some(descriptors),
        ..Shown::default()
    }
}
