//! Verdicts on histories whose truth is known.
#![allow(clippy::unwrap_used, reason = "tests")]

mod claims;
mod end;
mod facts;
mod full_pools;
mod joined;
mod last_use;
mod named;
mod order;
mod pools;
mod properties;
mod sentences;
mod threads;
mod wall;
mod zombies;

use std::ops::Range;

use leak_common::{Class, Handle, Kind, ProcessId, wire::StackEnd};

use super::judged::order;
use super::*;
use crate::ledger::{self, BaselineProcess};
use crate::model::report::Verdict;
use crate::{
    event::{Acquired, Event, Executed, Forked, Released, Site},
    model::site::SiteId,
};

const PROCESS: ProcessId = ProcessId::new(7, 70);
const SITE: SiteId = SiteId(99);
const MILLI: Nanos = 1_000_000;
/// What is acquired at t is promoted at t + this.
const LATE: Nanos = 1200 * MILLI;

/// One resource: acquired, and released if it is, in milliseconds.
type Life = (u64, Option<u64>);

fn ledger(keep_exited: bool) -> Ledger {
    let mut ledger = Ledger::new(ledger::Config {
        keep_exited,
        ..ledger::Config::default()
    });
    ledger.apply(&Event::Executed(Executed {
        time: 0,
        process: PROCESS,
        comm: [0; 16],
    }));
    ledger
}

/// What `/proc` shows at a time: the process with these descriptors.
fn before(ledger: &mut Ledger, time: Nanos, descriptors: Range<u32>, kind: Kind) {
    ledger.baseline(&BaselineProcess {
        id: PROCESS,
        parent: None,
        comm: [0; 16],
        time,
        descriptors: descriptors.map(|fd| (fd, kind)).collect(),
        mappings: Vec::new(),
        threads: Vec::new(),
        children: Vec::new(),
        zombies: Vec::new(),
    });
}

fn acquired(time: Nanos, kind: Kind, handle: Handle) -> Event {
    Event::Acquired(Acquired {
        time,
        process: PROCESS,
        kind,
        handle,
        site: SITE,
        size: 0,
        close_on_exec: false,
        kind_guessed: false,
        maybe_existed: false,
    })
}

/// Acquires from a site, which is told first, with its frames.
fn acquired_at(ledger: &mut Ledger, time: Nanos, (id, frames): (SiteId, &[u64]), handle: Handle) {
    ledger.apply(&Event::Site(Site {
        time,
        process: PROCESS,
        kind: Kind::File,
        id,
        tid: 7,
        frames: frames.into(),
        end: StackEnd::Complete,
    }));
    if let Event::Acquired(one) = acquired(time, Kind::File, handle) {
        ledger.apply(&Event::Acquired(Acquired { site: id, ..one }));
    }
}

fn released(time: Nanos, handle: Handle) -> Event {
    Event::Released(Released {
        time,
        process: PROCESS,
        handle,
        acquired: None,
    })
}

fn forked(time: Nanos, child: ProcessId) -> Event {
    Event::Forked(Forked {
        time,
        parent: PROCESS,
        child,
        shares_files: false,
        shares_memory: false,
        comm: [0; 16],
    })
}

fn descriptor(number: usize) -> Handle {
    Handle::new(Class::Descriptor, number as u64)
}

/// What the kernel side tells of these lives, in the order of its telling.
fn told(lives: &[Life]) -> Vec<(Nanos, Event)> {
    let mut events = Vec::new();
    for (number, &(from, to)) in lives.iter().enumerate() {
        let (time, handle) = (from * MILLI, descriptor(number));
        let to = to.map(|to| to * MILLI);
        if to.is_some_and(|to| to < time + LATE) {
            continue;
        }
        events.push((time + LATE, acquired(time, Kind::File, handle)));
        if let Some(to) = to {
            events.push((to, released(to, handle)));
        }
    }
    events.sort_by_key(|(time, _)| *time);
    events
}

/// The finding after `end` milliseconds, sampled every `interval`.
fn finding(lives: &[Life], end: u64, interval: u64) -> Option<Judged> {
    finding_with(lives, end, interval, |_, _| ())
}

/// The same, where the ledger is told something else, too, before each sample: `tell` gets the
/// time in milliseconds.
fn finding_with(
    lives: &[Life],
    end: u64,
    interval: u64,
    tell: impl Fn(&mut Ledger, u64),
) -> Option<Judged> {
    let mut ledger = ledger(false);
    let mut judge = Judge::new(Config::default());
    let mut events = told(lives).into_iter().peekable();
    let mut now = 0;
    while now < end {
        now = (now + interval).min(end);
        while let Some((_, event)) = events.next_if(|(time, _)| *time <= now * MILLI) {
            ledger.apply(&event);
        }
        tell(&mut ledger, now);
        judge.sample(now * MILLI, &ledger, &ledger.running());
    }
    check(&judge.findings(end * MILLI, 0, &ledger)).pop()
}

/// Asserts what holds of all findings.
fn check(findings: &[Judged]) -> Vec<Judged> {
    for finding in findings {
        assert!((0.0..=1.0).contains(&finding.confidence), "{finding:?}");
        assert!(finding.growth_per_second.is_finite() && finding.growth_per_second >= 0.0);
        assert!(finding.oldest_age.is_finite() && finding.oldest_age >= 0.0);
        assert!(!finding.evidence.is_empty());
    }
    assert!(findings.is_sorted_by(|a, b| order(a, b).is_le()));
    findings.to_vec()
}

/// Asserts that a finding's evidence holds these words.
fn says(finding: &Judged, words: &str) {
    let told = finding.evidence.iter().any(|line| line.contains(words));
    assert!(told, "{finding:?}");
}

/// Asserts that the first finding is a leak and no other is.
fn one_leak(findings: &[Judged]) {
    let leaks = findings
        .iter()
        .filter(|found| found.verdict == Verdict::Leak);
    let leaks = leaks.count();
    assert_eq!(
        (findings[0].verdict, leaks),
        (Verdict::Leak, 1),
        "{findings:?}"
    );
}

fn verdict(lives: &[Life], end: u64, interval: u64) -> Verdict {
    finding(lives, end, interval).map_or(Verdict::Steady, |finding| finding.verdict)
}

fn ramp(from: u64, every: u64, count: u64) -> Vec<Life> {
    (0..count).map(|n| (from + n * every, None)).collect()
}

/// The worst verdict of a history at any of `ends`, in milliseconds.
fn worst(lives: &[Life], ends: &[u64]) -> (Verdict, Option<Judged>) {
    let found = ends.iter().filter_map(|&end| {
        let known: Vec<Life> = lives
            .iter()
            .filter(|life| life.0 < end)
            .map(|&(from, to)| (from, to.filter(|&to| to < end)))
            .collect();
        finding(&known, end, 1000)
    });
    let worst = found.min_by_key(|found| found.verdict);
    (
        worst
            .as_ref()
            .map_or(Verdict::Steady, |found| found.verdict),
        worst,
    )
}
