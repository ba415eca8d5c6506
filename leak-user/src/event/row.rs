//! Events as rows of a table: what the formats that keep single events write of each.
//! Names of columns are a contract, as the report's keys are.

use leak_common::{Handle, ProcessId};
use serde::Serialize;

use crate::model::{handle, time::Calendar};
use crate::{
    event::{Event, Failed, Uncovered},
    model::{site::SiteId, time::Nanos},
};

/// One event. What does not apply to it is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// `site`, `acquired`, `released`, `range_released`, `remapped`, `forked`,
    /// `executed`, `exited`, `uncovered` or `failed`.
    pub event: &'static str,
    /// Nanoseconds since 1970.
    pub ts_ns: i64,
    /// 0 where the resource belongs to no process (segments, children).
    pub pid: u32,
    /// Ticks since boot, 32 bits of it: with `pid`, the process.
    pub start_time: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// `fd 12`, `0x7f..+8192`, `tid 77`, `pid 78`, `shmid 3`; of a range its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Where a range ends, inclusive; where a mapping was before it was remapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_handle: Option<String>,
    /// Hexadecimal; the event `site` with the same one has the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Bytes of a mapping or segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When what is released had been acquired, if the kernel still knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquired_ts_ns: Option<i64>,
    /// Of a fork.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_pid: Option<u32>,
    /// The name that a fork or exec tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// What was not covered, `compat`, `uring_close` or `uring_unseen`; or why a call failed, as `EMFILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// Addresses of a site's stack, hexadecimal, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
}

impl EventRow {
    /// The row of an event.
    #[must_use]
    pub fn of(event: &Event, calendar: Calendar) -> EventRow {
        let row = |event, time, process| EventRow::new(event, time, process, calendar);
        match event {
            Event::Site(site) => EventRow {
                kind: Some(site.kind.name()),
                site: hexadecimal(site.id),
                frames: site.frames.iter().map(|at| format!("{at:#x}")).collect(),
                ..row("site", site.time, site.process)
            },
            Event::Acquired(acquired) => EventRow {
                kind: Some(acquired.kind.name()),
                handle: Some(handle::name(acquired.handle, acquired.size)),
                site: hexadecimal(acquired.site),
                size: (acquired.size > 0).then_some(acquired.size),
                ..row("acquired", acquired.time, acquired.process)
            },
            Event::Released(released) => EventRow {
                handle: Some(handle::name(released.handle, 0)),
                acquired_ts_ns: released.acquired.map(|time| calendar.unix_nanos(time)),
                ..row("released", released.time, released.process)
            },
            Event::RangeReleased(range) => {
                let name = |value| Some(handle::name(Handle::new(range.class, value), 0));
                EventRow {
                    handle: name(range.first),
                    other_handle: name(range.last).filter(|_| !range.attachment),
                    ..row("range_released", range.time, range.process)
                }
            }
            Event::Remapped(remapped) => EventRow {
                handle: Some(format!("{:#x}+{}", remapped.new, remapped.new_length)),
                other_handle: Some(format!("{:#x}+{}", remapped.old, remapped.old_length)),
                site: hexadecimal(remapped.site),
                size: Some(remapped.new_length),
                ..row("remapped", remapped.time, remapped.process)
            },
            Event::Forked(forked) => EventRow {
                parent_pid: Some(forked.parent.pid()),
                comm: Some(comm(&forked.comm)),
                ..row("forked", forked.time, forked.child)
            },
            Event::Executed(executed) => EventRow {
                comm: Some(comm(&executed.comm)),
                ..row("executed", executed.time, executed.process)
            },
            Event::Exited { time, process } => row("exited", *time, *process),
            Event::Uncovered {
                time,
                process,
                cause,
            } => EventRow {
                cause: Some(match cause {
                    Uncovered::Compat => "compat",
                    Uncovered::UringClose => "uring_close",
                    Uncovered::UringUnseen => "uring_unseen",
                }),
                ..row("uncovered", *time, *process)
            },
        }
    }

    /// The row of a call that was refused.
    #[must_use]
    pub fn of_failed(failed: &Failed, calendar: Calendar) -> EventRow {
        EventRow {
            kind: Some(failed.kind.name()),
            site: hexadecimal(failed.site),
            size: (failed.size > 0).then_some(failed.size),
            cause: Some(failed.error.name()),
            ..EventRow::new("failed", failed.time, failed.process, calendar)
        }
    }

    fn new(event: &'static str, time: Nanos, process: ProcessId, calendar: Calendar) -> EventRow {
        EventRow {
            event,
            ts_ns: calendar.unix_nanos(time),
            pid: process.pid(),
            start_time: process.start_ticks(),
            ..EventRow::default()
        }
    }
}

/// A site's identity; the unknown one has none.
fn hexadecimal(site: SiteId) -> Option<String> {
    (site != SiteId::UNKNOWN).then(|| format!("{:#018x}", site.0))
}

fn comm(name: &[u8; 16]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::event::{Acquired, sample::CALENDAR};
    use leak_common::{Class, Kind};

    #[test]
    fn every_event_of_a_resource_or_a_process_has_a_row() {
        let rows: Vec<EventRow> = crate::event::sample::events()
            .iter()
            .map(|event| EventRow::of(event, CALENDAR))
            .chain([EventRow::of_failed(
                &crate::event::sample::failed(),
                CALENDAR,
            )])
            .collect();
        let names: Vec<&str> = rows.iter().map(|row| row.event).collect();
        assert_eq!(
            names,
            [
                "forked",
                "executed",
                "site",
                "acquired",
                "remapped",
                "released",
                "range_released",
                "uncovered",
                "exited",
                "failed"
            ]
        );
        assert!(rows.iter().all(|row| (row.pid, row.start_time) == (77, 5)));
        assert_eq!(rows[0].comm.as_deref(), Some("worker\u{fffd}"));
        assert_eq!(rows[2].site, rows[3].site);
        assert_eq!(rows[2].frames, ["0x401000", "0x7f0000001000"]);
    }

    #[test]
    fn an_acquisition_is_told_whole() {
        let acquired = Event::Acquired(Acquired {
            time: 5,
            process: ProcessId::new(77, 5),
            kind: Kind::Mapping,
            handle: Handle::new(Class::Mapping, 0x7000),
            site: SiteId::UNKNOWN,
            size: 4096,
            close_on_exec: false,
            kind_guessed: false,
            maybe_existed: false,
        });
        assert_eq!(
            EventRow::of(&acquired, CALENDAR),
            EventRow {
                event: "acquired",
                ts_ns: CALENDAR.monotonic_zero + 5,
                pid: 77,
                start_time: 5,
                kind: Some("mapping"),
                handle: Some("0x7000+4096".to_owned()),
                size: Some(4096),
                ..EventRow::default()
            }
        );
    }
}
