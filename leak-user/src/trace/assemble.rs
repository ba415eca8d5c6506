//! The report: the ledger's and the judge's answers, with names, places and limits.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use leak_common::{Class, Counter, Handle, Kind, ProcessId, wire::StackEnd};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{engine::Engine, unfinished::EndChanges, wall_clock};
use crate::{
    bpf::{Counters, monotonic_now},
    event::{Nanos, SiteId, Uncovered},
    judge::Judged,
    ledger::{Counts, ProcessView, SiteKey},
    proc::Description,
    report::{
        handle,
        model::{
            Example, Finding, Frame, Health, Limit, Point, Process, Report, SCHEMA, Verdict, Window,
        },
    },
};

/// How long the report waits for unwind tables that stacks wait for.
const TABLES_LAST: Duration = Duration::from_millis(500);

/// How long the report waits for names that are still being read.
const NAMES_LAST: Duration = Duration::from_millis(500);

/// Processes whose limits are read, those with findings first.
const MAX_LIMITS: usize = 512;

impl Engine {
    /// Ends the trace: takes in what is on its way, compares with /proc, judges.
    pub(super) async fn finish(&mut self) -> anyhow::Result<Report> {
        self.reader.stop();
        while let Some(batch) = self.reader.next().await {
            self.take(&batch);
        }
        self.collect_losses()?;
        self.tables.wait(TABLES_LAST);
        self.finish_stacks(monotonic_now());
        self.promote()?;
        self.count_sites()?;
        self.reconcile_all()?;
        self.check_children();
        self.interpreted.wait(NAMES_LAST);
        tracing::debug!("unwind tables: {}", self.tables.figures());
        let now = monotonic_now();
        self.judge.sample(now, &self.ledger);
        let judged = self.judge.findings(now, self.started, &self.ledger);
        Ok(self.assemble(now, &judged))
    }

    fn assemble(&mut self, now: Nanos, judged: &[Judged]) -> Report {
        let views: HashMap<ProcessId, ProcessView> = self
            .ledger
            .processes()
            .map(|view| (view.id, view))
            .collect();
        let growth = growth_by_process(judged);
        let mut limits = self.limits(&views, judged, &growth);
        let mut findings: Vec<Finding> = judged
            .iter()
            .map(|judged| self.finding(now, judged, &views, &limits))
            .collect();
        sort(&mut findings);
        let mut processes: Vec<Process> = views
            .values()
            .filter(|view| view.outstanding.total() + view.preexisting.total() > 0)
            .map(|view| self.process(view, limits.remove(&view.id).unwrap_or_default()))
            .collect();
        processes.sort_by_key(|process| {
            let held: u64 = process.outstanding.values().sum();
            (std::cmp::Reverse(held), process.pid)
        });
        let end = wall_clock();
        Report {
            schema: SCHEMA.to_owned(),
            host: self.proc.host_facts(),
            window: Window {
                start: rfc3339(self.started_at),
                end: rfc3339(end),
                seconds: seconds(now.saturating_sub(self.started)),
            },
            health: self.health(&views),
            processes,
            findings,
            ..Report::default()
        }
    }

    fn process(&self, view: &ProcessView, limits: Vec<Limit>) -> Process {
        let pid = view.id.pid();
        let live = self.proc.identity(pid) == Some(view.id);
        let facts = if live {
            self.proc.status_facts(pid)
        } else {
            None
        };
        let facts = facts
            .or_else(|| self.facts.get(&view.id).cloned())
            .unwrap_or_default();
        let comm = if facts.comm.is_empty() {
            text(&view.comm)
        } else {
            facts.comm
        };
        Process {
            pid,
            start_time: u64::from(view.id.start_ticks()),
            comm,
            exe: facts.exe,
            cmdline: facts.cmdline,
            container_id: facts.container_id,
            outstanding: by_name(&view.outstanding),
            preexisting: by_name(&view.preexisting),
            limits,
            exited: view.exited.is_some(),
            history: Vec::new(),
        }
    }

    fn finding(
        &mut self,
        now: Nanos,
        judged: &Judged,
        views: &HashMap<ProcessId, ProcessView>,
        limits: &HashMap<ProcessId, Vec<Limit>>,
    ) -> Finding {
        let process = judged.process;
        let stack = match judged.key {
            SiteKey::Site(site) => self.stack(site),
            SiteKey::Unknown(..) => Vec::new(),
        };
        let comm = match self.facts.get(&process) {
            Some(facts) if !facts.comm.is_empty() => facts.comm.clone(),
            _ => views
                .get(&process)
                .map(|view| text(&view.comm))
                .unwrap_or_default(),
        };
        let exhaustion = limits
            .get(&process)
            .into_iter()
            .flatten()
            .filter(|limit| judged.verdict != Verdict::Steady && bounds(limit, judged.kind))
            .filter_map(|limit| limit.exhaustion_seconds)
            .min_by(f64::total_cmp);
        Finding {
            verdict: judged.verdict,
            confidence: judged.confidence,
            kind: judged.kind.name().to_owned(),
            pid: process.pid(),
            start_time: u64::from(process.start_ticks()),
            comm,
            acquired: judged.acquired,
            released: judged.released,
            outstanding: judged.outstanding,
            bytes: judged.bytes,
            growth_per_second: judged.growth_per_second,
            oldest_age_seconds: judged.oldest_age,
            exhaustion_seconds: exhaustion,
            rule: judged.rule.to_owned(),
            evidence: judged.evidence.clone(),
            waits_for: judged.waits_for.clone(),
            hint: None,
            stack,
            examples: self.examples(judged.exited.unwrap_or(now), judged),
            history: self.history(&judged.history),
        }
    }

    /// From the window's start.
    fn history(&self, points: &[(Nanos, u64)]) -> Vec<Point> {
        let point = |&(time, outstanding): &(Nanos, u64)| Point {
            seconds: seconds(time.saturating_sub(self.started)),
            outstanding,
        };
        points.iter().map(point).collect()
    }

    /// The frames of a site, innermost first.
    fn stack(&mut self, site: SiteId) -> Vec<Frame> {
        let Some(record) = self.ledger.site(SiteKey::Site(site)) else {
            return Vec::new();
        };
        let (process, end, time) = (record.process, record.end, record.first_seen);
        let frames = record.frames.clone();
        let generation = self.site_generation(site);
        let native = self
            .symbolizer
            .symbolize(process, generation, &frames, time);
        self.interpreted
            .merge(site, native, end == StackEnd::Complete)
    }

    fn examples(&self, now: Nanos, judged: &Judged) -> Vec<Example> {
        let pid = judged.process.pid();
        let resources: Vec<(Handle, Kind)> = judged
            .samples
            .iter()
            .map(|sample| (sample.handle, judged.kind))
            .collect();
        let live = self.proc.identity(pid) == Some(judged.process);
        let described = match (live, judged.key) {
            (true, _) => self.proc.describe_many(pid, &resources),
            (false, SiteKey::Site(site)) => self.described_early(site, &resources),
            (false, SiteKey::Unknown(..)) => Vec::new(),
        };
        let mut described = described.into_iter();
        judged
            .samples
            .iter()
            .map(|sample| {
                let description = described.next().unwrap_or_default();
                Example {
                    handle: handle::name(sample.handle, sample.size),
                    age_seconds: seconds(now.saturating_sub(sample.acquired)),
                    description: description.text,
                    socket: description.socket,
                    held_by: Vec::new(),
                }
            })
            .collect()
    }

    /// What was noted of resources while their process lived.
    fn described_early(&self, site: SiteId, resources: &[(Handle, Kind)]) -> Vec<Description> {
        let noted = self.described.get(&site).map_or(&[][..], Vec::as_slice);
        resources
            .iter()
            .map(|(handle, _)| {
                let found = noted.iter().find(|(other, _)| other == handle);
                found
                    .map(|(_, description)| description.clone())
                    .unwrap_or_default()
            })
            .collect()
    }

    /// The limits of the processes that matter most, and when those that grow
    /// will have reached them.
    fn limits(
        &self,
        views: &HashMap<ProcessId, ProcessView>,
        judged: &[Judged],
        growth: &HashMap<(ProcessId, Class), f64>,
    ) -> HashMap<ProcessId, Vec<Limit>> {
        let host = self.proc.host_use();
        let mut order: Vec<ProcessId> = judged.iter().map(|judged| judged.process).collect();
        order.extend(views.keys().copied());
        let mut limits = HashMap::new();
        for process in order {
            if limits.len() >= MAX_LIMITS {
                break;
            }
            let live = self.proc.identity(process.pid()) == Some(process);
            if !live || limits.contains_key(&process) {
                continue;
            }
            let mut found = self.proc.limits(process.pid(), &host);
            for limit in &mut found {
                let pace: f64 = growth
                    .iter()
                    .filter(|((owner, class), _)| *owner == process && bounds_class(limit, *class))
                    .map(|(_, pace)| pace)
                    .sum();
                if pace > 0.0 {
                    let left = limit.soft.saturating_sub(limit.used);
                    limit.exhaustion_seconds = Some(left as f64 / pace);
                }
            }
            limits.insert(process, found);
        }
        limits
    }

    fn health(&self, views: &HashMap<ProcessId, ProcessView>) -> Health {
        let counters = self.tracer.counters().unwrap_or_default();
        let lost_by_cause = self.lost();
        let totals = self.ledger.totals();
        let unfinished = unfinished(&counters, &self.stacks.ends);
        Health {
            events: counters.get(Counter::Acquired) + counters.get(Counter::Released),
            lost: lost_by_cause.values().sum(),
            lost_by_cause,
            reconciled: totals.reconciled,
            adopted: totals.adopted,
            stacks_truncated: unfinished.values().sum(),
            stacks_truncated_by_reason: unfinished,
            uncovered: self.uncovered(views),
        }
    }

    /// Losses by cause; what is zero is left out.
    pub(super) fn lost(&self) -> BTreeMap<String, u64> {
        let counters = self.tracer.counters().unwrap_or_default();
        let totals = self.ledger.totals();
        let of_kernel = Counter::ALL
            .into_iter()
            .filter_map(|counter| Some((counter.loss()?, counters.get(counter))));
        let of_ours = [
            ("undecodable", self.undecodable),
            ("program_busy", self.missed),
            ("log_overflow", totals.log_overflows),
            ("sites_refused", totals.sites_refused),
            ("processes_refused", totals.processes_refused),
        ];
        of_kernel
            .chain(of_ours)
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| (cause.to_owned(), count))
            .collect()
    }

    fn uncovered(&self, views: &HashMap<ProcessId, ProcessView>) -> Vec<String> {
        let mut sentences = self.missing_hooks.clone();
        let with = |cause: Uncovered| {
            let mut pids: Vec<u32> = views
                .values()
                .filter(|view| view.uncovered.contains(&cause))
                .map(|view| view.id.pid())
                .collect();
            pids.sort_unstable();
            pids
        };
        let compat = with(Uncovered::Compat);
        if !compat.is_empty() {
            sentences.push(format!(
                "32-bit system calls are not seen (pid {})",
                list(&compat)
            ));
        }
        let closes = with(Uncovered::UringClose);
        if !closes.is_empty() {
            sentences.push(format!(
                "this kernel does not show what io_uring closes (pid {})",
                list(&closes)
            ));
        }
        sentences
    }
}

/// Stacks that ended early, by reason; what is zero is left out. `changes` are those
/// that user space has walked on since.
fn unfinished(counters: &Counters, changes: &EndChanges) -> BTreeMap<String, u64> {
    StackEnd::ALL
        .into_iter()
        .filter_map(|end| Some((end, counters.get(Counter::of_stack(end)?))))
        .map(|(end, count)| (end.name().to_owned(), changes.apply(end, count)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn list(pids: &[u32]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = pids.iter().take(SHOWN).map(u32::to_string).collect();
    match pids.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Growth per second of what is not steady, by process and class.
fn growth_by_process(judged: &[Judged]) -> HashMap<(ProcessId, Class), f64> {
    let mut growth = HashMap::new();
    for judged in judged
        .iter()
        .filter(|judged| judged.verdict != Verdict::Steady)
    {
        *growth
            .entry((judged.process, judged.kind.class()))
            .or_default() += judged.growth_per_second.max(0.0);
    }
    growth
}

/// Whether a limit is on resources of a kind.
fn bounds(limit: &Limit, kind: Kind) -> bool {
    bounds_class(limit, kind.class())
}

fn bounds_class(limit: &Limit, class: Class) -> bool {
    match class {
        Class::Descriptor => matches!(limit.resource.as_str(), "nofile" | "file-max"),
        Class::Mapping => limit.resource == "max_map_count",
        Class::Thread | Class::Process => {
            matches!(
                limit.resource.as_str(),
                "pids" | "nproc" | "threads-max" | "pid_max"
            )
        }
        Class::Shm | Class::Heap => false,
    }
}

/// Leaks first, then by how soon a limit is hit, then by pace and number.
fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let soon = |finding: &Finding| finding.exhaustion_seconds.unwrap_or(f64::INFINITY);
        a.verdict
            .cmp(&b.verdict)
            .then(soon(a).total_cmp(&soon(b)))
            .then(b.growth_per_second.total_cmp(&a.growth_per_second))
            .then(b.outstanding.cmp(&a.outstanding))
            .then(a.pid.cmp(&b.pid))
    });
}

fn by_name(counts: &Counts) -> BTreeMap<String, u64> {
    counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| (kind.name().to_owned(), count))
        .collect()
}

/// A name as the kernel keeps it, without its padding.
fn text(comm: &[u8; 16]) -> String {
    let end = comm
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

fn rfc3339(time: std::time::SystemTime) -> String {
    OffsetDateTime::from(time)
        .format(&Rfc3339)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_has_no_padding() {
        assert_eq!(text(b"nginx\0\0\0\0\0\0\0\0\0\0\0"), "nginx");
        assert_eq!(text(&[b'x'; 16]), "x".repeat(16));
    }
}
