//! Pools of connections that run dry, and those that are only not used.

use proptest::prelude::*;

use super::*;

const LEAKER: SiteId = SiteId(1001);
const OTHERS: [SiteId; 3] = [SiteId(1003), SiteId(1005), SiteId(1007)];

/// A use of a connection: when, in milliseconds, which connection, and by whom.
type Use = (u64, usize, SiteId);

/// What an observer would tell, each 2 s, of these uses of a pool until `end`; and what the judge
/// finds then.
struct Pool {
    connections: usize,
    uses: Vec<Use>,
    /// Milliseconds at which requests arrived that are not answered.
    waiting: Vec<u64>,
    /// Share of the time that the process works.
    works: fn(u64) -> f64,
}

impl Pool {
    fn of(connections: usize, uses: Vec<Use>) -> Pool {
        Pool {
            connections,
            uses,
            waiting: Vec::new(),
            works: |_| 0.0,
        }
    }

    fn look(&self, now: u64, worked: f64) -> PoolUses {
        let mut connections: Vec<Pooled> = (0..self.connections)
            .map(|number| Pooled {
                handle: descriptor(number),
                acquired: MILLI,
                used: MILLI,
                borrower: SiteId::UNKNOWN,
            })
            .collect();
        let mut borrows: HashMap<SiteId, Borrows> = HashMap::new();
        let of = |borrower| Borrows {
            borrower,
            ..Borrows::default()
        };
        for &(time, connection, borrower) in self.uses.iter().filter(|one| one.0 <= now) {
            let one = &mut connections[connection];
            if one.borrower != SiteId::UNKNOWN {
                let before = borrows.entry(one.borrower);
                before.or_insert(of(one.borrower)).followed += 1;
            }
            (one.used, one.borrower) = (time * MILLI, borrower);
            borrows.entry(borrower).or_insert(of(borrower)).count += 1;
        }
        PoolUses {
            time: now * MILLI,
            process: PROCESS.0,
            peer: "10.0.0.7:5432".to_owned(),
            site: SITE,
            connections,
            others: 0,
            borrows: borrows.into_values().collect(),
            worked: worked as u64 * MILLI,
            waiting: self
                .waiting
                .iter()
                .filter(|arrived| **arrived <= now)
                .map(|arrived| arrived * MILLI)
                .collect(),
        }
    }

    fn finding(&self, end: u64) -> Option<Judged> {
        let mut ledger = ledger(false);
        let mut judge = Judge::new(Config::default());
        for number in 0..self.connections {
            ledger.apply(&acquired(MILLI, Kind::Socket, descriptor(number)));
        }
        let mut worked = 0.0;
        let mut now = 0;
        while now < end {
            judge.pool_used(&self.look(now, worked));
            judge.sample(now * MILLI, &ledger, &ledger.running());
            worked += 2000.0 * (self.works)(now);
            now = (now + 2000).min(end);
        }
        judge.pool_used(&self.look(end, worked));
        judge.sample(end * MILLI, &ledger, &ledger.running());
        check(&judge.findings(end * MILLI, 0, &ledger)).pop()
    }

    fn verdict(&self, end: u64) -> Verdict {
        let found = self.finding(end);
        found.map_or(Verdict::Steady, |found| found.verdict)
    }
}

/// Borrows of a pool whose connections go round, every `every` milliseconds; each `one_in`-th is
/// by the leaker, which does not give back if it `keeps`. Ends when there is none left, or at
/// `until`.
fn borrows(connections: usize, every: u64, one_in: usize, keeps: bool, until: u64) -> Vec<Use> {
    let mut free: std::collections::VecDeque<usize> = (0..connections).collect();
    let mut uses = Vec::new();
    for number in 1.. {
        let time = number as u64 * every;
        if time > until {
            break;
        }
        let Some(connection) = free.pop_front() else {
            break;
        };
        let is_leaker = number % one_in == 0;
        let borrower = match is_leaker {
            true => LEAKER,
            false => OTHERS[number % OTHERS.len()],
        };
        uses.push((time, connection, borrower));
        if !(is_leaker && keeps) {
            free.push_back(connection);
        }
    }
    uses
}

#[test]
fn one_borrower_that_gives_nothing_back_is_a_leak_when_the_pool_is_dry() {
    let uses = borrows(10, 50, 20, true, u64::MAX);
    let dry_at = uses.last().unwrap().0;
    let pool = Pool::of(10, uses);
    assert_eq!(pool.verdict(dry_at + 5000), Verdict::Steady);
    let found = pool.finding(dry_at + 20_000).unwrap();
    assert_eq!(
        (found.verdict, found.rule),
        (Verdict::Leak, "pool-ran-dry"),
        "{found:?}"
    );
    assert_eq!(found.last_user, Some(LEAKER));
    assert_eq!(found.growth_per_second, 0.0);
    assert!(!found.counts());
    says(
        &found,
        "all 10 connections to 10.0.0.7:5432 stopped being used, one after the other",
    );
    says(&found, "one stack was the last user of 10 of them");
}

#[test]
fn a_healthy_pool_is_all_right_by_day_and_by_night() {
    for one_in in [2, 7, 20] {
        let pool = Pool::of(10, borrows(10, 50, one_in, false, 30_000));
        for end in [10_000, 20_000, 60_000, 120_000] {
            assert_eq!(pool.verdict(end), Verdict::Steady, "{one_in} {end}");
        }
    }
}

/// In the evening ever fewer connections are in use, and each stack was the last user of some.
fn evening(one_in: usize) -> Vec<Use> {
    let mut uses = Vec::new();
    for number in 0..400usize {
        let in_use = 10 - number / 40;
        let borrower = match number % one_in {
            0 => LEAKER,
            other => OTHERS[other % OTHERS.len()],
        };
        uses.push((number as u64 * 50, number % in_use, borrower));
    }
    uses
}

#[test]
fn an_evening_has_the_same_last_uses_and_is_no_verdict() {
    for one_in in [3, 20] {
        let pool = Pool::of(10, evening(one_in));
        for end in [25_000, 40_000, 120_000] {
            let found = pool.finding(end).unwrap();
            assert_eq!(found.verdict, Verdict::Steady, "{found:?}");
            assert_eq!(found.last_user, None);
        }
    }
}

#[test]
fn a_stack_that_looks_after_idle_connections_is_no_leak() {
    // After an evening, each connection is looked at once, by one stack, one after the other,
    // while one goes on being used; then that ends, too.
    let mut uses = evening(20);
    for number in 0..120u64 {
        let time = 21_000 + number * 100;
        uses.push((time, 0, OTHERS[number as usize % OTHERS.len()]));
        if number % 12 == 0 && number > 0 {
            uses.push((time + 50, (number / 12) as usize, LEAKER));
        }
    }
    let pool = Pool::of(10, uses);
    for end in [30_000, 33_000] {
        assert_eq!(pool.verdict(end), Verdict::Steady, "{end}");
    }
}

#[test]
fn a_dry_pool_is_suspect_while_somebody_asks_and_a_leak_when_three_have_waited() {
    // Whoever borrows keeps now and then: the last users tell nothing.
    let mut uses = borrows(8, 50, 20, true, u64::MAX);
    for one in &mut uses {
        one.2 = OTHERS[0];
    }
    let dry_at = uses.last().unwrap().0;
    let end = dry_at + 30_000;
    let mut pool = Pool::of(8, uses);
    assert_eq!(pool.verdict(end), Verdict::Steady);
    pool.works = |_| 0.2;
    let busy = pool.finding(end).unwrap();
    assert_eq!(busy.verdict, Verdict::Suspect, "{busy:?}");
    assert!(busy.waits_for.is_some());
    pool.works = |_| 0.0;
    pool.waiting = vec![dry_at - 10];
    assert_eq!(pool.verdict(end), Verdict::Steady, "it came before");
    pool.waiting = vec![dry_at + 100, dry_at + 200, dry_at + 300];
    assert_eq!(pool.verdict(end), Verdict::Suspect);
    let stuck = pool.finding(dry_at + 61_000).unwrap();
    assert_eq!(stuck.verdict, Verdict::Leak, "{stuck:?}");
    says(&stuck, "3 requests that arrived since wait for an answer");
}

#[test]
fn a_look_of_long_ago_says_nothing() {
    let pool = Pool::of(10, borrows(10, 50, 20, true, u64::MAX));
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    for number in 0..10 {
        ledger.apply(&acquired(MILLI, Kind::Socket, descriptor(number)));
    }
    for now in (0..40).map(|n| n * 1000) {
        judge.pool_used(&pool.look(now, 0.0));
        judge.sample(now * MILLI, &ledger, &ledger.running());
    }
    let verdict = |end: u64| judge.findings(end * MILLI, 0, &ledger)[0].verdict;
    assert_eq!(verdict(40_000), Verdict::Leak);
    assert_eq!(verdict(80_000), Verdict::Steady);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_leak_of_one_in_some_is_found_whatever_the_pace(
        connections in 5..24usize, every in 10..200u64, one_in in 12..40usize,
    ) {
        let uses = borrows(connections, every, one_in, true, u64::MAX);
        let dry_at = uses.last().map_or(0, |one| one.0);
        // Each look has to come while it dries.
        prop_assume!(dry_at > 4000);
        let gap = every * connections as u64;
        let pool = Pool::of(connections, uses);
        let found = pool.finding(dry_at + 12_000 + gap * 10);
        let found = found.map(|found| (found.verdict, found.last_user));
        prop_assert_eq!(found, Some((Verdict::Leak, Some(LEAKER))));
    }

    #[test]
    fn any_use_again_clears_it(
        connections in 5..24usize, which in 0..100usize, by in 0..4usize, after in 100..60_000u64,
    ) {
        let mut uses = borrows(connections, 50, 20, true, u64::MAX);
        let dry_at = uses.last().map_or(0, |one| one.0);
        let by = [LEAKER, OTHERS[0], OTHERS[1], OTHERS[2]][by];
        uses.push((dry_at + after, which % connections, by));
        let mut pool = Pool::of(connections, uses);
        pool.waiting = vec![dry_at + 1, dry_at + 2, dry_at + 3];
        prop_assert_eq!(pool.verdict(dry_at + after + 9_000), Verdict::Steady);
    }

    #[test]
    fn a_pool_that_one_stack_alone_uses_is_never_a_leak_by_its_share(
        connections in 4..40usize, every in 10..200u64, one_in in 2..40usize, later in 0..200_000u64,
    ) {
        let mut uses = borrows(connections, every, one_in, true, u64::MAX);
        for one in &mut uses {
            one.2 = LEAKER;
        }
        let dry_at = uses.last().map_or(0, |one| one.0);
        prop_assert_eq!(Pool::of(connections, uses).verdict(dry_at + later), Verdict::Steady);
    }

    #[test]
    fn healthy_uses_are_never_more_than_steady(
        connections in 4..24usize,
        uses in prop::collection::vec((0..30_000u64, 0..24usize, 0..4usize), 0..400),
        later in 0..100_000u64,
    ) {
        let by = [LEAKER, OTHERS[0], OTHERS[1], OTHERS[2]];
        let uses = uses.into_iter();
        let mut uses: Vec<Use> =
            uses.map(|(time, which, borrower)| (time, which % connections, by[borrower])).collect();
        uses.sort_unstable();
        let pool = Pool::of(connections, uses);
        prop_assert_eq!(pool.verdict(30_000 + later), Verdict::Steady);
    }
}
