//! Sockets whose peer has closed and whose owner has not (CLOSE_WAIT): nothing but a
//! close in the owner ends them. A pool of clients' connections may hold some until it
//! looks at them again, so it takes many, or ever more: while their site holds as many
//! sockets as it did before, they are in place of others.
//!
//! Those from before the trace count once, with those that the same process came to hold
//! during it.

use std::collections::HashMap;

use leak_common::{Handle, Kind, ProcessId};

use super::{EXAMPLES, Rule, Subject, example};
use crate::judge::evidence::{observed::Waiting, round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::judge::{Config, SECOND};
use crate::ledger::{Ledger, Resource, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// From this many on, it can be said whether there are ever more.
const SEVERAL: usize = 3;

/// In the second half of the window the least that their site holds has to rise by this share
/// of them, and by two: as much as chance moves a small pool.
const RISE: f64 = 1.0 / 3.0;
const LEAST_RISE: f64 = 2.0;

/// No pool forgets this many: they are a leak however they came.
const MANY: usize = 100;

/// The sockets by site.
#[derive(Default)]
pub(super) struct CloseWait(HashMap<SiteKey, AllClosed>);

/// Those of a site.
#[derive(Default)]
struct AllClosed {
    /// Those that have waited for long enough to count, the longest first.
    old: Vec<Closed>,
    /// All that wait, and of those what is from before the trace.
    all: usize,
    preexisting: usize,
}

/// One of them.
struct Closed {
    process: ProcessId,
    handle: Handle,
    acquired: Nanos,
    waiting: Waiting,
}

impl Rule for CloseWait {
    fn name() -> &'static str {
        "close-wait"
    }

    fn gather(round: &Round<'_>) -> CloseWait {
        let age = age(round.config, round.window());
        let mut sites: HashMap<SiteKey, AllClosed> = HashMap::new();
        for (process, seen) in round.seen.iter() {
            for (&handle, waiting) in &seen.close_wait {
                let Some(held) = round.ledger.held_on(process, handle) else {
                    continue;
                };
                let closed = sites.entry(round.counted_at(held.site)).or_default();
                closed.all += 1;
                closed.preexisting += usize::from(held.preexisting);
                if round.now.saturating_sub(waiting.since) >= age {
                    closed.old.push(Closed {
                        process,
                        handle,
                        acquired: held.acquired,
                        waiting: waiting.clone(),
                    });
                }
            }
        }
        count_once(&mut sites, round.ledger);
        sites.retain(|_, closed| !closed.old.is_empty());
        for closed in sites.values_mut() {
            let order = |one: &Closed| (one.waiting.since, one.handle);
            closed.old.sort_unstable_by_key(order);
        }
        CloseWait(sites)
    }

    fn sites(&self) -> Vec<SiteKey> {
        self.0.keys().copied().collect()
    }

    fn weigh(&self, site: &Site<'_>, opinion: &mut Opinion) {
        let closed = self.of(site.key);
        let (Some(first), Some(last)) = (closed.first(), closed.last()) else {
            return;
        };
        let apart = last.waiting.since.saturating_sub(first.waiting.since);
        let spread = apart.saturating_mul(4) >= site.window();
        let growing = opinion.verdict <= Verdict::Suspect;
        let ever_more = closed.len() >= SEVERAL && (spread || growing) && rises(site, closed.len());
        let is_leak = opinion.verdict == Verdict::Leak;
        let verdict = match is_leak || ever_more || closed.len() >= MANY {
            true => Verdict::Leak,
            false => Verdict::Suspect,
        };
        let waits_for = "more of them, or their owner's close";
        opinion.worsen(Self::name(), verdict, waits_for);
        let longest = seconds(site.now.saturating_sub(first.waiting.since));
        opinion.support(
            closed.len() as f64 / SEVERAL as f64,
            longest,
            self.sentence(site, longest),
        );
    }

    fn examples(&self, site: SiteKey) -> Vec<Resource> {
        let closed = self.of(site).iter().take(EXAMPLES);
        closed
            .map(|one| example(one.acquired, one.handle))
            .collect()
    }

    fn before_trace(&self, site: SiteKey) -> u64 {
        self.0.get(&site).map_or(0, |all| all.preexisting as u64)
    }

    fn subject(&self, site: SiteKey) -> Option<Subject> {
        let closed = self.0.get(&site)?;
        Some(Subject {
            process: closed.old.first()?.process,
            kind: Kind::Socket,
            outstanding: (closed.all - closed.preexisting) as u64,
            samples: Vec::new(),
        })
    }
}

impl CloseWait {
    fn of(&self, site: SiteKey) -> &[Closed] {
        self.0.get(&site).map_or(&[], |all| all.old.as_slice())
    }

    fn sentence(&self, site: &Site<'_>, longest: f64) -> String {
        let closed = self.of(site.key);
        let (all, before) = self
            .0
            .get(&site.key)
            .map_or((0, 0), |closed| (closed.all, closed.preexisting));
        let waits = match all {
            1 => "1 waits".to_owned(),
            many => format!("{many} wait"),
        };
        let before = match before {
            0 => String::new(),
            some if some == all => ", all from before the trace".to_owned(),
            some => format!(", {some} of them from before the trace"),
        };
        let age = seconds(age(site.config, site.window()));
        let since = match closed.len() {
            old if old == all && before.is_empty() => format!(" for up to {longest:.1} s"),
            old if old == all => format!(", for up to {longest:.1} s"),
            old => format!(", {old} of them for {age:.0} s or more, up to {longest:.1} s"),
        };
        format!(
            "{waits} in CLOSE_WAIT{before}{since}: the peer{} has closed, this process has not",
            most_often(closed)
        )
    }
}

/// Has what a process holds from before the trace count at the one of its sites where most
/// wait: the stack of it is not known, and it is the same process that does not close.
fn count_once(sites: &mut HashMap<SiteKey, AllClosed>, ledger: &Ledger) {
    let mut most: HashMap<ProcessId, (usize, SiteKey)> = HashMap::new();
    for (&key, closed) in sites.iter().filter(|(key, _)| key.is_known()) {
        if let Some(record) = ledger.site(key) {
            let best = most.entry(record.process).or_insert((0, key));
            *best = (*best).max((closed.old.len(), key));
        }
    }
    let unknown = sites.keys().copied().filter(|key| !key.is_known());
    for key in unknown.collect::<Vec<SiteKey>>() {
        let SiteKey::Unknown(process, _) = key else {
            continue;
        };
        // What was only found later has a record of its own.
        if let Some(&(_, site)) = most.get(&process)
            && ledger.site(key).is_none()
            && let Some(before) = sites.remove(&key)
        {
            let closed = sites.entry(site).or_default();
            closed.old.extend(before.old);
            closed.all += before.all;
            closed.preexisting += before.preexisting;
        }
    }
}

/// Whether a site holds more and more sockets, beside the number of those that wait.
fn rises(site: &Site<'_>, waiting: usize) -> bool {
    let series = site.known.as_ref().and_then(|known| known.series);
    let minima = series.and_then(|series| series.minima(site.window_start, site.now));
    let enough = (waiting as f64 * RISE).max(LEAST_RISE);
    minima.is_some_and(|minima| {
        // A pool has filled in the first quarter.
        let [_, second, third, last] = minima.least;
        third >= second && last >= third && (last - second) as f64 >= enough
    })
}

/// From when on a socket counts: as long as it takes for a busy owner to look, and
/// sooner where the window is short.
fn age(config: &Config, window: Nanos) -> Nanos {
    config.close_wait.min((window / 3).max(3 * SECOND))
}

/// The peer that most of them have, in brackets.
fn most_often(closed: &[Closed]) -> String {
    let mut peers: HashMap<&str, usize> = HashMap::new();
    for one in closed.iter().filter(|one| !one.waiting.peer.is_empty()) {
        // Clients' ports differ: it is the host that matters there.
        let peer = one.waiting.peer.as_str();
        *peers.entry(peer).or_default() += 1;
        if let Some((host, _)) = peer.rsplit_once(':') {
            *peers.entry(host).or_default() += 1;
        }
    }
    let most = peers.into_iter().max_by(|a, b| {
        let length = |name: &str| name.len();
        (a.1, length(a.0), a.0).cmp(&(b.1, length(b.0), b.0))
    });
    most.map_or_else(String::new, |(peer, count)| match count == closed.len() {
        true => format!(" ({peer})"),
        false => format!(" ({peer} most often)"),
    })
}
