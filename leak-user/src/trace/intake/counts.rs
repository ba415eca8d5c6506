//! How many descriptors each process has, against how many the ledger knows: what no traced call
//! made shows in the difference. Where it grows, the process is compared with `/proc`, and what is
//! found there is judged like anything else.
//!
//! The difference is never zero for long: what is young is not in the ledger yet, and a thread that
//! waits in accept(2) has a number in reserve.

use leak_common::{Class, Kind, ProcessId, wire::TableCount};

use super::{Intake, Parts};
use crate::{
    kernel::{monotonic_now, processor_time},
    ledger::ProcessView,
    model::{
        hash::{Map, Set},
        time::Nanos,
    },
};

/// Least time between two looks.
const LEAST: Nanos = 2_000_000_000;

/// The pause after a look, as a multiple of the time that it took: 400 is a quarter of a percent of
/// a processor.
const PAUSE: u64 = 400;

/// Processes compared after a look.
const AT_ONCE: usize = 16;

/// How long a process is left alone of which a comparison found nothing: longer each time.
const ALONE: Nanos = 8_000_000_000;
const ALONE_LONGEST: Nanos = 300_000_000_000;

/// Looks that are remembered.
const LOOKS: usize = 3;

/// What is known of the counts.
#[derive(Default)]
pub(super) struct Counts {
    due: Nanos,
    differences: Map<ProcessId, Difference>,
}

/// How many more descriptors a process has than the ledger knows of.
#[derive(Clone, Debug, Default)]
struct Difference {
    /// After the last comparison, or less since.
    least: i64,
    /// The latest, the oldest of them first.
    latest: Vec<i64>,
    /// The last comparison found something: the next look that shows more is enough.
    found: bool,
    /// A comparison found nothing: there is none until then, and then for how long.
    alone: Nanos,
    pause: Nanos,
}

impl Difference {
    /// Takes note of a look. Whether it grows: all of the latest looks showed more than the least,
    /// by more than they differ among themselves.
    fn grows(&mut self, difference: i64, now: Nanos) -> bool {
        if self.latest.len() >= LOOKS {
            self.latest.remove(0);
        }
        self.latest.push(difference);
        let least = self.latest.iter().copied().min().unwrap_or(0);
        let most = self.latest.iter().copied().max().unwrap_or(0);
        self.least = self.least.min(least);
        let grown = least.saturating_sub(self.least);
        if self.found {
            return grown > 0;
        }
        let seen = self.latest.len() >= 2 && grown > 0;
        seen && grown.saturating_mul(2) >= most.saturating_sub(least) && now >= self.alone
    }

    /// Takes note of a comparison, after which the process has as many more than are known.
    fn compared(&mut self, difference: i64, adopted: bool, now: Nanos) {
        self.latest.clear();
        self.least = difference;
        self.found = adopted;
        if adopted {
            (self.alone, self.pause) = (0, 0);
        } else {
            self.pause = self.pause.saturating_mul(2).clamp(ALONE, ALONE_LONGEST);
            self.alone = now.saturating_add(self.pause);
        }
    }
}

/// Threads that have a table of their own (`unshare(CLONE_FILES)`), one for each such table.
#[derive(Default)]
pub(super) struct OwnTables(Map<ProcessId, Vec<u32>>);

impl OwnTables {
    fn of(rows: &[TableCount]) -> OwnTables {
        let main = main_tables(rows);
        let mut seen: Set<(ProcessId, u64)> = Set::default();
        let mut own: Map<ProcessId, Vec<u32>> = Map::default();
        for row in rows {
            if main[&row.process] != row.files && seen.insert((row.process, row.files)) {
                own.entry(row.process).or_default().push(row.tid);
            }
        }
        OwnTables(own)
    }

    /// Those of a process.
    pub(super) fn threads(&self, process: ProcessId) -> &[u32] {
        self.0.get(&process).map_or(&[], Vec::as_slice)
    }
}

/// The table that a process is known by: its first thread's, or any where that has ended.
fn main_tables(rows: &[TableCount]) -> Map<ProcessId, u64> {
    let mut main: Map<ProcessId, u64> = Map::default();
    for row in rows {
        if row.tid == row.process.pid() {
            main.insert(row.process, row.files);
        } else {
            main.entry(row.process).or_insert(row.files);
        }
    }
    main
}

/// What is open in the tables of each process, against what `known_of` knows of it. Processes may
/// share a table: it counts once, against what all of them hold. Threads may have tables of their
/// own: those count for their process.
fn tables_of_rows(rows: &[TableCount], known_of: impl Fn(ProcessId) -> Option<u64>) -> Vec<Table> {
    #[derive(Default)]
    struct Sum {
        process: Option<ProcessId>,
        open: u64,
        known: u64,
        is_too_large: bool,
    }
    let main = main_tables(rows);
    let mut sums: Map<u64, Sum> = Map::default();
    let mut counted: Set<u64> = Set::default();
    let mut members: Set<ProcessId> = Set::default();
    for row in rows {
        let Some(known) = known_of(row.process) else {
            continue;
        };
        let sum = sums.entry(main[&row.process]).or_default();
        sum.process.get_or_insert(row.process);
        if members.insert(row.process) {
            sum.known += known;
        }
        if counted.insert(row.files) {
            sum.open += u64::from(row.descriptors);
            sum.is_too_large |= row.is_too_large();
        }
    }
    let sums = sums.into_values().filter(|sum| !sum.is_too_large);
    let table = |sum: Sum| {
        Some(Table {
            process: sum.process?,
            difference: difference(sum.open, sum.known),
        })
    };
    sums.filter_map(table).collect()
}

/// Tables of descriptors that belong together, and the processes that have them.
struct Table {
    /// The one that is compared.
    process: ProcessId,
    /// How many more there are than are known.
    difference: i64,
}

impl Intake {
    /// Counts the descriptors of all processes, if it is time to, and compares those with `/proc`
    /// that have ever more than the ledger knows of.
    pub(in crate::trace) fn look_at_counts(&mut self, parts: &mut Parts<'_>) -> anyhow::Result<()> {
        let began = monotonic_now();
        if began < self.counts.due {
            return Ok(());
        }
        let worked = processor_time();
        let tables = self.tables(parts);
        let seen: Set<ProcessId> = tables.iter().map(|table| table.process).collect();
        let differences = &mut self.counts.differences;
        differences.retain(|process, _| seen.contains(process));
        let mut grown = Vec::new();
        for table in tables {
            let known = differences.entry(table.process).or_default();
            if known.grows(table.difference, began) && grown.len() < AT_ONCE {
                grown.push(table.process);
            }
        }
        self.compare_grown(&grown, parts)?;
        // Waiting for a processor costs nothing: on a busy host it would be a long pause.
        let busy_ns = processor_time().saturating_sub(worked);
        tracing::debug!(busy_ns, "counted descriptors");
        let pause = busy_ns.saturating_mul(PAUSE);
        self.counts.due = began.saturating_add(pause.max(LEAST));
        Ok(())
    }

    /// Processes that have more descriptors now than the ledger knows of, for the report.
    pub(super) fn with_unknown(&self, parts: &Parts<'_>) -> Vec<ProcessId> {
        let tables = self.tables(parts).into_iter();
        let least = |process: &ProcessId| {
            let known = self.counts.differences.get(process);
            known.map_or(0, |known| known.least)
        };
        let grown = tables.filter(|table| table.difference > least(&table.process));
        grown.map(|table| table.process).take(AT_ONCE).collect()
    }

    fn compare_grown(&mut self, grown: &[ProcessId], parts: &mut Parts<'_>) -> anyhow::Result<()> {
        if grown.is_empty() {
            return Ok(());
        }
        let adopted_before: Vec<u64> = grown.iter().map(|id| adopted(parts, *id)).collect();
        self.reconcile(parts, grown)?;
        let now = monotonic_now();
        for (&process, before) in grown.iter().zip(adopted_before) {
            let found = adopted(parts, process) > before;
            let open = self.proc.count_descriptors(process.pid()).unwrap_or(0);
            let view = parts.outlet.ledger().process(process);
            let difference = difference(open, view.map_or(0, |view| known(&view)));
            tracing::debug!(
                pid = process.pid(),
                found,
                "compared, since its descriptors grow"
            );
            if let Some(known) = self.counts.differences.get_mut(&process) {
                known.compared(difference, found, now);
            }
        }
        Ok(())
    }

    /// The tables of all processes that are traced.
    fn tables(&self, parts: &Parts<'_>) -> Vec<Table> {
        let ledger = parts.outlet.ledger();
        let views = ledger.running();
        let counted = match parts.tracer.table_counts() {
            Ok(Some(rows)) => rows,
            // The kernel has no such iterator.
            Ok(None) => return self.tables_of_proc(&views),
            Err(error) => {
                tracing::debug!(%error, "descriptors cannot be counted");
                return Vec::new();
            }
        };
        let known_of: Map<ProcessId, u64> =
            views.iter().map(|view| (view.id, known(view))).collect();
        let known_of = |process| known_of.get(&process).copied();
        tables_of_rows(&counted, known_of)
    }

    /// Threads with a table of their own, one for each such table, by their processes.
    pub(super) fn own_tables(&self, parts: &Parts<'_>) -> OwnTables {
        match parts.tracer.table_counts() {
            Ok(rows) => OwnTables::of(&rows.unwrap_or_default()),
            Err(error) => {
                tracing::debug!(%error, "threads with tables of their own are not known");
                OwnTables::default()
            }
        }
    }

    fn tables_of_proc(&self, views: &[ProcessView]) -> Vec<Table> {
        let table = |view: &ProcessView| {
            let open = self.proc.count_descriptors(view.id.pid())?;
            Some(Table {
                process: view.id,
                difference: difference(open, known(view)),
            })
        };
        views.iter().filter_map(table).collect()
    }
}

/// How many descriptors the ledger knows of.
fn known(view: &ProcessView) -> u64 {
    let descriptors = Kind::ALL
        .into_iter()
        .filter(|kind| kind.class() == Class::Descriptor);
    descriptors
        .map(|kind| view.outstanding.get(kind) + view.preexisting.get(kind))
        .sum()
}

fn difference(open: u64, known: u64) -> i64 {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    signed(open).saturating_sub(signed(known))
}

/// How many descriptors only `/proc` showed.
fn adopted(parts: &Parts<'_>, process: ProcessId) -> u64 {
    let view = parts.outlet.ledger().process(process);
    view.map_or(0, |view| view.adopted.total())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    /// The looks at which a process would be compared; a comparison finds what is not young.
    fn compared(counts: impl Fn(u64) -> (i64, i64), looks: u64) -> Vec<u64> {
        let mut known = Difference::default();
        let mut explained = 0;
        let mut compared = Vec::new();
        for look in 0..looks {
            let now = look * 2 * SECOND;
            let (unseen, young) = counts(look);
            if known.grows(unseen + young - explained, now) {
                let found = unseen > explained;
                explained = unseen;
                known.compared(young, found, now);
                compared.push(look);
            }
        }
        compared
    }

    fn row(pid: u32, tid: u32, files: u64, descriptors: u32) -> TableCount {
        TableCount {
            process: ProcessId::new(pid, pid.into()),
            files,
            descriptors,
            tid,
        }
    }

    fn differences(rows: &[TableCount]) -> Vec<(u32, i64)> {
        let tables = tables_of_rows(rows, |_| Some(10));
        let mut all: Vec<_> = tables
            .iter()
            .map(|table| (table.process.pid(), table.difference))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_table_that_processes_share_counts_once_against_what_all_hold() {
        let rows = [row(1, 1, 0xa, 25), row(2, 2, 0xa, 25), row(3, 3, 0xb, 12)];
        assert_eq!(differences(&rows), [(1, 5), (3, 2)]);
    }

    #[test]
    fn a_table_of_a_thread_counts_for_its_process() {
        // Its thread is met before the first one, as it may be when numbers have wrapped around.
        let rows = [row(5, 4, 0xc, 30), row(5, 5, 0xa, 12), row(5, 6, 0xc, 30)];
        assert_eq!(differences(&rows), [(5, 32)]);
        let own = OwnTables::of(&rows);
        let threads = |pid| own.threads(ProcessId::new(pid, pid.into())).to_vec();
        assert_eq!(threads(5), [4]);
        assert!(threads(6).is_empty());
    }

    #[test]
    fn threads_whose_first_one_has_ended_have_one_table() {
        let rows = [row(5, 6, 0xa, 12), row(5, 7, 0xa, 12)];
        assert_eq!(differences(&rows), [(5, 2)]);
        assert!(OwnTables::of(&rows).0.is_empty());
    }

    #[test]
    fn what_no_call_made_is_found_within_seconds_and_again() {
        let found = compared(|look| (look as i64 * 10, 0), 30);
        assert!(found[0] <= 4 && found.len() >= 5, "{found:?}");
        let slow = compared(|look| (look as i64 / 15, 0), 90);
        assert!(slow.len() >= 4, "{slow:?}");
        let once = compared(|look| (i64::from(look > 3), 0), 60);
        assert_eq!(once.len(), 1, "{once:?}");
    }

    #[test]
    fn what_comes_and_goes_costs_few_comparisons() {
        // A server with some young connections at any time.
        let young = |look: u64| (0, (look * 7919 % 50) as i64);
        assert!(
            compared(young, 300).len() <= 12,
            "{:?}",
            compared(young, 300)
        );
        let steady = |_| (0, 40);
        assert!(compared(steady, 300).len() <= 1);
    }

    #[test]
    fn growth_is_found_beside_what_comes_and_goes() {
        let both = |look: u64| (look as i64 * 10, (look * 7919 % 50) as i64);
        let found = compared(both, 60);
        assert!(found.len() >= 4, "{found:?}");
    }
}
