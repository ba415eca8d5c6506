//! System V shared memory segments and IPC name spaces.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use super::{Proc, link_text, number_in_link};

/// Most bytes read of the table: 32768 segments (`SHMMNI`) fit.
const MAX_TABLE: u64 = 16 << 20;

/// A segment of the IPC name space that the `/proc` belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShmSegment {
    pub id: u32,
    /// 0 is `IPC_PRIVATE`.
    pub key: i32,
    /// Bytes.
    pub size: u64,
    /// Pid of the creator.
    pub creator: u32,
    /// How many attachments there are.
    pub attached: u64,
}

impl ShmSegment {
    fn parse(line: &str) -> Option<ShmSegment> {
        let mut fields = line.split_ascii_whitespace();
        let key = fields.next()?.parse().ok()?;
        let id = fields.next()?.parse().ok()?;
        let size = fields.nth(1)?.parse().ok()?;
        let creator = fields.next()?.parse().ok()?;
        let attached = fields.nth(1)?.parse().ok()?;
        Some(ShmSegment {
            id,
            key,
            size,
            creator,
            attached,
        })
    }
}

impl Proc {
    /// The segments of the reader's own IPC name space. The table of another one
    /// cannot be read without entering it.
    #[must_use]
    pub fn shm_segments(&self) -> Vec<ShmSegment> {
        let Ok(file) = File::open(self.root.join("sysvipc/shm")) else {
            return Vec::new();
        };
        let lines = BufReader::new(file.take(MAX_TABLE)).lines();
        lines
            .map_while(Result::ok)
            .filter_map(|line| ShmSegment::parse(&line))
            .collect()
    }

    /// How many segments there are in the reader's IPC name space.
    pub(super) fn count_segments(&self) -> Option<u64> {
        let file = File::open(self.root.join("sysvipc/shm")).ok()?;
        let lines = BufReader::new(file.take(MAX_TABLE)).lines();
        let lines = lines.map_while(Result::ok).count() as u64;
        // The first one names the columns.
        lines.checked_sub(1)
    }

    /// The number of the reader's own IPC name space.
    pub(super) fn own_ipc_namespace(&self) -> Option<u32> {
        let link = link_text(&self.root.join("self/ns/ipc")).ok()?;
        number_in_link(&link, "ipc")?.try_into().ok()
    }

    /// The number of a process's IPC name space.
    #[must_use]
    pub fn ipc_namespace(&self, pid: u32) -> Option<u32> {
        let link = link_text(&self.of(pid, "ns/ipc")).ok()?;
        number_in_link(&link, "ipc")?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_segment_is_listed_until_it_is_removed() {
        let proc = Proc::default();
        // SAFETY: no pointers; the segment is removed below.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, 12_345, 0o600) };
        assert!(id >= 0);
        let find = || {
            proc.shm_segments()
                .into_iter()
                .find(|segment| segment.id == id as u32)
        };
        let expected = ShmSegment {
            id: id as u32,
            key: 0,
            size: 12_345,
            creator: std::process::id(),
            attached: 0,
        };
        let found = find();
        // SAFETY: IPC_RMID reads no buffer.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        assert_eq!(found, Some(expected));
        assert_eq!(find(), None);
    }

    #[test]
    fn this_process_has_an_ipc_name_space() {
        assert!(Proc::default().ipc_namespace(std::process::id()).unwrap() >= 0xefff_ffff);
        assert_eq!(Proc::default().ipc_namespace(u32::MAX), None);
    }
}
