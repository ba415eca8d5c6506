//! Who sends on the sockets of pools: the sockets that are watched, and what the program saw of
//! them. The program is attached as long as there are any.

use std::os::fd::AsFd as _;

use anyhow::Context as _;
use aya::{maps::HashMap, programs::BtfTracePoint};
use leak_common::{
    ProcessId,
    wire::{BorrowKey, Borrows, Watched},
};

use super::{Tracer, sys};
use crate::model::site::SiteId;

/// The name of the program in the object, and its tracepoint (Linux 6.3).
pub(super) const SOCKET_SENT: (&str, &str) = ("socket_sent", "sock_send_length");

/// A socket that is watched, with what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What the kernel knows the socket by.
    pub socket: u64,
    pub process: ProcessId,
    pub pool: u64,
    /// The last send by the monotonic clock, 0 where none was seen.
    pub used: u64,
    /// Whose stack that was, if it is known.
    pub borrower: Option<SiteId>,
}

/// How often a stack borrowed from a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrowed {
    pub pool: u64,
    pub borrower: SiteId,
    pub count: u64,
    /// Of those, after how many the same socket was borrowed again.
    pub followed: u64,
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodWatched(Watched);
// SAFETY: six words.
unsafe impl aya::Pod for PodWatched {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodBorrowKey(BorrowKey);
// SAFETY: two words.
unsafe impl aya::Pod for PodBorrowKey {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodBorrows(Borrows);
// SAFETY: two words.
unsafe impl aya::Pod for PodBorrows {}

impl Tracer {
    /// Whether it can be known who borrows.
    #[must_use]
    pub fn knows_borrowers(&self) -> bool {
        self.has(SOCKET_SENT.0)
    }

    /// Watches another socket of a pool.
    ///
    /// # Errors
    /// The table is full, or the program cannot be attached.
    pub fn watch(&mut self, socket: u64, process: ProcessId, pool: u64) -> anyhow::Result<()> {
        let watched = Watched {
            process: process.0,
            pool,
            ..Watched::default()
        };
        HashMap::<_, u64, PodWatched>::try_from(self.map_mut("WATCHED"))?
            .insert(socket, PodWatched(watched), 0)
            .context("cannot watch a socket")?;
        if self.borrowers.is_none() {
            let (name, _) = SOCKET_SENT;
            let program: &mut BtfTracePoint = self
                .ebpf
                .program_mut(name)
                .expect("the object has this program")
                .try_into()?;
            let id = program.attach()?;
            self.borrowers = Some(program.take_link(id)?);
        }
        Ok(())
    }

    /// Watches a socket no longer.
    pub fn unwatch(&mut self, socket: u64) {
        if let Ok(mut watched) = HashMap::<_, u64, PodWatched>::try_from(self.map_mut("WATCHED")) {
            // It may be gone already.
            let _ = watched.remove(&socket);
        }
    }

    /// Forgets how often stacks borrowed from a pool. Without any pool that is watched, the
    /// program is taken off.
    pub fn forget_borrows(&mut self, of: &[(u64, SiteId)], is_last: bool) {
        if is_last {
            self.borrowers = None;
        }
        if let Ok(mut borrows) =
            HashMap::<_, PodBorrowKey, PodBorrows>::try_from(self.map_mut("BORROWS"))
        {
            for &(pool, borrower) in of {
                let borrower = borrower.0;
                // It may be gone already.
                let _ = borrows.remove(&PodBorrowKey(BorrowKey { pool, borrower }));
            }
        }
    }

    /// Every socket that is watched.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn watches(&self) -> anyhow::Result<Vec<Watch>> {
        let mut watches = Vec::new();
        sys::read_map(
            self.hash_map_data("WATCHED").fd().as_fd(),
            |socket: u64, watched: Watched| {
                watches.push(Watch {
                    socket,
                    process: ProcessId(watched.process),
                    pool: watched.pool,
                    used: watched.used,
                    borrower: (watched.borrower != 0).then_some(SiteId(watched.borrower)),
                });
            },
        )
        .context("cannot read the watched sockets")?;
        Ok(watches)
    }

    /// Every stack that borrowed from a pool.
    ///
    /// # Errors
    /// The kernel refused the read.
    pub fn borrows(&self) -> anyhow::Result<Vec<Borrowed>> {
        let mut all = Vec::new();
        sys::read_map(
            self.hash_map_data("BORROWS").fd().as_fd(),
            |key: BorrowKey, borrows: Borrows| {
                all.push(Borrowed {
                    pool: key.pool,
                    borrower: SiteId(key.borrower),
                    count: borrows.count,
                    followed: borrows.followed,
                });
            },
        )
        .context("cannot read the borrows")?;
        Ok(all)
    }
}
