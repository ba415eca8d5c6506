//! Descriptor tables and memories: what processes have a share of or a copy of.

use std::collections::VecDeque;

use leak_common::ProcessId;

use super::releases::{Change, Log};
use crate::model::hash::{Map, Set};
use crate::model::time::Nanos;

/// Spaces kept after their end, for late acquisitions; about 400 bytes each.
const MAX_ENDED: usize = 65_536;

/// Names a descriptor table or a memory; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SpaceId(pub(super) u64);

impl SpaceId {
    /// Of what is never shared: threads, child processes, segments.
    pub(super) const NONE: SpaceId = SpaceId(0);
}

/// A descriptor table or a memory.
#[derive(Debug)]
pub(super) struct Space<C> {
    /// The process that it was made for: what has no site counts for it.
    pub(super) owner: ProcessId,
    /// The processes that use it. Where there is none, it ended and waits for late
    /// acquisitions.
    pub(super) holders: Vec<ProcessId>,
    pub(super) log: Log,
    /// Acquisitions before this time may arrive in the name of another process
    /// than the one that releases them.
    pub(super) mingled: Nanos,
    pub(super) content: C,
}

impl<C> Space<C> {
    /// Whether a release by one process may concern an acquisition by another
    /// that has not arrived, given that all up to `horizon` have.
    pub(super) fn mingles(&self, horizon: Nanos) -> bool {
        self.holders.len() > 1 || self.mingled > horizon
    }
}

/// All spaces of one sort.
#[derive(Debug)]
pub(super) struct Spaces<C> {
    spaces: Map<SpaceId, Space<C>>,
    next: u64,
    /// Spaces without holders, in the order of their ends.
    ended: VecDeque<(Nanos, SpaceId)>,
}

impl<C> Default for Spaces<C> {
    fn default() -> Self {
        Spaces {
            spaces: Map::default(),
            next: 1,
            ended: VecDeque::new(),
        }
    }
}

impl<C> Spaces<C> {
    pub(super) fn create(&mut self, owner: ProcessId, mingled: Nanos, content: C) -> SpaceId {
        let id = SpaceId(self.next);
        self.next += 1;
        self.spaces.insert(
            id,
            Space {
                owner,
                holders: vec![owner],
                log: Log::default(),
                mingled,
                content,
            },
        );
        id
    }

    /// The number that the next space gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn set_next(&mut self, next: u64) {
        self.next = next.clamp(1, 1 << 56);
    }

    /// Every space, those that ended last and in the order of their ends.
    pub(super) fn in_order(&self) -> Vec<(SpaceId, Option<Nanos>)> {
        let ended: Set<SpaceId> = self.ended.iter().map(|&(_, id)| id).collect();
        let mut order: Vec<(SpaceId, Option<Nanos>)> = self
            .spaces
            .keys()
            .filter(|id| !ended.contains(id))
            .map(|&id| (id, None))
            .collect();
        order.sort_unstable();
        order.extend(self.ended.iter().map(|&(time, id)| (id, Some(time))));
        order
    }

    /// Puts back a space that is to be filled.
    pub(super) fn restore(
        &mut self,
        id: SpaceId,
        owner: ProcessId,
        holders: Vec<ProcessId>,
        mingled: Nanos,
        ended: Option<Nanos>,
        content: C,
    ) {
        if let Some(time) = ended {
            self.ended.push_back((time, id));
        }
        let space = Space {
            owner,
            holders,
            log: Log::default(),
            mingled,
            content,
        };
        self.spaces.insert(id, space);
    }

    pub(super) fn get(&self, id: SpaceId) -> Option<&Space<C>> {
        self.spaces.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SpaceId) -> Option<&mut Space<C>> {
        self.spaces.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SpaceId, &Space<C>)> {
        self.spaces.iter().map(|(&id, space)| (id, space))
    }

    /// Gives `process` a share of a space. Says whether there is such a space.
    pub(super) fn share(&mut self, id: SpaceId, process: ProcessId) -> bool {
        let Some(space) = self.get_mut(id) else {
            return false;
        };
        if space.holders.is_empty() {
            return false;
        }
        if !space.holders.contains(&process) {
            space.holders.push(process);
        }
        true
    }

    /// Adds to a space's log. Says whether an older change had to go for it.
    pub(super) fn record(&mut self, id: SpaceId, time: Nanos, change: Change) -> bool {
        let Some(space) = self.spaces.get_mut(&id) else {
            return false;
        };
        if space.log.wants_room() {
            // The log is taken out meanwhile: whether a copy is gone is asked of all
            // spaces.
            let mut log = std::mem::take(&mut space.log);
            log.make_room(|to| !self.spaces.contains_key(&to));
            if let Some(space) = self.spaces.get_mut(&id) {
                space.log = log;
            }
        }
        match self.spaces.get_mut(&id) {
            Some(space) => space.log.record(time, change),
            None => false,
        }
    }

    /// Takes a process's share away. Returns the space if nobody holds it now:
    /// the caller empties it.
    pub(super) fn leave(
        &mut self,
        id: SpaceId,
        process: ProcessId,
        time: Nanos,
        at_exit: bool,
    ) -> Option<&mut Space<C>> {
        let space = self.spaces.get_mut(&id)?;
        let before = space.holders.len();
        space.holders.retain(|&holder| holder != process);
        if space.holders.len() == before {
            return None;
        }
        space.mingled = space.mingled.max(time);
        if !space.holders.is_empty() {
            return None;
        }
        space.log.record(time, Change::Ended { at_exit });
        self.ended.push_back((time, id));
        if self.ended.len() > MAX_ENDED
            && let Some((_, oldest)) = self.ended.pop_front()
        {
            self.spaces.remove(&oldest);
        }
        self.spaces.get_mut(&id)
    }

    /// Forgets what no acquisition after `horizon` can need.
    pub(super) fn prune(&mut self, horizon: Nanos) {
        // Ends arrive almost in order. One that is out of order waits until the one
        // before it goes.
        while let Some(&(time, id)) = self.ended.front() {
            if time > horizon {
                break;
            }
            self.ended.pop_front();
            self.spaces.remove(&id);
        }
        for space in self.spaces.values_mut() {
            space.log.prune(horizon);
        }
    }
}
