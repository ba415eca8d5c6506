//! Sockets whose peer has closed and whose owner has not (CLOSE_WAIT): nothing but a
//! close in the owner ends them. A pool of clients' connections may hold some until it
//! looks at them again, so it takes many, or ever more.

use std::collections::HashMap;

use leak_common::{Handle, ProcessId};

use crate::judge::observed::Waiting;
use crate::judge::{Config, Opinion, SECOND};
use crate::model::report::Verdict;
use crate::model::time::{Nanos, seconds};

/// Fewer are not ever more.
const SEVERAL: usize = 3;

/// So many are more than a pool forgets, however they came.
const MANY: usize = 100;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::judge) struct Closed {
    pub(in crate::judge) process: ProcessId,
    pub(in crate::judge) handle: Handle,
    pub(in crate::judge) acquired: Nanos,
    pub(in crate::judge) waiting: Waiting,
}

/// From when on a socket counts: as long as it takes for a busy owner to look, and
/// sooner where the window is short.
pub(in crate::judge) fn age(config: &Config, window: Nanos) -> Nanos {
    config.close_wait.min((window / 3).max(3 * SECOND))
}

/// Adds to an opinion what sockets say that wait for their owner's close. They have
/// waited for long enough to count; `window` is the time observed.
pub(in crate::judge) fn judge(closed: &[Closed], now: Nanos, window: Nanos, opinion: &mut Opinion) {
    let mut since: Vec<Nanos> = closed.iter().map(|one| one.waiting.since).collect();
    since.sort_unstable();
    let (Some(&first), Some(&last)) = (since.first(), since.last()) else {
        return;
    };
    let ever_more = closed.len() >= SEVERAL && last.saturating_sub(first) * 4 >= window;
    let growing = closed.len() >= SEVERAL && opinion.verdict <= Verdict::Suspect;
    let verdict = match ever_more || growing || closed.len() >= MANY {
        true => Verdict::Leak,
        false => Verdict::Suspect,
    };
    if verdict < opinion.verdict {
        opinion.rule = "close-wait";
        opinion.verdict = verdict;
        opinion.waits_for = (verdict == Verdict::Suspect)
            .then(|| "more of them, or their owner's close".to_owned());
    }
    opinion.strength = opinion.strength.max(closed.len() as f64 / SEVERAL as f64);
    opinion.observed = opinion.observed.max(seconds(now.saturating_sub(first)));
    let waits = match closed.len() {
        1 => "1 waits".to_owned(),
        many => format!("{many} wait"),
    };
    opinion.evidence.push(format!(
        "{waits} in CLOSE_WAIT for up to {:.1} s: the peer{} has closed, this process has not",
        seconds(now.saturating_sub(first)),
        most_often(closed)
    ));
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
