//! A judge's state in parts, and a judge from such parts: for a recording that begins in
//! the middle of a trace. Parts are plain numbers, with a form in JSON.

use leak_common::{Handle, Kind, ProcessId};
use serde::{Deserialize, Serialize};

use super::Judge;
use super::evidence::{
    last_use::LastUses,
    observed::{Seen, Waiting},
    pool::{Borrows, Look, Pool, PoolUses, Pooled},
    refused::Refused,
    series::Series,
};
use crate::ledger::SiteKey;
use crate::model::{refusal::Refusal, site::SiteId, time::Nanos};

/// Points of a series: times with the least and the most.
type Points = Vec<(Nanos, u64, u64)>;

/// A part of a judge's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedJudge {
    /// What was outstanding at a site.
    Site {
        /// Its number, 0 for what was acquired out of sight.
        site: u64,
        process: u64,
        kind: u32,
        points: Points,
    },
    /// All that a process held of a kind.
    Total {
        process: u64,
        kind: u32,
        points: Points,
    },
    /// What was seen of a process's descriptors.
    Seen {
        process: u64,
        /// Sockets whose peer has closed, since when, and the peer.
        close_wait: Vec<(u64, Nanos, String)>,
        watches: Vec<(u64, Points)>,
        /// Where the stacks of threads stand.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stacks: Vec<(u64, u64)>,
        /// Sites that added most watches.
        #[serde(default)]
        adders: Vec<(u64, u64)>,
    },
    /// When resources of a site were used last: each with when it was acquired.
    LastUses {
        time: Nanos,
        site: u64,
        accepted: bool,
        resources: Vec<(Nanos, Nanos)>,
    },
    /// What is known of a pool of connections.
    Pool(SavedPool),
    /// What a process was refused first: when, the kind that was asked for, the error's number.
    Refused {
        process: u64,
        time: Nanos,
        kind: u32,
        error: u32,
    },
}

/// A look at a pool: when, how long the process had worked, and how often stacks had borrowed.
type SavedLook = (Nanos, Nanos, Vec<(u64, u64)>);

/// What is known of a pool of connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPool {
    time: Nanos,
    process: u64,
    peer: String,
    site: u64,
    /// Each with its handle, when it was acquired, its last use, and that one's stack.
    connections: Vec<(u64, Nanos, Nanos, u64)>,
    others: Nanos,
    /// Stacks, how often they borrowed, and how often that was not the last time.
    borrows: Vec<(u64, u64, u64)>,
    worked: Nanos,
    waiting: Vec<Nanos>,
    looks: Vec<SavedLook>,
}

impl SavedPool {
    fn of(pool: &Pool) -> SavedPool {
        let Pool { latest, looks } = pool;
        let connections = latest.connections.iter();
        let borrows = latest.borrows.iter();
        let counts = |look: &Look| {
            look.borrows
                .iter()
                .map(|(s, count)| (s.0, *count))
                .collect()
        };
        SavedPool {
            time: latest.time,
            process: latest.process,
            peer: latest.peer.clone(),
            site: latest.site.0,
            connections: connections
                .map(|one| (one.handle.0, one.acquired, one.used, one.borrower.0))
                .collect(),
            others: latest.others,
            borrows: borrows
                .map(|one| (one.borrower.0, one.count, one.followed))
                .collect(),
            worked: latest.worked,
            waiting: latest.waiting.clone(),
            looks: looks
                .iter()
                .map(|look| (look.time, look.worked, counts(look)))
                .collect(),
        }
    }

    fn restored(&self) -> Pool {
        let pooled = |&(handle, acquired, used, borrower): &(u64, Nanos, Nanos, u64)| Pooled {
            handle: Handle(handle),
            acquired,
            used,
            borrower: SiteId(borrower),
        };
        let borrows = |&(borrower, count, followed): &(u64, u64, u64)| Borrows {
            borrower: SiteId(borrower),
            count,
            followed,
        };
        let look = |(time, worked, counts): &SavedLook| Look {
            time: *time,
            worked: *worked,
            borrows: counts
                .iter()
                .map(|&(s, count)| (SiteId(s), count))
                .collect(),
        };
        Pool {
            latest: PoolUses {
                time: self.time,
                process: self.process,
                peer: self.peer.clone(),
                site: SiteId(self.site),
                connections: self.connections.iter().map(pooled).collect(),
                others: self.others,
                borrows: self.borrows.iter().map(borrows).collect(),
                worked: self.worked,
                waiting: self.waiting.clone(),
            },
            looks: self.looks.iter().map(look).collect(),
        }
    }
}

impl Judge {
    /// The whole state.
    #[must_use]
    pub fn saved(&self) -> Vec<SavedJudge> {
        let mut sites: Vec<_> = self.series.iter().collect();
        sites.sort_unstable_by_key(|(key, _)| **key);
        let sites = sites.into_iter().map(|(key, series)| {
            let (site, process, kind) = match *key {
                SiteKey::Site(site) => (site.0, 0, 0),
                SiteKey::Unknown(process, kind) => (0, process.0, kind as u32),
            };
            SavedJudge::Site {
                site,
                process,
                kind,
                points: series.points(),
            }
        });
        let mut totals: Vec<_> = self.totals.iter().collect();
        totals.sort_unstable_by_key(|((process, kind), _)| (*process, *kind as u32));
        let totals = totals
            .into_iter()
            .map(|((process, kind), series)| SavedJudge::Total {
                process: process.0,
                kind: *kind as u32,
                points: series.points(),
            });
        let mut seen: Vec<_> = self.seen.iter().collect();
        seen.sort_unstable_by_key(|(process, _)| *process);
        let seen = seen.into_iter().map(|(process, seen)| {
            let waiting = seen.close_wait.iter();
            let mut close_wait: Vec<_> = waiting
                .map(|(handle, waiting)| (handle.0, waiting.since, waiting.peer.clone()))
                .collect();
            close_wait.sort_unstable();
            let watches = seen.watches.iter();
            let mut watches: Vec<_> = watches.map(|(h, series)| (h.0, series.points())).collect();
            watches.sort_unstable();
            let mut stacks: Vec<_> = seen.stacks.iter().map(|(h, at)| (h.0, *at)).collect();
            stacks.sort_unstable();
            let adders = seen.adders.iter();
            let mut adders: Vec<_> = adders.map(|(handle, site)| (handle.0, site.0)).collect();
            adders.sort_unstable();
            SavedJudge::Seen {
                process: process.0,
                close_wait,
                watches,
                stacks,
                adders,
            }
        });
        let mut refused: Vec<_> = self.refused.iter().collect();
        refused.sort_unstable_by_key(|(process, one)| (*process, one.time, one.error));
        let refused = refused
            .into_iter()
            .map(|(process, one)| SavedJudge::Refused {
                process: process.0,
                time: one.time,
                kind: one.kind as u32,
                error: one.error.number(),
            });
        let mut uses: Vec<_> = self.last_uses.iter().collect();
        uses.sort_unstable_by_key(|uses| uses.site);
        let uses = uses.into_iter().map(|uses| SavedJudge::LastUses {
            time: uses.time,
            site: uses.site.0,
            accepted: uses.accepted,
            resources: uses.resources.clone(),
        });
        let mut pools: Vec<SavedPool> = self.pools.iter().map(SavedPool::of).collect();
        pools.sort_unstable_by(|a, b| (a.process, &a.peer).cmp(&(b.process, &b.peer)));
        let pools = pools.into_iter().map(SavedJudge::Pool);
        sites
            .chain(totals)
            .chain(seen)
            .chain(refused)
            .chain(uses)
            .chain(pools)
            .collect()
    }

    /// Takes a part of another judge's state.
    pub fn restore(&mut self, saved: &SavedJudge) {
        match saved {
            SavedJudge::Site {
                site,
                process,
                kind,
                points,
            } => {
                let key = match (site, Kind::from_wire(*kind)) {
                    (0, Some(kind)) => SiteKey::Unknown(ProcessId(*process), kind),
                    (0, None) => return,
                    (site, _) => SiteKey::Site(SiteId(*site)),
                };
                if self.series.len() < self.config.max_sites {
                    self.series.insert(key, Series::restored(points));
                }
            }
            SavedJudge::Total {
                process,
                kind,
                points,
            } => {
                if let Some(kind) = Kind::from_wire(*kind)
                    && self.totals.len() < self.config.max_sites
                {
                    let key = (ProcessId(*process), kind);
                    self.totals.insert(key, Series::restored(points));
                }
            }
            SavedJudge::Seen {
                process,
                close_wait,
                watches,
                stacks,
                adders,
            } => {
                let waiting = |(handle, since, peer): &(u64, Nanos, String)| {
                    let (since, peer) = (*since, peer.clone());
                    (Handle(*handle), Waiting { since, peer })
                };
                let watches = watches
                    .iter()
                    .map(|(handle, points)| (Handle(*handle), Series::restored(points)));
                let adders = adders
                    .iter()
                    .map(|&(handle, site)| (Handle(handle), SiteId(site)));
                let seen = Seen {
                    close_wait: close_wait.iter().map(waiting).collect(),
                    watches: watches.collect(),
                    stacks: stacks.iter().map(|&(h, at)| (Handle(h), at)).collect(),
                    adders: adders.collect(),
                };
                self.seen.restore(ProcessId(*process), seen);
            }
            SavedJudge::LastUses {
                time,
                site,
                accepted,
                resources,
            } => self.last_uses.take(&LastUses {
                time: *time,
                site: SiteId(*site),
                accepted: *accepted,
                resources: resources.clone(),
            }),
            SavedJudge::Pool(pool) => self.pools.restore(pool.restored()),
            SavedJudge::Refused {
                process,
                time,
                kind,
                error,
            } => {
                let (kind, error) = (Kind::from_wire(*kind), Refusal::from_number(*error));
                if let (Some(kind), Some(error)) = (kind, error) {
                    let time = *time;
                    let refused = Refused { time, kind, error };
                    self.refused.add(ProcessId(*process), refused);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Config, Observation};

    #[test]
    fn a_judge_made_of_what_another_saved_saves_the_same() {
        let mut judge = Judge::new(Config::default());
        let process = ProcessId::new(7, 70);
        for time in 1..200 {
            judge.observe(&Observation {
                time,
                process,
                close_wait: vec![(Handle(3), "peer".to_owned())],
                watches: vec![(Handle(4), time * 2)],
                stacks: vec![(Handle(5), time * 3)],
                adders: vec![(Handle(4), SiteId(8))],
            });
            let site = judge.series.entry(SiteKey::Site(SiteId(5))).or_default();
            site.push(time, time % 7);
            let unknown = SiteKey::Unknown(process, Kind::File);
            judge.series.entry(unknown).or_default().push(time, time);
            let total = judge.totals.entry((process, Kind::Pipe)).or_default();
            total.push(time, 9);
            let refused = Refused {
                time,
                kind: Kind::Socket,
                error: Refusal::Files,
            };
            judge.refused.add(process, refused);
            judge.used(&LastUses {
                time,
                site: SiteId(5),
                accepted: time % 2 == 0,
                resources: vec![(time, time + 1)],
            });
            judge.pool_used(&PoolUses {
                time,
                process: process.0,
                peer: "10.0.0.7:5432".to_owned(),
                site: SiteId(5),
                connections: vec![Pooled {
                    handle: Handle(3),
                    acquired: 1,
                    used: time,
                    borrower: SiteId(7),
                }],
                others: time,
                borrows: vec![Borrows {
                    borrower: SiteId(7),
                    count: time,
                    followed: time - 1,
                }],
                worked: time / 2,
                waiting: vec![time],
            });
        }
        let text = serde_json::to_string(&judge.saved()).unwrap_or_default();
        let saved: Vec<SavedJudge> = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(saved.len(), 7);
        let mut twin = Judge::new(Config::default());
        for part in &saved {
            twin.restore(part);
        }
        assert_eq!(twin.saved(), judge.saved());
    }
}
