//! What of a recording is asked for.

use leak_common::{Kind, KindSet};

use super::QueryError;
use crate::{
    analysis::Beginning,
    model::time::{Moment, Nanos},
};

/// What of a recording to look at.
#[derive(Clone, Debug)]
pub struct Query {
    /// `None`: from the trace's beginning.
    pub from: Option<Moment>,
    /// `None`: up to its end.
    pub to: Option<Moment>,
    /// Empty: all processes.
    pub pids: Vec<u32>,
    pub kinds: KindSet,
}

impl Default for Query {
    fn default() -> Query {
        Query {
            from: None,
            to: None,
            pids: Vec::new(),
            kinds: KindSet::ALL,
        }
    }
}

impl Query {
    /// The kinds, if not all are asked for. A recording never has the heap: a query for
    /// all other kinds is one for all.
    pub(super) fn some_kinds(&self) -> Option<KindSet> {
        let all = self.kinds.includes(KindSet::ALL.without(Kind::Heap));
        (!all).then_some(self.kinds)
    }

    /// The earliest time that is asked for, by the trace's own clock.
    pub(super) fn earliest(&self, beginning: &Beginning) -> Option<Nanos> {
        self.from.map(|moment| nanos(moment, beginning))
    }

    /// The latest time that is asked for, by the trace's own clock: [`Nanos::MAX`] where
    /// that is its end.
    pub(super) fn latest(&self, beginning: &Beginning) -> Nanos {
        self.to
            .map_or(Nanos::MAX, |moment| nanos(moment, beginning))
    }

    /// Fails where the times are in no order.
    pub(super) fn check_times(&self, beginning: &Beginning) -> Result<(), QueryError> {
        let latest = self.latest(beginning);
        match self.earliest(beginning) {
            Some(earliest) if earliest >= latest => {
                Err(QueryError::Times("--from is not before --to".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A moment by the trace's own clock.
fn nanos(moment: Moment, beginning: &Beginning) -> Nanos {
    let since = match moment {
        Moment::After(after) => u64::try_from(after.as_nanos()).unwrap_or(u64::MAX),
        Moment::Wall(wall) => wall.saturating_sub(beginning.started_at),
    };
    beginning.started.saturating_add(since)
}
