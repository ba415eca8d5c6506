//! Claims on what speaks beside growth.

use super::*;
use crate::event::{Call, Failed};
use crate::model::refusal::Refusal;

/// Sockets that are acquired at these seconds and whose peers close at once, over 20 s.
fn with_closed_peers(acquired_at: &[u64]) -> Vec<Judged> {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    for second in 1..=20 {
        for (n, at) in acquired_at.iter().enumerate() {
            if at + 1 == second {
                ledger.apply(&acquired(at * SECOND, Kind::Socket, descriptor(n)));
            }
        }
        let closed = acquired_at.iter().enumerate();
        let closed = closed.filter(|&(_, at)| *at < second);
        judge.observe(&Observation {
            time: second * SECOND,
            process: PROCESS,
            close_wait: closed
                .map(|(n, _)| (descriptor(n), format!("10.0.0.7:{}", 4000 + n)))
                .collect(),
            watches: Vec::new(),
            stacks: Vec::new(),
            adders: Vec::new(),
        });
        judge.sample(second * SECOND, &ledger, &ledger.running());
    }
    check(&judge.findings(20 * SECOND, 0, &ledger))
}

#[test]
fn sockets_that_wait_for_their_owners_close_are_a_leak_if_there_are_ever_more() {
    let ever_more: Vec<u64> = (0..10).map(|n| n * 2).collect();
    for (acquired_at, verdict) in [
        (&[0][..], Verdict::Suspect),
        // A pool that has filled, and does not grow.
        (&[0, 1, 1, 2, 3, 5], Verdict::Suspect),
        (&ever_more, Verdict::Leak),
    ] {
        let found = with_closed_peers(acquired_at);
        assert_eq!(
            (found[0].verdict, found[0].rule),
            (verdict, "close-wait"),
            "{:?}",
            found[0]
        );
        let told = |line: &String| line.contains("up to 19.0 s: the peer (10.0.0.7");
        assert!(found[0].evidence.iter().any(told), "{:?}", found[0]);
    }
}

#[test]
fn sockets_from_before_the_trace_that_nobody_closes_have_a_finding() {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    before(&mut ledger, 5, 10..160, Kind::Socket);
    for second in [1, 20] {
        judge.observe(&Observation {
            time: second * SECOND,
            process: PROCESS,
            close_wait: (10..160)
                .map(|fd| (descriptor(fd), "192.0.2.1:80".to_owned()))
                .collect(),
            watches: Vec::new(),
            stacks: Vec::new(),
            adders: Vec::new(),
        });
    }
    let found = check(&judge.findings(20 * SECOND, 0, &ledger));
    assert_eq!(
        (found[0].verdict, found[0].outstanding),
        (Verdict::Leak, 150),
        "{found:?}"
    );
}

#[test]
fn sockets_from_before_count_once_with_those_that_come_and_the_total_is_told() {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    before(&mut ledger, 5, 10..104, Kind::Socket);
    for n in 0..66 {
        ledger.apply(&acquired(
            n * 250 * MILLI,
            Kind::Socket,
            descriptor(200 + n as usize),
        ));
    }
    for second in 1..=20 {
        let came = (200..266).filter(|fd| fd - 200 < second * 4);
        let closed = (10..104).chain(came);
        judge.observe(&Observation {
            time: second * SECOND,
            process: PROCESS,
            close_wait: closed
                .map(|fd| (descriptor(fd as usize), "192.0.2.1:80".to_owned()))
                .collect(),
            watches: Vec::new(),
            stacks: Vec::new(),
            adders: Vec::new(),
        });
    }
    let found = check(&judge.findings(20 * SECOND, 0, &ledger));
    assert_eq!(found.len(), 1, "{found:?}");
    let found = &found[0];
    assert_eq!(
        (
            found.verdict,
            found.acquired,
            found.outstanding,
            found.preexisting
        ),
        (Verdict::Leak, 66, 160, 94),
    );
    let told = "160 wait in CLOSE_WAIT, 94 of them from before the trace, ";
    assert!(
        found.evidence.iter().any(|line| line.starts_with(told)),
        "{found:?}"
    );
}

#[test]
fn an_inotify_descriptor_that_gets_ever_more_watches_is_a_leak() {
    for (per_second, verdict) in [(0, Verdict::Steady), (5, Verdict::Leak)] {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        ledger.apply(&acquired(0, Kind::Inotify, descriptor(3)));
        for second in 1..=30 {
            judge.observe(&Observation {
                time: second * SECOND,
                process: PROCESS,
                close_wait: Vec::new(),
                watches: vec![(descriptor(3), 10 + second * per_second)],
                stacks: Vec::new(),
                adders: Vec::new(),
            });
        }
        let found = check(&judge.findings(30 * SECOND, 0, &ledger));
        assert_eq!(found[0].verdict, verdict, "{:?}", found[0]);
        let counts = found.iter().any(Judged::counts);
        assert!(
            !counts,
            "no descriptor limit is filled by watches: {found:?}"
        );
    }
}

#[test]
fn an_inotify_descriptor_from_before_the_trace_is_named() {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    before(&mut ledger, 5, 3..4, Kind::Inotify);
    for second in 1..=30 {
        judge.observe(&Observation {
            time: second * SECOND,
            process: PROCESS,
            close_wait: Vec::new(),
            watches: vec![(descriptor(3), 10 + second * 5)],
            stacks: Vec::new(),
            adders: Vec::new(),
        });
    }
    let found = check(&judge.findings(30 * SECOND, 0, &ledger));
    assert_eq!(
        (found[0].verdict, found[0].rule),
        (Verdict::Leak, "watches")
    );
    let shown: Vec<Handle> = found[0]
        .samples
        .iter()
        .map(|sample| sample.handle)
        .collect();
    assert_eq!(shown, [descriptor(3)]);
}

/// The site of an adding call, which acquires no descriptor.
fn adding(ledger: &mut Ledger) -> SiteId {
    let id = SiteId(77);
    ledger.apply(&Event::Site(Site {
        time: 1,
        process: PROCESS,
        kind: Kind::Inotify,
        id,
        tid: 0,
        frames: Box::from([1, 2]),
        end: StackEnd::Complete,
    }));
    id
}

#[test]
fn watches_are_told_at_the_site_that_adds_them() {
    for (per_second, told) in [(0, false), (5, true)] {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        ledger.apply(&acquired(0, Kind::Inotify, descriptor(3)));
        let site = adding(&mut ledger);
        for second in 1..=30 {
            judge.observe(&Observation {
                time: second * SECOND,
                process: PROCESS,
                close_wait: Vec::new(),
                watches: vec![(descriptor(3), 10 + second * per_second)],
                stacks: Vec::new(),
                adders: vec![(descriptor(3), site)],
            });
        }
        let found = check(&judge.findings(30 * SECOND, 0, &ledger));
        let at = |key| found.iter().find(|one| one.key == key);
        let adder = at(SiteKey::Site(site));
        let leak = adder.map(|one| (one.verdict, one.rule, one.outstanding));
        assert_eq!(
            leak,
            told.then_some((Verdict::Leak, "watches", 1)),
            "{found:?}"
        );
        let said = adder.map_or(String::new(), |one| one.evidence.join("; "));
        assert!(!said.contains("acquired"), "{said}");
        let others = found.iter().filter(|one| one.key != SiteKey::Site(site));
        assert!(
            others.into_iter().all(|one| one.verdict == Verdict::Steady),
            "{found:?}"
        );
    }
}

#[test]
fn watches_that_reached_their_limit_are_judged_up_to_there() {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    ledger.apply(&acquired(0, Kind::Inotify, descriptor(3)));
    let site = adding(&mut ledger);
    let observe = |judge: &mut Judge, second: u64| {
        judge.observe(&Observation {
            time: second * SECOND,
            process: PROCESS,
            close_wait: Vec::new(),
            watches: vec![(descriptor(3), second.min(30) * 5)],
            stacks: Vec::new(),
            adders: vec![(descriptor(3), site)],
        });
    };
    (1..=30).for_each(|second| observe(&mut judge, second));
    judge.refused(&Failed {
        time: 30 * SECOND,
        process: PROCESS,
        kind: Kind::Inotify,
        site,
        size: 0,
        call: Call::System(254),
        error: Refusal::Room,
        tid: 0,
    });
    (31..=90).for_each(|second| observe(&mut judge, second));
    let found = check(&judge.findings(90 * SECOND, 0, &ledger));
    assert_eq!(
        (found[0].verdict, found[0].rule),
        (Verdict::Leak, "watches"),
        "{found:?}"
    );
}

#[test]
fn watches_of_a_descriptor_whose_own_copy_was_closed_are_a_leak_too() {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    let child = ProcessId::new(8, 80);
    // The parent closes its own: the site holds nothing any more, the child still does.
    ledger.apply(&acquired(0, Kind::Inotify, descriptor(3)));
    ledger.apply(&forked(MILLI, child));
    ledger.apply(&released(2 * MILLI, descriptor(3)));
    for second in 1..=30 {
        judge.observe(&Observation {
            time: second * SECOND,
            process: child,
            close_wait: Vec::new(),
            watches: vec![(descriptor(3), 10 + second * 5)],
            stacks: Vec::new(),
            adders: Vec::new(),
        });
    }
    let found = check(&judge.findings(30 * SECOND, 0, &ledger));
    let found: Vec<_> = found
        .iter()
        .map(|found| (found.verdict, found.rule))
        .collect();
    assert_eq!(found, [(Verdict::Leak, "watches")]);
}

#[test]
fn descriptors_that_started_programs_inherited_are_a_leak_if_there_are_ever_more() {
    let mut ledger = ledger(false);
    let mut now = 0;
    for n in 0..10_u64 {
        now = n * 2 * SECOND;
        let child = ProcessId::new(100 + n as u32, 200);
        let handle = descriptor(3);
        ledger.apply(&acquired(now, Kind::File, handle));
        ledger.apply(&forked(now + MILLI, child));
        ledger.apply(&Event::Executed(Executed {
            time: now + 2 * MILLI,
            process: child,
            comm: [0; 16],
        }));
        ledger.apply(&released(now + 3 * MILLI, handle));
    }
    let found = check(&Judge::new(Config::default()).findings(now + 4 * SECOND, 0, &ledger));
    assert_eq!(
        (found[0].verdict, found[0].rule),
        (Verdict::Leak, "inherited"),
        "{found:?}"
    );
    assert_eq!(found[0].process, PROCESS);
}

/// The finding on children that died at these seconds and were not reaped.
fn zombies(died: &[u64], now: u64) -> Judged {
    let mut ledger = ledger(false);
    for (number, &second) in died.iter().enumerate() {
        let child = ProcessId::new(100 + number as u32, 1);
        let time = second * SECOND;
        ledger.apply(&forked(time, child));
        let handle = Handle::task(Class::Process, child);
        ledger.apply(&acquired(time, Kind::Process, handle));
        ledger.apply(&Event::Exited {
            time: time + MILLI,
            process: child,
        });
    }
    let judge = Judge::new(Config::default());
    check(&judge.findings(now * SECOND, 0, &ledger)).remove(0)
}

#[test]
fn ever_more_zombies_are_a_leak_one_is_a_suspicion_a_young_one_is_nothing() {
    assert_eq!(zombies(&[1], 5).verdict, Verdict::Steady);
    assert_eq!(zombies(&[1], 12).verdict, Verdict::Suspect);
    // A batch that nobody has come to wait for yet.
    assert_eq!(zombies(&[1, 1, 1, 1], 20).verdict, Verdict::Suspect);
    assert_eq!(zombies(&[1, 1], 90).verdict, Verdict::Leak);
    let found = zombies(&[1, 2, 3, 4], 15);
    assert_eq!((found.verdict, found.rule), (Verdict::Leak, "zombies"));
    assert!((found.growth_per_second - 1.0).abs() < 1e-9, "{found:?}");
    let found = zombies(&[1, 2, 3, 4], 20);
    // Nobody has died for long: there is no pace any more.
    assert_eq!(
        (found.verdict, found.growth_per_second),
        (Verdict::Leak, 0.0)
    );
}
