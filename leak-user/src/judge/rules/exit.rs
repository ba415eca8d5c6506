//! What a process held when it exited: the kernel takes it all back, but what was
//! acquired throughout its life and never released would have gone on growing.
//!
//! Most programs close what they hold before they go, leaked or not: interpreters at every
//! normal exit, servers when they are told to stop. What a process closed in the rush before
//! its exit counts as held until the first of these releases. It takes more of that, as a
//! correct program closes its files, too, when it has done its work. Beside that, growth is
//! judged up to then by the numbers that it takes while a process runs.

use leak_common::Kind;

use super::{Rule, growth};
use crate::judge::evidence::{pattern::quarters, site::Site, slope::slope_of_times};
use crate::judge::opinion::{Opinion, list};
use crate::judge::{Config, SECOND};
use crate::ledger::Held;
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Fewer resources than this form no pattern.
const LEAST: u64 = 5;

/// In a short-lived process this many already form a pattern.
const PLENTY: u64 = 10;

/// The same where the process closed them at its end.
const PLENTY_CLOSED: u64 = 24;

/// What is acquired this long before a process begins to close may go unseen.
const UNSEEN: Nanos = 13 * SECOND / 10;

/// What is acquired over less than this is a burst.
const BURST: Nanos = 3 * SECOND;

/// A life is short if it ends before this age.
const SHORT: Nanos = 10 * SECOND;

/// Of the resources that outlived the nursery, a leak releases less than this share.
const RATIO: f64 = 0.2;

/// Judges what was held at an exit, in place of growth.
#[derive(Default)]
pub(super) struct HeldAtExit;

impl Rule for HeldAtExit {
    fn name() -> &'static str {
        "held-at-exit"
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let (Some(known), Some(held)) = (&site.known, site.held()) else {
            return;
        };
        let born = known.born.max(site.window_start);
        let kind = known.record.kind;
        *opinion = judge(kind, held, born, known.record.release_ratio());
        // Memory ends with its process.
        if kind != Kind::Mapping && opinion.verdict != Verdict::Leak {
            let grown = growth_up_to_the_end(site, held);
            if let Some(grown) = grown.filter(|grown| grown.verdict == Verdict::Leak) {
                *opinion = grown;
            }
        }
        opinion.evidence.extend(closed_at_the_end(held));
    }
}

/// A process may stop acquiring some time before it begins to close: this share of the time
/// before.
const PAUSE: u64 = 8;

/// Judges the growth up to the exit, or to the time when the process began to close what it
/// held.
fn growth_up_to_the_end(site: &Site<'_>, held: &Held) -> Option<Opinion> {
    let account = site.account()?;
    let config = config_at_the_end(site.config, held);
    let mut opinion = growth::judge(&config, &account);
    let last = account.times.last().copied().unwrap_or(account.start);
    let pause = account.now.saturating_sub(last);
    if pause > config.nursery && pause <= last.saturating_sub(account.start) / PAUSE {
        // All that was acquired up to then was old when it was closed.
        let config = Config {
            nursery: 0,
            ..config
        };
        let then = growth::judge(&config, &account.at(last));
        if then.verdict < opinion.verdict {
            opinion = then;
        }
    }
    opinion.rule = HeldAtExit::name();
    Some(opinion)
}

/// What is known of the last of what a process held: all of it, but for what was young when it
/// began to close.
pub(super) fn config_at_the_end(config: &Config, held: &Held) -> Config {
    Config {
        nursery: held.closing.map_or(0, |_| config.nursery),
        promotion: 0,
        ..*config
    }
}

/// Says that a process closed what it held at its end, if it did.
pub(super) fn closed_at_the_end(held: &Held) -> Option<String> {
    let took = seconds(held.exit.saturating_sub(held.closing?));
    let took = match took {
        took if took < 0.1 => format!("{:.1} ms", took * 1e3),
        took => format!("{took:.1} s"),
    };
    let all = match held.count.saturating_sub(held.closed) {
        0 => "all".to_owned(),
        _ => held.closed.to_string(),
    };
    Some(format!(
        "{all} of them were closed in the last {took} before the process exited: they count as held until then"
    ))
}

/// Judges what was held, of a process that was first seen at `born` and released the share
/// `ratio` of what outlived the nursery.
fn judge(kind: Kind, held: &Held, born: Nanos, ratio: f64) -> Opinion {
    let mut times: Vec<Nanos> = held.samples.iter().map(|sample| sample.acquired).collect();
    times.sort_unstable();
    let end = end_of_work(held, &times, born);
    let life = end.saturating_sub(born);
    let from = since_start_up(&times, born, end);
    let counts = quarters(times.iter().copied(), from, end);
    let filled = counts.iter().filter(|&&count| count > 0).count();
    let throughout = filled == 4 && goes_on(counts) && held.count >= LEAST && ratio < RATIO;
    let closed = held.closed * 2 > held.count;
    // A correct program closes at its end what it has worked with.
    let (enough, pattern) = match closed {
        true => (
            held.count >= PLENTY_CLOSED
                && ratio <= 0.0
                && held.until().saturating_sub(born) >= BURST,
            throughout && held.count >= PLENTY,
        ),
        false => (
            life >= SHORT && from == born || held.count >= PLENTY * if from > born { 2 } else { 1 },
            throughout || (filled >= 2 && counts[3] > 0 && held.count >= LEAST && ratio < 0.5),
        ),
    };
    let verdict = if kind == Kind::Mapping {
        // Programs rely on their end to give back memory.
        Verdict::Steady
    } else if throughout && enough {
        Verdict::Leak
    } else if pattern {
        Verdict::Suspect
    } else {
        Verdict::Steady
    };
    let weight = held.count as f64 / times.len().max(1) as f64;
    let growth_per_second = match verdict {
        Verdict::Steady => 0.0,
        Verdict::Leak | Verdict::Suspect => slope_of_times(&times, weight),
    };
    let evidence = evidence(
        kind,
        held,
        verdict,
        counts,
        (life, end.saturating_sub(from)),
    );
    Opinion {
        verdict,
        strength: held.count as f64 / if closed { PLENTY_CLOSED } else { PLENTY } as f64,
        growth_per_second,
        ..Opinion::steady(HeldAtExit::name(), seconds(life), evidence)
    }
}

/// Until when a process acquired: its exit, or the time when it began to close what it held,
/// or its last acquisition if that was shortly before. What was young when it began to close
/// went unseen.
fn end_of_work(held: &Held, times: &[Nanos], born: Nanos) -> Nanos {
    let (Some(closing), Some(&last)) = (held.closing, times.last()) else {
        return held.exit;
    };
    let pause = closing.saturating_sub(last);
    let shortly = UNSEEN + last.saturating_sub(born) / PAUSE;
    if pause <= shortly { last } else { closing }
}

/// From when on acquisitions count: from the first one, if what was before may have been
/// the start of an interpreter or a server.
fn since_start_up(times: &[Nanos], born: Nanos, end: Nanos) -> Nanos {
    let first = times.first().copied().unwrap_or(born).max(born);
    let life = end.saturating_sub(born);
    let started_up = first - born <= life / 2 && end.saturating_sub(first) >= BURST;
    if started_up { first } else { born }
}

/// Whether acquiring goes on in the last quarter: a pool that fills slows down.
fn goes_on(counts: [u64; 4]) -> bool {
    counts[3] > 0 && counts[3] * 6 >= counts[1] + counts[2]
}

fn evidence(
    kind: Kind,
    held: &Held,
    verdict: Verdict,
    counts: [u64; 4],
    (life, span): (Nanos, Nanos),
) -> Vec<String> {
    let at = match held.closing {
        Some(_) => "until its end",
        None => "at exit",
    };
    let mut evidence = vec![format!(
        "{} held {at}, after a life of {:.1} s",
        held.count,
        seconds(life)
    )];
    if held.count >= LEAST {
        let quarter = match span < life {
            true => format!("quarter of the last {:.1} s", seconds(span)),
            false => "quarter of its life".to_owned(),
        };
        evidence.push(format!(
            "by the {quarter} they were acquired in: {}",
            list(&counts)
        ));
    }
    match verdict {
        Verdict::Leak => {}
        Verdict::Suspect => {
            evidence.push("it lived too short or acquired too unevenly to tell".to_owned());
        }
        Verdict::Steady if kind == Kind::Mapping => {
            evidence.push("memory ends with its process".to_owned());
        }
        Verdict::Steady => evidence.push("not acquired throughout its life".to_owned()),
    }
    evidence
}
