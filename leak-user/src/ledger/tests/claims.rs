//! Single claims about the ledger.

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

fn shown(time: Nanos, descriptors: Vec<(u32, Kind)>) -> Snapshot {
    Snapshot {
        time,
        descriptors: Some(descriptors),
        ..Snapshot::default()
    }
}

#[test]
fn a_handle_acquired_anew_was_released() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    opened(&mut ledger, 20, 3);
    opened(&mut ledger, 20, 3);
    opened(&mut ledger, 15, 3);
    let record = ledger.site(KEY).unwrap();
    assert_eq!((record.outstanding, record.old_released), (1, 1));
    assert_eq!(ledger.totals().implied_releases, 1);
}

#[test]
fn a_site_learnt_late_replaces_the_unknown_one() {
    let mut ledger = ledger();
    let mut acquired = acquisition(10, Kind::File, descriptor(3));
    acquired.site = SiteId::UNKNOWN;
    ledger.apply(&Event::Acquired(acquired));
    let unknown = SiteKey::Unknown(process(0), Kind::File);
    assert_eq!(ledger.site(unknown).unwrap().outstanding, 1);
    opened(&mut ledger, 10, 3);
    assert_eq!(ledger.site(unknown).unwrap().outstanding, 0);
    assert_eq!(ledger.site(KEY).unwrap().outstanding, 1);
}

#[test]
fn the_kernel_counts_what_died_young_even_when_it_begins_anew() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    for total in [100, 150, 20] {
        ledger.site_acquired(SITE, total);
    }
    let record = ledger.site(KEY).unwrap();
    assert_eq!((record.acquired(), record.released()), (170, 169));
}

#[test]
fn a_stack_may_come_before_or_after_its_first_resource() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    ledger.apply(&Event::Site(Site {
        time: 9,
        process: process(0),
        kind: Kind::File,
        id: SITE,
        tid: 7,
        frames: Box::new([1, 2]),
        end: StackEnd::Complete,
    }));
    let record = ledger.site(KEY).unwrap();
    assert_eq!((&*record.frames, record.first_seen), (&[1, 2][..], 9));
}

#[test]
fn what_was_there_before_is_preexisting_until_released() {
    let mut ledger = ledger();
    let view = ledger.process(process(0)).unwrap();
    assert_eq!(view.preexisting.get(Kind::File), 1);
    assert_eq!(view.outstanding.total(), 0);
    released(&mut ledger, 5, process(0), descriptor(0));
    assert_eq!(ledger.process(process(0)).unwrap().preexisting.total(), 0);
}

#[test]
fn an_acquisition_explains_what_was_only_found() {
    let mut ledger = ledger();
    let snapshot = shown(50, vec![(0, Kind::File), (3, Kind::Socket)]);
    let reconciled = ledger.reconcile(process(0), &snapshot);
    assert_eq!((reconciled.released, reconciled.adopted), (0, 1));
    assert_eq!(ledger.totals().adopted, 1);
    opened(&mut ledger, 40, 3);
    assert_eq!(ledger.totals().adopted, 0);
    assert_eq!(ledger.site(KEY).unwrap().outstanding, 1);
    let view = ledger.process(process(0)).unwrap();
    assert_eq!((view.outstanding.total(), view.adopted.total()), (1, 0));
}

#[test]
fn what_is_young_in_the_kernel_is_not_adopted() {
    let mut ledger = ledger();
    let mut snapshot = shown(50, vec![(0, Kind::File), (3, Kind::Socket)]);
    snapshot.young = vec![descriptor(3)];
    assert_eq!(ledger.reconcile(process(0), &snapshot).adopted, 0);
}

#[test]
fn a_file_is_corrected_to_a_directory_a_socket_found_as_a_pipe_is_another() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    let socket = acquisition(10, Kind::Socket, descriptor(4));
    ledger.apply(&Event::Acquired(socket));
    let snapshot = shown(
        50,
        vec![(0, Kind::File), (3, Kind::Directory), (4, Kind::Pipe)],
    );
    let reconciled = ledger.reconcile(process(0), &snapshot);
    assert_eq!((reconciled.released, reconciled.adopted), (1, 1));
    assert_eq!(outstanding(&ledger, Kind::Directory), 1);
    assert_eq!(outstanding(&ledger, Kind::File), 0);
    let view = ledger.process(process(0)).unwrap();
    assert_eq!(view.adopted.get(Kind::Pipe), 1);
}

#[test]
fn a_loss_is_settled_only_when_all_before_it_has_arrived() {
    let mut ledger = ledger();
    opened(&mut ledger, 100, 3);
    ledger.lost(Some(process(0)));
    let snapshot = shown(200, vec![(0, Kind::File), (3, Kind::File)]);
    ledger.reconcile(process(0), &snapshot);
    assert!(ledger.process(process(0)).unwrap().lossy);
    assert_eq!(ledger.in_doubt().collect::<Vec<_>>(), [process(0)]);
    ledger.horizon(150);
    ledger.reconcile(process(0), &snapshot);
    let view = ledger.process(process(0)).unwrap();
    assert!(!view.lossy && !view.needs_reconcile);
}

#[test]
fn a_fork_copies_nothing_and_both_sides_go_their_own_way() {
    let mut ledger = ledger();
    for number in 1..=1000 {
        opened(&mut ledger, 10, number);
    }
    forked(&mut ledger, 20, process(1), false);
    let view = ledger.process(process(1)).unwrap();
    assert_eq!(view.inherited.get(Kind::File), 1000);
    assert_eq!(view.preexisting.get(Kind::File), 1);
    assert_eq!(
        ledger.site(KEY).unwrap().outstanding,
        1000,
        "copies do not count"
    );
    released(&mut ledger, 30, process(1), descriptor(7));
    assert_eq!(outstanding(&ledger, Kind::File), 1000);
    released(&mut ledger, 30, process(0), descriptor(8));
    assert_eq!(outstanding(&ledger, Kind::File), 999);
    assert_eq!(ledger.process(process(1)).unwrap().inherited.total(), 999);
}

#[test]
fn another_process_closes_what_arrives_late_in_a_shared_table() {
    let mut ledger = ledger();
    forked(&mut ledger, 5, process(1), true);
    released(&mut ledger, 20, process(1), descriptor(3));
    opened(&mut ledger, 10, 3);
    opened(&mut ledger, 10, 4);
    let held: Vec<Handle> = ledger
        .holdings(process(1))
        .iter()
        .map(|h| h.handle)
        .collect();
    assert!(held.contains(&descriptor(4)) && !held.contains(&descriptor(3)));
}

#[test]
fn a_child_gets_what_arrives_late_unless_it_closed_it() {
    let mut ledger = ledger();
    forked(&mut ledger, 20, process(1), false);
    released(&mut ledger, 25, process(1), descriptor(3));
    opened(&mut ledger, 10, 3);
    opened(&mut ledger, 11, 4);
    opened(&mut ledger, 30, 5);
    assert_eq!(outstanding(&ledger, Kind::File), 3);
    let view = ledger.process(process(1)).unwrap();
    assert_eq!(view.inherited.get(Kind::File), 1);
}

#[test]
fn a_child_that_the_baseline_knew_gets_what_arrives_late_too() {
    let mut ledger = ledger();
    ledger.baseline(&BaselineProcess {
        id: process(1),
        time: 15,
        ..baseline(vec![(0, Kind::File), (3, Kind::File)])
    });
    forked(&mut ledger, 20, process(1), false);
    opened(&mut ledger, 10, 3);
    let view = ledger.process(process(1)).unwrap();
    assert_eq!(view.inherited.get(Kind::File), 1);
    assert_eq!(view.preexisting.get(Kind::File), 1);
}

#[test]
fn exec_ends_threads_mappings_and_what_closes_on_exec_also_what_arrives_late() {
    let mut ledger = ledger();
    let close_on_exec = |number| Acquired {
        close_on_exec: true,
        ..acquisition(10, Kind::File, descriptor(number))
    };
    let thread = |number| Handle::task(Class::Thread, process(number));
    ledger.apply(&Event::Acquired(close_on_exec(3)));
    ledger.apply(&Event::Acquired(acquisition(10, Kind::Thread, thread(50))));
    mapped(&mut ledger, 10, 0x1000, 0x1000);
    ledger.apply(&Event::Executed(Executed {
        time: 20,
        process: process(0),
        comm: *b"new\0\0\0\0\0\0\0\0\0\0\0\0\0",
    }));
    ledger.apply(&Event::Acquired(close_on_exec(4)));
    ledger.apply(&Event::Acquired(acquisition(10, Kind::Thread, thread(51))));
    mapped(&mut ledger, 10, 0x9000, 0x1000);
    opened(&mut ledger, 10, 5);
    let view = ledger.process(process(0)).unwrap();
    assert_eq!(
        view.outstanding.iter().collect::<Vec<_>>(),
        [(Kind::File, 1)]
    );
    assert_eq!((view.generation, view.executed), (1, Some(20)));
    assert!(view.needs_reconcile && view.comm.starts_with(b"new\0"));
}

#[test]
fn a_vfork_child_maps_in_its_parents_memory_until_it_executes() {
    let mut ledger = ledger();
    let child = process(1);
    ledger.apply(&Event::Forked(Forked {
        time: 10,
        parent: process(0),
        child,
        shares_files: false,
        shares_memory: true,
        comm: [0; 16],
    }));
    ledger.apply(&Event::Executed(Executed {
        time: 20,
        process: child,
        comm: [0; 16],
    }));
    for time in [15, 25] {
        let acquired = Acquired {
            process: child,
            size: 0x1000,
            ..acquisition(time, Kind::Mapping, Handle::new(Class::Mapping, 0x1000))
        };
        ledger.apply(&Event::Acquired(acquired));
    }
    let acquired = |id| {
        let held = ledger.holdings(id);
        let mapping = held.iter().find(|holding| holding.kind == Kind::Mapping);
        mapping.map(|holding| holding.acquired)
    };
    assert_eq!(acquired(process(0)), Some(15));
    assert_eq!(acquired(child), Some(25));
}

#[test]
fn a_mapping_cut_in_two_is_one_resource_until_its_last_piece_goes() {
    let mut ledger = ledger();
    mapped(&mut ledger, 10, 0x1000, 0x3000);
    let unmap = |ledger: &mut Ledger, time, first, last| {
        ledger.apply(&Event::RangeReleased(range(
            time,
            Class::Mapping,
            first,
            last,
        )));
    };
    unmap(&mut ledger, 20, 0x2000, 0x2fff);
    let record = ledger.site(KEY).unwrap();
    assert_eq!((record.outstanding, record.bytes), (1, 0x2000));
    assert_eq!(ledger.holdings(process(0)).len(), 3);
    unmap(&mut ledger, 30, 0, 0x1fff);
    assert_eq!(ledger.site(KEY).unwrap().old_released, 0);
    unmap(&mut ledger, 40, 0, u64::MAX);
    let record = ledger.site(KEY).unwrap();
    assert_eq!(
        (record.outstanding, record.bytes, record.old_released),
        (0, 0, 1)
    );
}

#[test]
fn shmdt_ends_the_whole_attachment_even_of_unknown_length() {
    let mut ledger = ledger();
    mapped(&mut ledger, 10, 0x1000, 0);
    mapped(&mut ledger, 10, 0x5000, 0x3000);
    let detach = |ledger: &mut Ledger, first| {
        ledger.apply(&Event::RangeReleased(RangeReleased {
            attachment: true,
            ..range(20, Class::Mapping, first, 0)
        }));
    };
    detach(&mut ledger, 0x1000);
    assert_eq!(outstanding(&ledger, Kind::Mapping), 1);
    detach(&mut ledger, 0x5000);
    assert_eq!(outstanding(&ledger, Kind::Mapping), 0);
    detach(&mut ledger, 0x9000);
    mapped(&mut ledger, 15, 0x9000, 0x1000);
    assert_eq!(outstanding(&ledger, Kind::Mapping), 0);
}

#[test]
fn a_segment_outlives_its_process_until_removed() {
    let mut ledger = ledger();
    let handle = Handle::shm(1, 7);
    ledger.apply(&Event::Acquired(acquisition(10, Kind::Shm, handle)));
    let again = Acquired {
        maybe_existed: true,
        ..acquisition(15, Kind::Shm, handle)
    };
    ledger.apply(&Event::Acquired(again));
    ledger.apply(&Event::Exited {
        time: 20,
        process: process(0),
    });
    ledger.horizon(100);
    assert_eq!(outstanding(&ledger, Kind::Shm), 1);
    assert_eq!(ledger.site(KEY).unwrap().outstanding, 1);
    released(&mut ledger, 200, ProcessId::NONE, handle);
    assert_eq!(ledger.site(KEY).unwrap().outstanding, 0);
    ledger.horizon(300);
    assert_eq!(ledger.process(process(0)), None);
    assert_eq!(ledger.site(KEY), None);
}

#[test]
fn a_child_that_exited_is_a_zombie_until_reaped() {
    let mut ledger = ledger();
    let handle = Handle::task(Class::Process, process(1));
    forked(&mut ledger, 10, process(1), false);
    ledger.apply(&Event::Exited {
        time: 20,
        process: process(1),
    });
    ledger.apply(&Event::Acquired(acquisition(10, Kind::Process, handle)));
    ledger.horizon(50);
    let zombies: Vec<Zombie> = ledger.zombies().collect();
    assert_eq!(zombies.len(), 1);
    assert_eq!((zombies[0].since, zombies[0].key), (20, KEY));
    released(&mut ledger, 60, ProcessId::NONE, handle);
    assert_eq!(ledger.zombies().count(), 0);
}

#[test]
fn what_is_held_at_exit_is_remembered_if_asked_for() {
    for keep_exited in [false, true] {
        let mut ledger = started(Config {
            keep_exited,
            ..Config::default()
        });
        opened(&mut ledger, 10, 3);
        ledger.apply(&Event::Exited {
            time: 20,
            process: process(0),
        });
        opened(&mut ledger, 15, 4);
        ledger.horizon(100);
        let held = ledger.site(KEY).and_then(|record| record.held.clone());
        assert_eq!(
            held.map(|held| (held.count, held.exit)),
            keep_exited.then_some((2, 20))
        );
        let view = ledger.process(process(0));
        assert_eq!(
            view.map(|v| v.outstanding.total()),
            keep_exited.then_some(2)
        );
    }
}

#[test]
fn threads_that_end_with_their_process_are_held_at_its_exit() {
    let mut ledger = started(Config {
        keep_exited: true,
        ..Config::default()
    });
    const MILLI: Nanos = 1_000_000;
    for (number, end) in [(50, 500), (51, 999), (52, 999)] {
        let handle = Handle::task(Class::Thread, process(number));
        ledger.apply(&Event::Acquired(acquisition(10, Kind::Thread, handle)));
        released(&mut ledger, end * MILLI, process(0), handle);
    }
    ledger.apply(&Event::Exited {
        time: 1000 * MILLI,
        process: process(0),
    });
    let record = ledger.site(KEY).unwrap();
    assert_eq!(record.held.as_ref().unwrap().count, 2);
    assert_eq!((record.outstanding, record.old_released), (0, 1));
}

#[test]
fn exited_processes_are_bounded() {
    let mut ledger = started(Config {
        keep_exited: true,
        max_exited: 10,
        ..Config::default()
    });
    for number in 1..=50 {
        let id = process(number);
        forked(&mut ledger, 10, id, false);
        ledger.apply(&Event::Acquired(Acquired {
            process: id,
            site: SiteId(u64::from(number) + 100),
            ..acquisition(20, Kind::File, descriptor(9))
        }));
        ledger.apply(&Event::Exited {
            time: 30,
            process: id,
        });
    }
    ledger.horizon(100);
    assert_eq!(ledger.processes().count(), 11);
    assert_eq!(ledger.totals().exited_forgotten, 40);
}

#[test]
fn sites_without_room_count_as_unknown() {
    let mut ledger = started(Config {
        max_sites: 2,
        ..Config::default()
    });
    for number in 0..5 {
        ledger.apply(&Event::Acquired(Acquired {
            site: SiteId(number + 1),
            ..acquisition(10 + number, Kind::File, descriptor(number + 1))
        }));
    }
    assert_eq!(outstanding(&ledger, Kind::File), 5);
    assert_eq!(ledger.sites().count(), 2);
    assert!(ledger.totals().sites_refused > 0);
}

#[test]
fn a_log_that_overflows_asks_for_a_reconciliation() {
    let mut ledger = ledger();
    for time in 10..2 * crate::ledger::releases::LOG_ENTRIES as u64 {
        let range = range(time, Class::Descriptor, 100, 200);
        ledger.apply(&Event::RangeReleased(range));
    }
    assert!(ledger.process(process(0)).unwrap().needs_reconcile);
    assert!(ledger.totals().log_overflows > 0);
}

#[test]
fn details_show_the_oldest_and_the_newest() {
    let mut ledger = ledger();
    for number in 1..=600 {
        opened(&mut ledger, number * 10, number);
    }
    let details = ledger.details(|key| key == KEY);
    let detail = &details[&KEY];
    let times: Vec<Nanos> = detail
        .samples
        .iter()
        .map(|sample| sample.acquired)
        .collect();
    assert_eq!(times, [10, 20, 30, 5990, 6000]);
    assert_eq!((detail.count, detail.oldest), (600, 10));
    assert_eq!(detail.times.len(), 256);
    assert_eq!((detail.times[0], detail.times[255]), (10, 6000));
}

#[test]
fn what_is_told_at_once_needs_no_log_of_what_was_released() {
    for all_events in [false, true] {
        let mut ledger = started(Config {
            all_events,
            ..Config::default()
        });
        // What one of them releases, the other may have acquired, told late.
        forked(&mut ledger, 5, process(1), true);
        for turn in 0..2 * crate::ledger::releases::LOG_ENTRIES as u64 {
            opened(&mut ledger, 10 + 2 * turn, 3);
            released(&mut ledger, 11 + 2 * turn, process(0), descriptor(3));
        }
        assert_eq!(ledger.totals().log_overflows == 0, all_events);
        assert_eq!(outstanding(&ledger, Kind::File), 0);
    }
}
