//! The report: the ledger's and the judge's answers, with what was told of names,
//! places and limits.

use std::{cmp::Reverse, collections::HashMap};

use leak_common::{Kind, ProcessId};

use super::{
    Analysis, Span,
    bounds::{Growing, bounds, exhaustion, growing_by_process, pace_to},
    names::{by_name, points, rfc3339},
};
use crate::{
    judge::{self, Judged, Named},
    ledger::{ProcessView, SiteKey},
    model::{
        handle,
        refusal::Refusal,
        report::{
            Example, Failure, Finding, Frame, Full, Limit, Process, Report, SCHEMA, SharedLimit,
            Window,
        },
        site::SiteId,
        time::seconds,
        who,
    },
};

pub(super) fn report(analysis: &Analysis, span: Span) -> Report {
    let mut judged = analysis.findings(span);
    let views: HashMap<ProcessId, ProcessView> = analysis
        .ledger
        .processes()
        .map(|view| (view.id, view))
        .collect();
    let stacks: Vec<Vec<Frame>> = judged
        .iter()
        .map(|judged| stack(analysis, judged))
        .collect();
    for (judged, stack) in judged.iter_mut().zip(&stacks) {
        weigh(analysis, judged, stack, views.get(&judged.process));
    }
    let growing = growing_by_process(analysis, &judged);
    let assembly = Assembly {
        analysis,
        span,
        limits: limits(analysis, &views, &growing),
        growing,
        views,
    };
    let failures = analysis.failures.within(span);
    let mut findings: Vec<Finding> = judged
        .iter()
        .zip(stacks)
        .map(|(judged, stack)| assembly.finding(judged, stack))
        .collect();
    sort(&mut findings);
    Report {
        schema: SCHEMA.to_owned(),
        host: analysis.beginning.host.clone(),
        window: Window {
            start: rfc3339(analysis.wall(span.start)),
            end: rfc3339(analysis.wall(span.end)),
            seconds: seconds(span.end.saturating_sub(span.start)),
        },
        health: analysis.health(&analysis.knowledge.health),
        processes: assembly.processes(),
        findings,
        shared_limits: shared_limits(analysis),
        full: full(analysis, &failures),
        failures,
        ..Report::default()
    }
}

/// Where it was acquired; empty where that was out of sight.
fn stack(analysis: &Analysis, judged: &Judged) -> Vec<Frame> {
    match judged.key {
        SiteKey::Site(site) => analysis.knowledge.stack_of(site),
        SiteKey::Unknown(..) => Vec::new(),
    }
}

/// Adds to a verdict what names say.
fn weigh(analysis: &Analysis, judged: &mut Judged, stack: &[Frame], view: Option<&ProcessView>) {
    let known = judged
        .samples
        .iter()
        .filter_map(|sample| analysis.description(judged.process, sample.handle, sample.acquired));
    let mut named = Named {
        stack,
        // The first thread is no resource.
        threads: 1 + view.map_or(0, |view| {
            view.outstanding.get(Kind::Thread) + view.preexisting.get(Kind::Thread)
        }),
        ..Named::default()
    };
    for description in known {
        named.described += 1;
        named.deleted += usize::from(description.deleted);
        named.in_memory += usize::from(description.deleted && description.in_memory);
        named.of_files += usize::from(description.maps_a_file());
        named.half_closed += usize::from(description.half_closed);
    }
    judge::weigh(judged, &named);
}

/// What tells the sites of a process and kind apart.
fn number(key: SiteKey) -> u64 {
    match key {
        SiteKey::Site(site) => site.0,
        SiteKey::Unknown(..) => SiteId::UNKNOWN.0,
    }
}

struct Assembly<'a> {
    analysis: &'a Analysis,
    span: Span,
    views: HashMap<ProcessId, ProcessView>,
    limits: HashMap<ProcessId, Vec<Limit>>,
    growing: HashMap<ProcessId, Vec<Growing>>,
}

impl Assembly<'_> {
    fn processes(&self) -> Vec<Process> {
        let mut processes: Vec<Process> = self
            .views
            .values()
            .filter(|view| view.outstanding.total() + view.preexisting.total() > 0)
            .map(|view| self.process(view, self.limits.get(&view.id)))
            .collect();
        processes.sort_by_key(|process| {
            let held: u64 = process.outstanding.values().sum();
            (Reverse(held), process.pid, process.start_time)
        });
        processes
    }

    fn process(&self, view: &ProcessView, limits: Option<&Vec<Limit>>) -> Process {
        let facts = self.analysis.facts(view.id).cloned().unwrap_or_default();
        let history = self.analysis.histories.of(view.id);
        // Not all that was held at an exit is kept. So that number is only a point of
        // the history where there is no other: the process was gone before the first
        // sample.
        let at_exit = view.exited.map(|exit| (exit, view.outstanding.total()));
        let at_exit = at_exit.filter(|_| history.is_empty());
        Process {
            pid: view.id.pid(),
            start_time: u64::from(view.id.start_ticks()),
            comm: self.analysis.comm(view.id),
            exe: facts.exe,
            cmdline: facts.cmdline,
            container_id: facts.container_id,
            unit: who::unit(&facts.cgroup).map(str::to_owned),
            cgroup: facts.cgroup,
            user: facts.user,
            parent_pid: facts.parent,
            outstanding: by_name(&view.outstanding),
            preexisting: by_name(&view.preexisting),
            limits: limits.cloned().unwrap_or_default(),
            exited: view.exited.is_some(),
            history: points(history, self.span.start, at_exit),
        }
    }

    fn finding(&self, judged: &Judged, stack: Vec<Frame>) -> Finding {
        let process = judged.process;
        let at_exit = judged.exited.map(|exit| (exit, judged.outstanding));
        let nearest = self.nearest_limit(judged);
        Finding {
            verdict: judged.verdict,
            confidence: judged.confidence,
            kind: judged.kind.name().to_owned(),
            pid: process.pid(),
            start_time: u64::from(process.start_ticks()),
            comm: self.analysis.comm(process),
            acquired: judged.acquired,
            released: judged.released,
            young: judged.young,
            unaccounted: judged.unaccounted,
            outstanding: judged.outstanding,
            preexisting: judged.preexisting,
            bytes: judged.bytes,
            growth_per_second: judged.growth_per_second,
            oldest_age_seconds: judged.oldest_age,
            exhaustion_seconds: nearest.and_then(|limit| limit.exhaustion_seconds),
            limit: nearest.map_or_else(String::new, |limit| limit.resource.clone()),
            rule: judged.rule.to_owned(),
            evidence: judged.evidence.clone(),
            waits_for: judged.waits_for.clone(),
            hint: None,
            stack,
            examples: self.examples(judged),
            history: points(&judged.history, self.span.start, at_exit),
            site: number(judged.key),
            part_of: judged
                .part_of
                .and_then(|site| self.analysis.ledger.site(site))
                .map(|record| record.kind.name().to_owned()),
            last_user: judged
                .last_user
                .map(|site| self.analysis.knowledge.stack_of(site))
                .unwrap_or_default(),
            ways: judged.ways.iter().copied().map(number).collect(),
        }
    }

    /// The limit that a finding's growth reaches first.
    fn nearest_limit(&self, judged: &Judged) -> Option<&Limit> {
        let limits = self.limits.get(&judged.process).into_iter().flatten();
        let growing = self.growing.get(&judged.process).into_iter().flatten();
        let growing = growing.filter(|growing| growing.key == judged.key);
        let bounded = growing.flat_map(|growing| {
            let limits = limits.clone();
            limits.filter(|limit| bounds(limit, growing))
        });
        let forecast = bounded.filter_map(|limit| Some((limit.exhaustion_seconds?, limit)));
        forecast
            // What does not grow does not bring a limit nearer.
            .filter(|&(seconds, _)| judged.growth_per_second > 0.0 || seconds <= 0.0)
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, limit)| limit)
    }

    fn examples(&self, judged: &Judged) -> Vec<Example> {
        let now = judged.exited.unwrap_or(self.span.end);
        judged
            .samples
            .iter()
            .map(|sample| {
                let described =
                    self.analysis
                        .description(judged.process, sample.handle, sample.acquired);
                let description = described.cloned().unwrap_or_default();
                Example {
                    handle: handle::name(sample.handle, sample.size),
                    age_seconds: seconds(now.saturating_sub(sample.acquired)),
                    description: description.text,
                    socket: description.socket,
                    held_by: self
                        .analysis
                        .holders(judged.process, sample.handle, sample.acquired)
                        .to_vec(),
                }
            })
            .collect()
    }
}

/// The limits of running processes, and when those that grow will have reached them.
fn limits(
    analysis: &Analysis,
    views: &HashMap<ProcessId, ProcessView>,
    growing: &HashMap<ProcessId, Vec<Growing>>,
) -> HashMap<ProcessId, Vec<Limit>> {
    let running = views.values().filter(|view| view.exited.is_none());
    running
        .map(|view| {
            let mut limits = analysis.knowledge.limits_of(view.id).to_vec();
            for limit in &mut limits {
                let of_process = growing.get(&view.id).map_or(&[][..], Vec::as_slice);
                let pace = pace_to(limit, of_process);
                let measured = analysis.uses.measured(view.id, limit);
                limit.exhaustion_seconds = exhaustion(limit, pace, measured);
            }
            (view.id, limits)
        })
        .collect()
}

/// The limits that processes share, those first that will be reached first.
fn shared_limits(analysis: &Analysis) -> Vec<SharedLimit> {
    let told = analysis.knowledge.shared_limits.iter();
    let mut limits: Vec<SharedLimit> = told
        .map(|limit| analysis.uses.shared_limit(limit))
        .collect();
    let share = |limit: &SharedLimit| limit.used as f64 / limit.limit.max(1) as f64;
    limits.sort_by(|a, b| {
        let soon = |limit: &SharedLimit| limit.exhaustion_seconds.unwrap_or(f64::INFINITY);
        soon(a)
            .total_cmp(&soon(b))
            .then(share(b).total_cmp(&share(a)))
            .then_with(|| (&a.scope, &a.resource).cmp(&(&b.scope, &b.resource)))
    });
    limits
}

/// What is full, with how often that made a call fail.
fn full(analysis: &Analysis, failures: &[Failure]) -> Vec<Full> {
    let mut all = analysis.knowledge.all_full();
    for full in &mut all {
        let of = failures.iter().filter(|failure| {
            let process = (failure.pid, failure.start_time) == (full.pid, full.start_time);
            process && is_refusal_for(&full.resource, failure)
        });
        full.refused = of.map(|failure| failure.count).sum();
    }
    all
}

/// Whether a call failed because a limit was reached.
fn is_refusal_for(resource: &str, failure: &Failure) -> bool {
    let makes_instance = failure.call.starts_with("inotify_init");
    let error = match resource {
        "max_map_count" => Refusal::Memory,
        "nproc" => Refusal::Tasks,
        "inotify.max_user_instances" if !makes_instance => return false,
        "inotify.max_user_watches" => return false,
        _ => Refusal::Files,
    };
    failure.error == error.name()
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
