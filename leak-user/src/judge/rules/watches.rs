//! An inotify descriptor that gets ever more watches: one resource, but every watch
//! counts against the user's limit (`fs.inotify.max_user_watches`).

use crate::judge::needed::{Past, share};
use crate::judge::series::{Minima, Series};
use crate::judge::{Opinion, Waits};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// The rule's name.
pub(in crate::judge) const RULE: &str = "watches";

/// Adds to an opinion on a descriptor how many watches it has.
pub(in crate::judge) fn judge(watches: &Series, start: Nanos, now: Nanos, opinion: &mut Opinion) {
    let Some(Minima { least, .. }) = watches.minima(start, now) else {
        return;
    };
    let risen = least[3].saturating_sub(least[0]);
    let steps = [1, 2, 3].map(|n: usize| least[n].saturating_sub(least[n - 1]));
    let goes_on = steps.iter().all(|&step| step > 0) && steps[2] * 6 >= steps[0] + steps[1];
    if !goes_on || risen < 3 {
        return;
    }
    let span = seconds(now.saturating_sub(start));
    let strength = share(span, risen as f64, Past::Young, 1.0);
    let verdict = match strength >= 1.0 {
        true => Verdict::Leak,
        false => Verdict::Suspect,
    };
    if verdict < opinion.verdict {
        opinion.rule = RULE;
        opinion.verdict = verdict;
        opinion.growth_per_second = watches.slope(start, now).unwrap_or(0.0).max(0.0);
        opinion.waits_for = (verdict == Verdict::Suspect).then(|| Waits::LONGER.to_owned());
    }
    opinion.strength = opinion.strength.max(strength);
    opinion.observed = opinion.observed.max(span);
    opinion.evidence.push(format!(
        "its watches rose from {} to {} and never came down",
        least[0], least[3]
    ));
}
