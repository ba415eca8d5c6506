//! What a process held when it exited: the kernel takes it all back, but what was
//! acquired throughout its life and never released would have gone on growing.

use leak_common::Kind;

use super::Rule;
use crate::judge::SECOND;
use crate::judge::evidence::{pattern::quarters, site::Site, slope::slope_of_times};
use crate::judge::opinion::{Opinion, list};
use crate::ledger::Held;
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Fewer resources than this form no pattern.
const LEAST: u64 = 5;

/// In a short-lived process this many already form a pattern.
const PLENTY: u64 = 10;

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
        if let (Some(known), Some(held)) = (&site.known, site.held()) {
            let born = known.born.max(site.window_start);
            *opinion = judge(known.record.kind, held, born, known.record.release_ratio());
        }
    }
}

/// Judges what was held, of a process that was first seen at `born` and released the share
/// `ratio` of what outlived the nursery.
fn judge(kind: Kind, held: &Held, born: Nanos, ratio: f64) -> Opinion {
    let mut times: Vec<Nanos> = held.samples.iter().map(|sample| sample.acquired).collect();
    times.sort_unstable();
    let life = held.exit.saturating_sub(born);
    let counts = quarters(times.iter().copied(), born, held.exit);
    let filled = counts.iter().filter(|&&count| count > 0).count();
    let throughout = filled == 4 && goes_on(counts) && held.count >= LEAST && ratio < RATIO;
    let verdict = if kind == Kind::Mapping {
        // Programs rely on their end to give back memory.
        Verdict::Steady
    } else if throughout && (life >= SHORT || held.count >= PLENTY) {
        Verdict::Leak
    } else if throughout || (filled >= 2 && counts[3] > 0 && held.count >= LEAST && ratio < 0.5) {
        Verdict::Suspect
    } else {
        Verdict::Steady
    };
    let weight = held.count as f64 / times.len().max(1) as f64;
    let growth_per_second = match verdict {
        Verdict::Steady => 0.0,
        Verdict::Leak | Verdict::Suspect => slope_of_times(&times, weight),
    };
    let evidence = evidence(kind, held, verdict, counts, life);
    Opinion {
        verdict,
        strength: held.count as f64 / PLENTY as f64,
        growth_per_second,
        ..Opinion::steady(HeldAtExit::name(), seconds(life), evidence)
    }
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
    life: Nanos,
) -> Vec<String> {
    let mut evidence = vec![format!(
        "{} held at exit, after a life of {:.1} s",
        held.count,
        seconds(life)
    )];
    if held.count >= LEAST {
        evidence.push(format!(
            "by the quarter of its life they were acquired in: {}",
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
