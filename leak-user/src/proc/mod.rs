//! What `/proc` knows: the judge of last resort.
//!
//! Everything reads below a root path, so that tests can use a made-up tree.
//! Processes come and go at any moment: a process that is gone is `None` or
//! an empty list, never an error, and what it held until a moment ago may be
//! missing from an answer. Every read is bounded. Pids are reused: a caller that
//! must be certain compares [`Proc::identity`] before and after.
//!
//! Who is there: `process`, `facts`, `container`, `host`. What a process has: `descriptor`,
//! `mapping`, `shm`, `memory`. What a single resource is: `describe`, with `socket`. Who else
//! holds it: `holders`. What a process holds that is at a limit: `full`. Limits: `limits` of a
//! process, `shared_limits` of many, `cgroup`; whom the kernel counts for: `ucounts`, and inotify
//! for them: `inotify_use`. What ran out when a call failed: `shortage`. How
//! files are read: `read`, `open`, `file_state`.

mod cgroup;
mod container;
mod describe;
mod descriptor;
mod facts;
mod file_state;
#[cfg(test)]
pub(crate) mod first_thread_gone;
mod full;
mod holders;
mod host;
mod inotify_use;
mod limits;
mod mapping;
mod memory;
mod open;
mod process;
mod read;
mod shared_limits;
mod shm;
mod shortage;
mod socket;
mod ucounts;

use std::path::{Path, PathBuf};

pub use cgroup::cgroup_members;
pub use container::container_id;
pub use descriptor::{Inode, classify};
pub use holders::Sharing;
pub use host::HostUse;
pub use mapping::{Mapping, VDSO};
pub use memory::{Memory, ProcessMemory, own_vdso};
pub(crate) use open::{open_beneath, open_regular};
pub use process::Stat;
use read::{
    SHORT, bytes_field, field, into_text, link_text, number_in_link, numbers_in, read_number,
    read_start, read_text,
};
pub use shared_limits::{BUDGET as SHARED_BUDGET, SharedUse};
pub use shm::ShmSegment;
pub use shortage::{Refused, Shortage};
pub use ucounts::Ucounts;

/// A view of a `/proc` file system.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
    cgroups: PathBuf,
}

impl Default for Proc {
    fn default() -> Self {
        Proc::new("/proc")
    }
}

impl Proc {
    /// The tree at `root`, with control groups at `/sys/fs/cgroup`.
    pub fn new(root: impl Into<PathBuf>) -> Proc {
        Proc {
            root: root.into(),
            cgroups: PathBuf::from("/sys/fs/cgroup"),
        }
    }

    /// The same with control groups mounted elsewhere.
    #[must_use]
    pub fn with_cgroups(mut self, root: impl Into<PathBuf>) -> Proc {
        self.cgroups = root.into();
        self
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the directory of process `pid`.
    fn of(&self, pid: u32, name: &str) -> PathBuf {
        let mut path = self.root.join(pid.to_string());
        path.push(name);
        path
    }

    /// The link to the program that a process runs.
    pub(crate) fn program(&self, pid: u32) -> PathBuf {
        self.of(self.memory_of(pid), "exe")
    }

    /// The beginning of a process's file as text.
    pub(crate) fn text_of(&self, pid: u32, name: &str) -> Option<String> {
        read_text(&self.of(pid, name), SHORT)
    }
}
