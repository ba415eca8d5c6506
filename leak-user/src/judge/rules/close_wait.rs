//! Sockets whose peer has closed and whose owner has not (CLOSE_WAIT): nothing but a
//! close in the owner ends them. A pool of clients' connections may hold some until it
//! looks at them again, so it takes many, or ever more.

use std::collections::HashMap;

use leak_common::{Handle, Kind, ProcessId};

use super::{EXAMPLES, Rule, Subject, example};
use crate::judge::evidence::{observed::Waiting, round::Round, site::Site};
use crate::judge::opinion::Opinion;
use crate::judge::{Config, SECOND};
use crate::ledger::{Resource, SiteKey};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// From this many on, it can be said whether there are ever more.
const SEVERAL: usize = 3;

/// No pool forgets this many: they are a leak however they came.
const MANY: usize = 100;

/// The sockets by site: those that have waited for long enough to count, the longest first.
#[derive(Default)]
pub(super) struct CloseWait(HashMap<SiteKey, Vec<Closed>>);

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
        let mut sites: HashMap<SiteKey, Vec<Closed>> = HashMap::new();
        for (process, seen) in round.seen.iter() {
            for (&handle, waiting) in &seen.close_wait {
                if round.now.saturating_sub(waiting.since) >= age
                    && let Some((key, acquired)) = round.ledger.site_on(process, handle)
                {
                    sites.entry(key).or_default().push(Closed {
                        process,
                        handle,
                        acquired,
                        waiting: waiting.clone(),
                    });
                }
            }
        }
        for closed in sites.values_mut() {
            closed.sort_unstable_by_key(|one| (one.waiting.since, one.handle));
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
        let ever_more = closed.len() >= SEVERAL && apart.saturating_mul(4) >= site.window();
        let growing = closed.len() >= SEVERAL && opinion.verdict <= Verdict::Suspect;
        let verdict = match ever_more || growing || closed.len() >= MANY {
            true => Verdict::Leak,
            false => Verdict::Suspect,
        };
        let waits_for = "more of them, or their owner's close";
        opinion.worsen(Self::name(), verdict, waits_for);
        let waits = match closed.len() {
            1 => "1 waits".to_owned(),
            many => format!("{many} wait"),
        };
        let longest = seconds(site.now.saturating_sub(first.waiting.since));
        opinion.support(
            closed.len() as f64 / SEVERAL as f64,
            longest,
            format!(
                "{waits} in CLOSE_WAIT for up to {longest:.1} s: the peer{} has closed, this process has not",
                most_often(closed)
            ),
        );
    }

    fn examples(&self, site: SiteKey) -> Vec<Resource> {
        let closed = self.of(site).iter().take(EXAMPLES);
        closed
            .map(|one| example(one.acquired, one.handle))
            .collect()
    }

    fn subject(&self, site: SiteKey) -> Option<Subject> {
        let closed = self.of(site);
        Some(Subject {
            process: closed.first()?.process,
            kind: Kind::Socket,
            outstanding: closed.len() as u64,
            samples: Vec::new(),
        })
    }
}

impl CloseWait {
    fn of(&self, site: SiteKey) -> &[Closed] {
        self.0.get(&site).map_or(&[], Vec::as_slice)
    }
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
