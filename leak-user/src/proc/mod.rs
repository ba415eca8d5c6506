//! What `/proc` knows: the judge of last resort.
//!
//! Everything reads below a root path, so that tests can use a made-up tree.
//! Processes come and go at any moment: a process that is gone is `None` or
//! an empty list, never an error, and what it held until a moment ago may be
//! missing from an answer. Every read is bounded. Pids are reused: whoever
//! needs certainty compares [`Proc::identity`] before and after.

mod cgroup;
mod container;
mod describe;
mod descriptor;
mod facts;
#[cfg(test)]
pub(crate) mod first_thread_gone;
mod host;
mod limits;
mod mapping;
mod memory;
mod process;
mod shared;
mod sharing;
mod shm;
mod shortage;
mod socket;
mod syscall;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

pub use cgroup::cgroup_members;
pub use container::container_id;
pub use descriptor::{Inode, classify};
pub use limits::HostUse;
use limits::user_scope;
pub use mapping::{Mapping, VDSO};
pub use memory::{Memory, ProcessMemory, own_vdso};
pub use process::Stat;
pub use shared::{BUDGET as SHARED_BUDGET, SharedUse};
pub use sharing::Sharing;
pub use shm::ShmSegment;
pub use shortage::{Refused, Shortage};
pub(crate) use syscall::{open_beneath, open_regular};

/// Bytes read of a file that the kernel keeps short (stat, status, limits, ...).
const SHORT: u64 = 64 * 1024;

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

/// The first `limit` bytes of a file, `None` where it cannot be read.
fn read_start(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The same as text; bytes that are not UTF-8 are replaced.
fn read_text(path: &Path, limit: u64) -> Option<String> {
    read_start(path, limit).map(into_text)
}

/// A whole file as one number.
fn read_number(path: &Path) -> Option<u64> {
    read_text(path, 64)?.trim().parse().ok()
}

/// Bytes as text, without a copy where they are UTF-8.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The target of a symbolic link as text.
fn link_text(path: &Path) -> io::Result<String> {
    use std::os::unix::ffi::OsStringExt;
    let target = std::fs::read_link(path)?;
    Ok(into_text(target.into_os_string().into_vec()))
}

/// The names in a directory that are numbers. Entries that vanish are left out.
fn numbers_in(directory: &Path) -> io::Result<impl Iterator<Item = u32> + use<>> {
    Ok(std::fs::read_dir(directory)?
        .map_while(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}
