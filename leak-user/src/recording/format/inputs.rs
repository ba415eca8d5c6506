//! Inputs as records: those that are no events, and which of both a record is. What
//! comes from the report's model is JSON, as the last field of its record: keys may be
//! added there by any later version.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    events,
    fields::{Field, field_by_field},
    kinds,
    wire::Cursor,
};
use crate::{
    analysis::{FirstFailure, Input},
    judge::{Borrows, GeneratedCode, LastUses, Observation, PoolUses, Pooled},
    ledger::{BaselineProcess, Shown, SiteCounts},
    model::time::Nanos,
};

/// Most bytes of JSON in a record: parsed, it can take ten times as much.
const MAX_JSON: usize = 1 << 20;

field_by_field! {
    BaselineProcess { id, parent, comm, time, descriptors, mappings, threads, children; zombies }
    GeneratedCode { process, ranges }
    LastUses { time, site, accepted, resources }
    Borrows { borrower, count, followed }
    Pooled { handle, acquired, used, borrower }
    PoolUses { time, process, peer, site, connections, others, borrows, worked, waiting }
    Observation { time, process, close_wait, watches; stacks, adders }
    Shown { time, descriptors, mappings, threads, young, adopt_as_preexisting }
}

/// Appends an input; returns its kind of record, and its time if it has one. `None`
/// where its JSON is longer than a record may have.
pub(super) fn put(out: &mut Vec<u8>, input: &Input) -> Option<(u8, Option<Nanos>)> {
    Some(match input {
        Input::Event(event) => {
            let (kind, time) = events::put(out, event);
            (kind, Some(time))
        }
        Input::Failed(failed) => {
            let (kind, time) = events::put_failed(out, failed);
            (kind, Some(time))
        }
        Input::Notice(notice) => {
            let (kind, time) = events::put_notice(out, notice);
            (kind, Some(time))
        }
        Input::Baseline(baseline) => {
            baseline.put(out);
            (kinds::BASELINE, Some(baseline.time))
        }
        Input::Compared { process, shown } => {
            process.put(out);
            shown.put(out);
            (kinds::COMPARED, Some(shown.time))
        }
        Input::Gone(process) => {
            process.put(out);
            (kinds::GONE, None)
        }
        Input::Lost(process) => {
            process.put(out);
            (kinds::LOST, None)
        }
        Input::Horizon(time) => {
            time.put(out);
            (kinds::HORIZON, None)
        }
        Input::Counted { site, counts } => {
            let SiteCounts {
                acquired,
                released,
                young,
                elsewhere,
            } = counts;
            site.put(out);
            acquired.put(out);
            // As version 1.0 wrote it, where there is no more to say.
            if (*released, *young, *elsewhere) != (None, 0, 0) {
                released.put(out);
                young.put(out);
                elsewhere.put(out);
            }
            (kinds::COUNTED, None)
        }
        Input::Sample(time) => {
            time.put(out);
            (kinds::SAMPLE, Some(*time))
        }
        Input::Facts(process, facts) => {
            process.put(out);
            put_json(out, facts)?;
            (kinds::FACTS, None)
        }
        Input::Stack { site, frames } => {
            site.put(out);
            put_json(out, frames)?;
            (kinds::STACK, None)
        }
        Input::Described {
            time,
            process,
            handle,
            kind,
            description,
        } => {
            time.put(out);
            process.put(out);
            handle.put(out);
            kind.put(out);
            put_json(out, description)?;
            (kinds::DESCRIBED, Some(*time))
        }
        Input::Observed(observation) => {
            observation.put(out);
            (kinds::OBSERVED, Some(observation.time))
        }
        Input::LastUses(uses) => {
            uses.put(out);
            (kinds::LAST_USES, Some(uses.time))
        }
        Input::GeneratedCode(code) => {
            code.put(out);
            (kinds::GENERATED_CODE, None)
        }
        Input::PoolUses(uses) => {
            uses.put(out);
            (kinds::POOL_USES, Some(uses.time))
        }
        Input::Shared {
            time,
            process,
            handle,
            holders,
        } => {
            time.put(out);
            process.put(out);
            handle.put(out);
            put_json(out, holders)?;
            (kinds::SHARED, Some(*time))
        }
        Input::FirstFailure(first) => {
            first.time.put(out);
            first.process.put(out);
            first.error.put(out);
            put_json(out, &first.failure)?;
            // It is told anew when more is known: that is later.
            (kinds::FIRST_FAILURE, None)
        }
        Input::Limits(process, limits) => {
            process.put(out);
            put_json(out, limits)?;
            (kinds::LIMITS, None)
        }
        Input::SharedLimits(limits) => {
            put_json(out, limits)?;
            (kinds::SHARED_LIMITS, None)
        }
        Input::Full(process, full) => {
            process.put(out);
            put_json(out, full)?;
            (kinds::FULL, None)
        }
        Input::Health(health) => {
            put_json(out, health)?;
            (kinds::HEALTH, None)
        }
        Input::Ended { time, wall } => {
            time.put(out);
            wall.put(out);
            (kinds::ENDED, Some(*time))
        }
        Input::Restored(restored) => {
            put_json(out, restored)?;
            (kinds::RESTORED, None)
        }
    })
}

/// The input in a record of `kind`. `None` where this version does not know the kind,
/// or the fields are not what it knows.
pub(super) fn get(kind: u8, payload: &[u8]) -> Option<Input> {
    let from = &mut Cursor::new(payload);
    Some(match kind {
        kinds::BASELINE => Input::Baseline(Box::new(Field::get(from)?)),
        kinds::COMPARED => Input::Compared {
            process: Field::get(from)?,
            shown: Box::new(Field::get(from)?),
        },
        kinds::GONE => Input::Gone(Field::get(from)?),
        kinds::LOST => Input::Lost(Field::get(from)?),
        kinds::HORIZON => Input::Horizon(Field::get(from)?),
        kinds::COUNTED => Input::Counted {
            site: Field::get(from)?,
            counts: SiteCounts {
                acquired: Field::get(from)?,
                // Not told by versions that did not count it.
                released: added(from)?,
                young: added(from)?,
                elsewhere: added(from)?,
            },
        },
        kinds::SAMPLE => Input::Sample(Field::get(from)?),
        kinds::FACTS => Input::Facts(Field::get(from)?, json(from)?),
        kinds::STACK => Input::Stack {
            site: Field::get(from)?,
            frames: json(from)?,
        },
        kinds::DESCRIBED => Input::Described {
            time: Field::get(from)?,
            process: Field::get(from)?,
            handle: Field::get(from)?,
            kind: Field::get(from)?,
            description: json(from)?,
        },
        kinds::LAST_USES => Input::LastUses(Box::new(Field::get(from)?)),
        kinds::GENERATED_CODE => Input::GeneratedCode(Box::new(Field::get(from)?)),
        kinds::POOL_USES => Input::PoolUses(Box::new(Field::get(from)?)),
        kinds::OBSERVED => Input::Observed(Box::new(Field::get(from)?)),
        kinds::SHARED => Input::Shared {
            time: Field::get(from)?,
            process: Field::get(from)?,
            handle: Field::get(from)?,
            holders: json(from)?,
        },
        kinds::FIRST_FAILURE => Input::FirstFailure(Box::new(FirstFailure {
            time: Field::get(from)?,
            process: Field::get(from)?,
            error: Field::get(from)?,
            failure: json(from)?,
        })),
        kinds::LIMITS => Input::Limits(Field::get(from)?, json(from)?),
        kinds::SHARED_LIMITS => Input::SharedLimits(json(from)?),
        kinds::FULL => Input::Full(Field::get(from)?, json(from)?),
        kinds::HEALTH => Input::Health(json(from)?),
        kinds::ENDED => Input::Ended {
            time: Field::get(from)?,
            wall: Field::get(from)?,
        },
        kinds::RESTORED => Input::Restored(json(from)?),
        _ => events::get(kind, payload)?,
    })
}

/// A field that later versions added at a record's end; `None` where it is damaged.
fn added<T: Field + Default>(from: &mut Cursor<'_>) -> Option<T> {
    match from.len() {
        0 => Some(T::default()),
        _ => Field::get(from),
    }
}

fn put_json(out: &mut Vec<u8>, value: &impl Serialize) -> Option<()> {
    let before = out.len();
    serde_json::to_writer(&mut *out, value).expect("strings, numbers and lists are JSON");
    (out.len() - before <= MAX_JSON).then_some(())
}

/// What the rest of a record says.
fn json<T: DeserializeOwned>(from: &mut Cursor<'_>) -> Option<T> {
    let rest = from.take(from.len())?;
    if rest.len() > MAX_JSON {
        return None;
    }
    serde_json::from_slice(rest).ok()
}
