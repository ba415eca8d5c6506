//! Claims on processes that fork, execute and exit.

use super::*;

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
fn what_proc_shows_after_an_exec_keeps_its_site_though_it_was_to_close() {
    // Close-on-exec was taken away by fcntl(2): of three that are known at the exec, and three
    // that arrive after it, /proc shows the middle one of each before and after the exec.
    for compared_early in [false, true] {
        let mut ledger = ledger();
        let open = |ledger: &mut Ledger, time, numbers: std::ops::Range<u64>| {
            for number in numbers {
                ledger.apply(&Event::Acquired(Acquired {
                    close_on_exec: true,
                    ..acquisition(time, Kind::File, descriptor(number))
                }));
            }
        };
        let executed = |ledger: &mut Ledger, time| {
            ledger.apply(&Event::Executed(Executed {
                time,
                process: process(0),
                comm: [0; 16],
            }));
        };
        let both = || vec![(4, Kind::File), (7, Kind::File), (9, Kind::Socket)];
        open(&mut ledger, 10, 3..6);
        open(&mut ledger, 11, 9..10);
        executed(&mut ledger, 20);
        assert_eq!(outstanding(&ledger, Kind::File), 0);
        if compared_early {
            ledger.reconcile(process(0), &shown(25, both()));
        }
        open(&mut ledger, 12, 6..9);
        ledger.horizon(21);
        ledger.reconcile(process(0), &shown(30, both()));
        let site = ledger.site(KEY).unwrap();
        assert_eq!((site.outstanding, site.adopted), (2, 0));
        // The number of a socket that nobody saw is no file of before.
        let balance = site.balance(false);
        assert_eq!((balance.released, balance.outstanding), (5, 2));
        assert_eq!(site.lifetimes.total(), 3);
        let held = ledger.holdings(process(0));
        let times = |number| {
            let of = |one: &&crate::ledger::Holding| one.handle == descriptor(number);
            held.iter().find(of).map(|one| one.acquired)
        };
        assert_eq!((times(4), times(7)), (Some(10), Some(12)));
        // They stay at the next exec, and end like others.
        executed(&mut ledger, 40);
        assert_eq!(ledger.site(KEY).unwrap().outstanding, 2);
        released(&mut ledger, 50, process(0), descriptor(4));
        assert_eq!(ledger.site(KEY).unwrap().outstanding, 1);
    }
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
