//! Children that died before the trace and during it.

use proptest::prelude::*;

use super::*;

/// The parent's own start, and a time long after it at which the trace begins.
const BEGAN: Nanos = 1_000 * SECOND;

/// A child: when it was started and when it died, in milliseconds from the trace's beginning,
/// and when it was reaped.
#[derive(Clone, Copy, Debug)]
struct Child {
    started: i64,
    died: i64,
    reaped: Option<i64>,
}

fn at(milliseconds: i64) -> Nanos {
    BEGAN.saturating_add_signed(milliseconds * 1_000_000)
}

fn handle(number: usize, child: &Child) -> Handle {
    let ticks = at(child.started) / 10_000_000;
    let pid = 100 + u32::try_from(number).unwrap();
    Handle::task(Class::Process, ProcessId::new(pid, ticks))
}

/// What is found of a parent's children at a time.
fn findings(children: &[Child], end: i64) -> Vec<Judged> {
    let mut ledger = ledger(false);
    let zero: Vec<(usize, &Child)> = children.iter().enumerate().collect();
    let there = |child: &Child| child.started < 0 && child.reaped.is_none_or(|at| at > 0);
    let handles = |is: &dyn Fn(&Child) -> bool| -> Vec<Handle> {
        let some = zero.iter().filter(|(_, child)| is(child));
        some.map(|(number, child)| handle(*number, child)).collect()
    };
    ledger.baseline(&BaselineProcess {
        id: PROCESS,
        parent: None,
        comm: [0; 16],
        time: at(0),
        descriptors: Vec::new(),
        mappings: Vec::new(),
        threads: Vec::new(),
        children: handles(&there),
        zombies: handles(&|child| there(child) && child.died < 0),
    });
    let mut events: Vec<(Nanos, Event)> = Vec::new();
    for (number, child) in zero {
        let handle = handle(number, child);
        let process = handle.as_task().unwrap();
        if child.started >= 0 {
            events.push((at(child.started), forked(at(child.started), process)));
            let acquired = acquired(at(child.started), Kind::Process, handle);
            events.push((at(child.started), acquired));
        }
        if child.died >= 0 {
            let time = at(child.died);
            events.push((time, Event::Exited { time, process }));
        }
        if let Some(reaped) = child.reaped.filter(|&reaped| reaped > 0) {
            events.push((at(reaped), released(at(reaped), handle)));
        }
    }
    events.sort_by_key(|(time, _)| *time);
    for (_, event) in events.iter().filter(|(time, _)| *time <= at(end)) {
        ledger.apply(event);
    }
    let judge = Judge::new(Config::default());
    check(&judge.findings(at(end), BEGAN, &ledger))
}

/// A child every `every` milliseconds, each dead a moment later and never reaped.
fn forgotten(from: i64, to: i64, every: usize) -> Vec<Child> {
    let starts = (from..to).step_by(every);
    let child = |started| Child {
        started,
        died: started + 5,
        reaped: None,
    };
    starts.map(child).collect()
}

fn zombie_findings(children: &[Child], end: i64) -> Vec<Judged> {
    let mut found = findings(children, end);
    found.retain(|found| found.verdict != Verdict::Steady);
    found
}

#[test]
fn children_that_died_before_the_trace_are_a_leak_without_a_pace() {
    let children = forgotten(-20_000, -10_000, 250);
    let found = zombie_findings(&children, 12_000);
    assert_eq!(found.len(), 1, "{found:?}");
    let found = &found[0];
    assert_eq!((found.verdict, found.rule), (Verdict::Leak, "zombies"));
    assert_eq!(
        (found.acquired, found.outstanding, found.preexisting),
        (0, 40, 40)
    );
    assert_eq!(found.growth_per_second, 0.0);
    assert_eq!(
        found.evidence,
        [
            "40 children are dead since before the trace and not reaped: the first was started 32.0 s ago"
        ]
    );
    assert!((found.oldest_age - 32.0).abs() < 0.02, "{found:?}");
    // A short look sees them, too: a parent may still come for them.
    let found = zombie_findings(&children, 4_000);
    assert_eq!(
        (found[0].verdict, found[0].outstanding),
        (Verdict::Suspect, 40)
    );
    // Unless it has had a minute for that.
    let children = forgotten(-80_000, -10_000, 2_000);
    assert_eq!(zombie_findings(&children, 4_000)[0].verdict, Verdict::Leak);
}

#[test]
fn those_from_before_are_counted_once_with_those_that_come() {
    let mut children = forgotten(-20_000, -10_000, 250);
    children.extend(forgotten(0, 20_000, 200));
    let found = zombie_findings(&children, 30_000);
    assert_eq!(found.len(), 1, "{found:?}");
    let found = &found[0];
    assert_eq!(
        (found.verdict, found.key),
        (Verdict::Leak, SiteKey::Site(SITE))
    );
    assert_eq!(
        (found.acquired, found.outstanding, found.preexisting),
        (100, 140, 40)
    );
    let told = "140 children are dead, 40 of them since before the trace, and not reaped: ";
    assert!(
        found.evidence.iter().any(|line| line.starts_with(told)),
        "{found:?}"
    );
}

#[test]
fn a_child_that_lived_when_the_trace_began_counts_from_its_death() {
    let children = [Child {
        started: -50_000,
        died: 1_000,
        reaped: None,
    }];
    assert!(zombie_findings(&children, 10_000).is_empty());
    let found = zombie_findings(&children, 11_500);
    assert_eq!(
        (found[0].verdict, found[0].preexisting),
        (Verdict::Suspect, 1)
    );
    assert!(
        found[0].evidence[0].contains("it died 10.5 s ago"),
        "{found:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_reaped_is_a_leak_however_many_are_from_before(
        begin in -100_000_i64..-3_000, stop in -2_500_i64..20_000, every in 50_usize..700, end in 10_500_i64..90_000,
    ) {
        let children = forgotten(begin, stop, every);
        prop_assume!(begin < -13_000 || stop > 3_000 && end > 14_000);
        let found = zombie_findings(&children, end);
        prop_assert_eq!(found.len(), 1, "{:?}", found);
        let found = &found[0];
        prop_assert_eq!(found.verdict, Verdict::Leak, "{:?}", found);
        let before = children.iter().filter(|child| child.started < 0).count() as u64;
        let all = children.iter().filter(|child| child.started <= end).count() as u64;
        prop_assert!(found.preexisting <= before && found.outstanding <= all, "{:?}", found);
        prop_assert_eq!(found.outstanding, found.acquired - found.released + found.preexisting);
        // No more deaths a second than there were; none where none was seen.
        let pace = 1000.0 / every as f64;
        let seen = stop > 0;
        prop_assert!(found.growth_per_second <= if seen { pace * 1.1 } else { 0.0 }, "{:?}", found);
    }

    #[test]
    fn a_parent_that_reaps_each_child_late_is_no_leak(
        delay in 500_i64..60_000, every in 100_usize..2_000, end in 1_000_i64..120_000,
    ) {
        let mut children = forgotten(-delay - 10_000, end, every);
        for child in &mut children {
            child.reaped = Some(child.died + delay);
        }
        let found = findings(&children, end);
        let leak = found.iter().find(|found| found.verdict == Verdict::Leak && found.rule == "zombies");
        prop_assert_eq!(leak, None);
    }

    #[test]
    fn a_parent_that_reaps_all_from_time_to_time_is_no_leak(
        period in 3_000_i64..60_000, phase in 0.0_f64..0.95, every in 100_usize..2_000, rounds in 0.0_f64..3.0,
    ) {
        // It has come once since the trace began, more than a second after that.
        let first = (period as f64 * (1.0 - phase)) as i64;
        prop_assume!(first > 1_100);
        let end = first + 1 + (period as f64 * rounds) as i64;
        let mut children = forgotten(first - 2 * period, end, every);
        for child in &mut children {
            let turns = (child.died - first).div_euclid(period) + 1;
            child.reaped = Some(first + turns * period);
        }
        let found = findings(&children, end);
        let leak = found.iter().find(|found| found.verdict == Verdict::Leak && found.rule == "zombies");
        prop_assert_eq!(leak, None);
    }
}
