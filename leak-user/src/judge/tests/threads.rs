//! Threads that leak, and the memory that belongs to them.

use super::*;

const THREADS: SiteId = SiteId(201);
const STACKS: SiteId = SiteId(202);
const OWN: SiteId = SiteId(203);
const PAGES: u64 = 0x10_0000;

fn site(ledger: &mut Ledger, id: SiteId, kind: Kind, tid: u32) {
    ledger.apply(&Event::Site(Site {
        time: 0,
        process: PROCESS,
        kind,
        id,
        tid,
        frames: [1, 2, 3, id.0].as_slice().into(),
        end: StackEnd::Complete,
    }));
}

fn acquire(ledger: &mut Ledger, time: u64, kind: Kind, site: SiteId, handle: Handle, size: u64) {
    if let Event::Acquired(one) = acquired(time * MILLI, kind, handle) {
        ledger.apply(&Event::Acquired(Acquired { site, size, ..one }));
    }
}

fn thread(number: u64) -> Handle {
    let tid = 1000 + number as u32;
    Handle::task(Class::Thread, ProcessId::new(tid, u64::from(tid)))
}

/// Where the n-th stack begins.
fn stack(number: u64) -> u64 {
    0x7f00_0000_0000 + number * 2 * PAGES
}

/// Five threads a second for a minute, each with a stack that was mapped `before` it, and with
/// memory that is mapped `after` it by the thread with that id. `stands` says where the stack of the
/// n-th thread stands.
fn findings(
    before: u64,
    after: u64,
    by: u32,
    stands: impl Fn(u64) -> u64,
) -> HashMap<SiteId, Judged> {
    let (mut ledger, mut judge) = (ledger(false), Judge::new(Config::default()));
    site(&mut ledger, THREADS, Kind::Thread, 7);
    site(&mut ledger, STACKS, Kind::Mapping, 7);
    site(&mut ledger, OWN, Kind::Mapping, by);
    let mut stacks = Vec::new();
    for number in 0..300 {
        let time = 1000 + number * 200;
        let mapping = |at| Handle::new(Class::Mapping, at);
        let own = mapping(stack(number) + PAGES);
        acquire(
            &mut ledger,
            time - before,
            Kind::Mapping,
            STACKS,
            mapping(stack(number)),
            PAGES,
        );
        acquire(&mut ledger, time, Kind::Thread, THREADS, thread(number), 0);
        acquire(
            &mut ledger,
            time + after,
            Kind::Mapping,
            OWN,
            own,
            PAGES / 2,
        );
        stacks.push((thread(number), stands(number)));
        judge.sample(time * MILLI, &ledger, &ledger.running());
    }
    // A share of them is looked at.
    stacks.truncate(60);
    judge.observe(&Observation {
        time: 61_000 * MILLI,
        process: PROCESS,
        close_wait: Vec::new(),
        watches: Vec::new(),
        stacks,
        adders: Vec::new(),
    });
    let found = check(&judge.findings(61_000 * MILLI, 0, &ledger));
    let by_site = found.into_iter().filter_map(|judged| match judged.key {
        SiteKey::Site(site) => Some((site, judged)),
        SiteKey::Unknown(..) => None,
    });
    by_site.collect()
}

#[test]
fn stacks_and_what_threads_map_as_they_start_are_a_part_of_the_finding_on_threads() {
    // Stacks that the C library had kept are as old as it may be.
    for before in [0, 1, 900] {
        let found = findings(before, 2, 1003, |number| stack(number) + 100);
        assert_eq!(found[&THREADS].verdict, Verdict::Leak);
        for memory in [STACKS, OWN] {
            let memory = &found[&memory];
            assert_eq!(memory.part_of, Some(SiteKey::Site(THREADS)), "{memory:?}");
            assert_eq!(
                (memory.verdict, memory.growth_per_second),
                (Verdict::Steady, 0.0)
            );
        }
        says(
            &found[&THREADS],
            "with them stay 300 mappings of 300.0 MiB in all: their stacks",
        );
        says(
            &found[&THREADS],
            "150.0 MiB in all: each thread mapped one as it started",
        );
    }
}

#[test]
fn a_thread_that_has_ended_may_have_been_the_first_to_map() {
    let found = findings(0, 2, 999, stack);
    assert_eq!(found[&OWN].part_of, Some(SiteKey::Site(THREADS)));
}

#[test]
fn mappings_that_leak_beside_threads_keep_their_finding() {
    // No stack stands in them, and others than the threads map them.
    {
        let found = findings(0, 2, 7, |number| stack(number) + 9 * PAGES * 1000);
        assert_eq!(found[&THREADS].verdict, Verdict::Leak);
        for memory in [STACKS, OWN] {
            let memory = &found[&memory];
            assert_eq!(
                (memory.verdict, memory.part_of),
                (Verdict::Leak, None),
                "{memory:?}"
            );
        }
    }
}

#[test]
fn a_site_of_which_few_mappings_are_stacks_keeps_its_finding() {
    let found = findings(0, 900, 7, |number| match number % 2 {
        0 => stack(number),
        _ => 64,
    });
    assert_eq!(found[&STACKS].part_of, None);
}
