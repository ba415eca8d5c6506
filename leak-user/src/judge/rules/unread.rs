//! Stacks that could not be read, as the process was changing its mappings at that moment. Where no
//! other site begins as they do, they stay by themselves: several places may be among them, so
//! their growth alone is no leak.

use super::Rule;
use crate::judge::evidence::{joined::is_unread, site::Site};
use crate::judge::opinion::Opinion;
use crate::model::report::Verdict;

/// Makes growth without a stack a suspicion.
#[derive(Default)]
pub(super) struct Unread;

impl Rule for Unread {
    fn name() -> &'static str {
        "stack-not-read"
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let known = site.known.as_ref();
        if !known.is_some_and(|known| is_unread(known.record)) {
            return;
        }
        opinion.evidence.push(
            "stack not read: the process was changing its mappings at that moment".to_owned(),
        );
        if opinion.verdict == Verdict::Leak {
            opinion.verdict = Verdict::Suspect;
            opinion.waits_for = Some("acquisitions whose stack can be read".to_owned());
        }
    }
}
