//! Pipes and pairs of sockets of which one end is closed: the other is of no use any more.

use leak_common::Kind;

use super::Rule;
use crate::judge::Judged;
use crate::judge::evidence::named::Named;
use crate::model::report::Verdict;

/// Tells growth of pipes and pairs of sockets whose other end is closed.
#[derive(Default)]
pub(super) struct HalfClosed;

impl Rule for HalfClosed {
    fn name() -> &'static str {
        "half-closed"
    }

    fn add_names(named: &Named<'_>, judged: &mut Judged) {
        if !matches!(judged.kind, Kind::Pipe | Kind::Socket) || named.half_closed == 0 {
            return;
        }
        if judged.verdict != Verdict::Steady && named.half_closed * 2 > named.described {
            judged.rule = Self::name();
        }
        judged.evidence.push(format!(
            "of {} of {} that were looked at, the other end is closed: nothing can come through them any \
             more",
            named.half_closed, named.described
        ));
    }
}
