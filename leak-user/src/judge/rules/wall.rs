//! Growth that ended because calls failed: at a limit a leak cannot go on, and looks like a full pool.
//!
//! The growth up to the first refusal is judged, with the numbers of that time, as long as what was held then still is.
//! The refusal supports it: a program that takes what it needs and no more does not run into its limit.

use std::collections::HashMap;

use leak_common::{Kind, ProcessId};

use super::{Rule, exit, growth};
use crate::judge::Config;
use crate::judge::evidence::{account::Account, refused::Refused, round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::ledger::SiteKey;
use crate::model::refusal::Refusal;
use crate::model::time::{Nanos, seconds};

/// How much less growth it takes than without a refusal.
const SUPPORT: f64 = 0.75;

/// Of what a site held at the refusal, the share that it still holds and has held since. What
/// gives back more makes room for itself.
const KEPT: f64 = 0.8;

/// Judges growth up to the refusal that ended it.
#[derive(Default)]
pub(super) struct Wall {
    refused: HashMap<(ProcessId, Kind), Refused>,
}

impl Rule for Wall {
    fn name() -> &'static str {
        "wall"
    }

    fn gather(round: &Round<'_>) -> Wall {
        let sites = round.details.keys();
        let of_site = |key: &SiteKey| {
            let record = round.ledger.site(*key)?;
            let wall = round.refused.wall(record.process, record.kind)?;
            Some(((record.process, record.kind), wall))
        };
        Wall {
            refused: sites.filter_map(of_site).collect(),
        }
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let (Some(account), Some(known)) = (site.account(), &site.known) else {
            return;
        };
        let of = (known.record.process, known.record.kind);
        let refused = self.refused.get(&of);
        let then = refused.and_then(|refused| judge_up_to(refused, site, &account));
        if let Some(then) = then.filter(|then| then.verdict < opinion.verdict) {
            *opinion = Opinion {
                rule: Wall::name(),
                ..then
            };
        }
    }
}

/// Judges the growth of a site, or of several of which this is one, up to a refusal. `None`
/// where that was at another time, or what was held then is not held any more.
pub(super) fn judge_up_to(
    refused: &Refused,
    site: &Site<'_>,
    account: &Account<'_>,
) -> Option<Opinion> {
    let held = site.held();
    let end = held.map_or(site.now, |held| held.exit);
    // The memory of a process ends with it.
    let memory = refused.error == Refusal::Memory && held.is_some();
    if !(account.start..=end).contains(&refused.time) || memory {
        return None;
    }
    let before = Account {
        factor: account.factor * SUPPORT,
        ..account.at(refused.time)
    };
    if !is_kept(account, &before, refused.time) {
        return None;
    }
    // All that was acquired up to then is known by now. What was young when the process began
    // to close all it had went unseen.
    let nursery = site.config.nursery;
    let closing = held.and_then(|held| held.closing);
    let unseen = closing.is_some_and(|closing| closing < refused.time.saturating_add(nursery));
    let config = Config {
        nursery: if unseen { nursery } else { 0 },
        promotion: 0,
        ..*site.config
    };
    let mut then = growth::judge(&config, &before);
    let since = seconds(end.saturating_sub(refused.time));
    let when = match held {
        Some(_) => format!("{since:.1} s before the process exited"),
        None => format!("{since:.1} s ago"),
    };
    then.evidence.push(format!(
        "it went on until the kernel refused more: {} {when}; {} of what is held now were held then",
        refused.error.name(),
        before.outstanding
    ));
    then.evidence.extend(held.and_then(exit::closed_at_the_end));
    Some(then)
}

/// Whether most of what a site holds is from before a time, and it has held as much since.
fn is_kept(account: &Account<'_>, then: &Account<'_>, time: Nanos) -> bool {
    let level = account.series.and_then(|series| series.level_at(time));
    let end = account.series_end;
    let least = account
        .series
        .and_then(|series| series.least_between(time, end));
    let level = level.unwrap_or(0).max(then.outstanding) as f64;
    let least = least.unwrap_or(u64::MAX).min(account.outstanding) as f64;
    least >= KEPT * level && then.outstanding as f64 >= KEPT * account.outstanding as f64
}
