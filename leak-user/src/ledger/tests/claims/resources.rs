//! Claims on resources and the sites that acquire them.

use super::*;

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
    for (acquired, released) in [(100, 90), (150, 147), (20, 15)] {
        let counts = SiteCounts {
            acquired,
            released: Some(released),
            young: 3,
            elsewhere: 0,
        };
        ledger.site_counted(SITE, counts);
    }
    let balance = ledger.site(KEY).unwrap().balance(true);
    let expected = Balance {
        acquired: 170,
        released: 162,
        young: 3,
        outstanding: 1,
        unaccounted: 4,
    };
    assert_eq!(balance, expected);
}

#[test]
fn what_is_younger_than_the_nursery_is_not_released() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    let counts = |released| SiteCounts {
        acquired: 9,
        released,
        young: 8,
        elsewhere: 0,
    };
    ledger.site_counted(SITE, counts(Some(0)));
    let balance = ledger.site(KEY).unwrap().balance(false);
    assert_eq!((balance.released, balance.young), (0, 8));
    // Nobody counted it in an older recording.
    ledger.site_counted(SITE, counts(None));
    let balance = ledger.site(KEY).unwrap().balance(false);
    assert_eq!((balance.released, balance.young), (8, 0));
}

#[test]
fn a_release_that_the_kernel_counts_too_counts_once() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    opened(&mut ledger, 11, 4);
    for (time, slot, acquired) in [(20, 3, Some(10)), (21, 4, None)] {
        ledger.apply(&Event::Released(Released {
            time,
            process: process(0),
            handle: descriptor(slot),
            acquired,
        }));
    }
    ledger.site_counted(
        SITE,
        SiteCounts {
            acquired: 2,
            released: Some(1),
            young: 0,
            elsewhere: 0,
        },
    );
    let balance = ledger.site(KEY).unwrap().balance(true);
    assert_eq!((balance.acquired, balance.released), (2, 2));
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
    let shown = shown(50, vec![(0, Kind::File), (3, Kind::Socket)]);
    let reconciled = ledger.reconcile(process(0), &shown);
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
    let mut shown = shown(50, vec![(0, Kind::File), (3, Kind::Socket)]);
    shown.young = vec![descriptor(3)];
    assert_eq!(ledger.reconcile(process(0), &shown).adopted, 0);
}

#[test]
fn a_file_is_corrected_to_a_directory_a_socket_found_as_a_pipe_is_another() {
    let mut ledger = ledger();
    opened(&mut ledger, 10, 3);
    let socket = acquisition(10, Kind::Socket, descriptor(4));
    ledger.apply(&Event::Acquired(socket));
    let shown = shown(
        50,
        vec![(0, Kind::File), (3, Kind::Directory), (4, Kind::Pipe)],
    );
    let reconciled = ledger.reconcile(process(0), &shown);
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
    let shown = shown(200, vec![(0, Kind::File), (3, Kind::File)]);
    ledger.reconcile(process(0), &shown);
    assert!(ledger.process(process(0)).unwrap().lossy);
    assert_eq!(ledger.in_doubt().collect::<Vec<_>>(), [process(0)]);
    ledger.horizon(150);
    ledger.reconcile(process(0), &shown);
    let view = ledger.process(process(0)).unwrap();
    assert!(!view.lossy && !view.needs_reconcile);
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
        let range = range(time, Class::Descriptor, time, 2 * time);
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
            opened(&mut ledger, 10 + 2 * turn, turn);
            released(&mut ledger, 11 + 2 * turn, process(0), descriptor(turn));
        }
        assert_eq!(ledger.totals().log_overflows == 0, all_events);
        assert_eq!(outstanding(&ledger, Kind::File), 0);
    }
}

#[test]
fn a_number_that_is_open_in_two_tables_of_a_process_may_be_either() {
    let mut ledger = ledger();
    let socket = acquisition(10, Kind::Socket, descriptor(4));
    ledger.apply(&Event::Acquired(socket));
    opened(&mut ledger, 10, 5);
    let both = |first, last| {
        let own = vec![(0, Kind::File), (4, first), (4, last), (5, Kind::File)];
        shown(50, own)
    };
    for shown in [
        both(Kind::Pipe, Kind::Socket),
        both(Kind::Socket, Kind::Pipe),
    ] {
        let reconciled = ledger.reconcile(process(0), &shown);
        assert_eq!((reconciled.released, reconciled.adopted), (0, 0));
    }
    assert_eq!(outstanding(&ledger, Kind::Socket), 1);
    let reconciled = ledger.reconcile(process(0), &both(Kind::Pipe, Kind::Eventfd));
    assert_eq!((reconciled.released, reconciled.adopted), (1, 1));
}
