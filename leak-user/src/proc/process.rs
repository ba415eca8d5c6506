//! Processes, threads and children: who is there.

use std::{io, path::PathBuf};

use leak_common::ProcessId;

use super::{Proc, numbers_in, read_text};

/// Threads that are asked whether they still have their process's memory. Those that
/// exited are soon gone, but for the first one.
const MAX_ASKED: usize = 64;

/// The kernel's own threads (include/linux/sched.h).
const PF_KTHREAD: u32 = 0x0020_0000;

/// What `/proc/PID/stat` says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Who it is.
    pub id: ProcessId,
    /// Start in ticks since boot, not cut.
    pub start_ticks: u64,
    pub parent: u32,
    /// The name; untrusted.
    pub comm: String,
    /// The kernel's letter: `R`, `S`, `D`, `Z` (zombie), ...
    pub state: char,
    pub threads: u32,
    /// `PF_*` bits.
    pub flags: u32,
}

impl Stat {
    /// Reads a line of `/proc/PID/stat`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Stat> {
        // The name may hold spaces and parentheses: it ends at the last one.
        let open = line.find('(')?;
        let close = line.rfind(')')?;
        let pid: u32 = line.get(..open)?.trim().parse().ok()?;
        let comm = line.get(open + 1..close)?;
        let mut fields = line.get(close + 1..)?.split_ascii_whitespace();
        // Numbered as in proc_pid_stat(5), where the state is field 3.
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let flags = fields.nth(9 - 5)?.parse().ok()?;
        let threads = fields.nth(20 - 10)?.parse().ok()?;
        let start_ticks = fields.nth(22 - 21)?.parse().ok()?;
        Some(Stat {
            id: ProcessId::new(pid, start_ticks),
            start_ticks,
            parent,
            comm: comm.to_owned(),
            state,
            threads,
            flags,
        })
    }

    /// Whether it is one of the kernel's own threads.
    #[must_use]
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it exited and was not reaped. The first thread of a process may have,
    /// and the others go on: that is none.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z' && self.threads <= 1
    }
}

/// The stack pointer in `/proc/PID/task/TID/syscall`, the last but one of its fields (proc(5)).
/// A thread that runs has `running` there.
fn stack_pointer_in(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().rev();
    fields.next()?;
    let pointer = u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
    (pointer != 0).then_some(pointer)
}

impl Proc {
    /// Where a thread's stack stands, in the memory of its process. `None` where it runs just
    /// now, or is gone.
    #[must_use]
    pub fn stack_pointer(&self, pid: u32, tid: u32) -> Option<u64> {
        stack_pointer_in(&self.text_of(pid, &format!("task/{tid}/syscall"))?)
    }

    /// Every process but the kernel's own threads; zombies too.
    ///
    /// # Errors
    /// Where the root cannot be listed.
    pub fn processes(&self) -> io::Result<Vec<Stat>> {
        Ok(numbers_in(&self.root)?
            .filter_map(|pid| self.stat(pid))
            .filter(|stat| !stat.is_kernel_thread())
            .collect())
    }

    /// `/proc/PID/stat` of a process or thread.
    #[must_use]
    pub fn stat(&self, pid: u32) -> Option<Stat> {
        Stat::parse(&self.text_of(pid, "stat")?)
    }

    /// Who has this pid now.
    #[must_use]
    pub fn identity(&self, pid: u32) -> Option<ProcessId> {
        self.stat(pid).map(|stat| stat.id)
    }

    /// The name of a process; empty where it is gone.
    pub(super) fn comm(&self, pid: u32) -> String {
        self.stat(pid).map(|stat| stat.comm).unwrap_or_default()
    }

    /// The threads of a process, the first one included.
    #[must_use]
    pub fn threads(&self, pid: u32) -> Vec<ProcessId> {
        let Ok(numbers) = numbers_in(&self.of(pid, "task")) else {
            return Vec::new();
        };
        numbers
            .filter_map(|tid| Stat::parse(&self.text_of(pid, &format!("task/{tid}/stat"))?))
            .map(|stat| stat.id)
            .collect()
    }

    /// How often a thread was switched away from, whether it waited or was made to.
    #[must_use]
    pub fn switches(&self, pid: u32, tid: u32) -> Option<u64> {
        let status = self.text_of(pid, &format!("task/{tid}/status"))?;
        let counts = status.lines().filter_map(|line| {
            let (name, count) = line.split_once(':')?;
            name.ends_with("_ctxt_switches")
                .then(|| count.trim().parse::<u64>().ok())?
        });
        counts.reduce(u64::wrapping_add)
    }

    /// Through whom a process's memory, descriptors and directories can be read: itself
    /// while its first thread lives, else the number of a thread that does. Below the
    /// root both have the same files. Itself too where there is nobody.
    #[must_use]
    pub fn memory_of(&self, pid: u32) -> u32 {
        self.thread_with_memory(pid).unwrap_or(pid)
    }

    /// The root directory of a process: `/` in its mount name space.
    pub(crate) fn root_directory(&self, pid: u32) -> PathBuf {
        self.of(self.memory_of(pid), "root")
    }

    /// The same; `None` where all of it exited.
    pub(super) fn thread_with_memory(&self, pid: u32) -> Option<u32> {
        // Where it cannot be asked, the caller's next read of it tells.
        if self.has_memory(pid, "statm").unwrap_or(true) {
            return Some(pid);
        }
        let mut tids = numbers_in(&self.of(pid, "task")).ok()?.take(MAX_ASKED);
        tids.find(|tid| self.has_memory(pid, &format!("task/{tid}/statm")) == Some(true))
    }

    /// Whether a process or thread began to end, or did: what was read of it may be
    /// short. It gives back its memory before all else. Without `statm` one cannot know.
    pub(super) fn is_ending(&self, tid: u32) -> bool {
        match self.has_memory(tid, "statm") {
            Some(has) => !has,
            None => !self.of(tid, "").exists(),
        }
    }

    /// Whether a process or thread has memory, by its `statm`, which all may read.
    fn has_memory(&self, pid: u32, statm: &str) -> Option<bool> {
        let text = self.text_of(pid, statm)?;
        Some(text.split(' ').next() != Some("0"))
    }

    /// The children of a process, zombies too.
    #[must_use]
    pub fn children(&self, pid: u32) -> Vec<Stat> {
        let listed = numbers_in(&self.of(pid, "task")).ok().and_then(|tids| {
            // A child belongs to the thread that made it.
            tids.map(|tid| read_text(&self.of(pid, &format!("task/{tid}/children")), 1 << 20))
                .collect::<Option<Vec<String>>>()
        });
        let Some(lists) = listed else {
            return self.children_by_parent(pid);
        };
        lists
            .iter()
            .flat_map(|list| list.split_ascii_whitespace())
            .filter_map(|child| self.stat(child.parse().ok()?))
            .collect()
    }

    /// For kernels without `CONFIG_PROC_CHILDREN`, or when a thread ended while
    /// they were listed.
    fn children_by_parent(&self, pid: u32) -> Vec<Stat> {
        let processes = self.processes().unwrap_or_default();
        let children = processes.into_iter().filter(|stat| stat.parent == pid);
        children.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const LINE: &str =
        "77 (a) S (b) 1) Z 12 77 77 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 4242 1 2 3";

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = Stat::parse(LINE).unwrap();
        assert_eq!(stat.comm, "a) S (b) 1");
        assert_eq!((stat.state, stat.parent, stat.threads), ('Z', 12, 1));
        assert_eq!(stat.id, ProcessId::new(77, 4242));
        assert!(stat.is_zombie() && !stat.is_kernel_thread());
        let stat = Stat::parse(&LINE.replace(" 20 0 1 ", " 20 0 2 ")).unwrap();
        assert!(!stat.is_zombie(), "a thread is left");
    }

    #[test]
    fn a_stack_pointer_is_read_of_a_thread_that_waits() {
        let waits = "202 0x7f 0x80 0x0 0x0 0x0 0x0 0x7ffd10 0x7f3c";
        assert_eq!(stack_pointer_in(waits), Some(0x7f_fd10));
        assert_eq!(stack_pointer_in("-1 0x7ffd20 0x7f3c"), Some(0x7f_fd20));
        for none in ["running", "", "0x0 0x0", "-1 x y"] {
            assert_eq!(stack_pointer_in(none), None, "{none}");
        }
    }

    #[test]
    fn a_damaged_line_is_none() {
        for end in 0..LINE.find("4242").unwrap() {
            assert_eq!(Stat::parse(&LINE[..end]), None, "{end}");
        }
        assert_eq!(Stat::parse("1 )x( S"), None);
    }

    #[test]
    fn this_process_and_its_threads_are_found() {
        let proc = Proc::default();
        let pid = std::process::id();
        let own = proc.identity(pid).unwrap();
        assert!(proc.processes().unwrap().iter().any(|stat| stat.id == own));
        assert!(proc.threads(pid).contains(&own));
        assert_eq!(proc.identity(u32::MAX), None);
        assert_eq!(proc.threads(u32::MAX), Vec::new());
    }

    #[test]
    fn a_zombie_child_is_listed_until_it_is_reaped() {
        let proc = Proc::default();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !proc.stat(child.id()).unwrap().is_zombie() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        let identity = proc.identity(child.id()).unwrap();
        let is_listed = |children: &[Stat]| {
            let found = children.iter().find(|stat| stat.id == identity);
            found.is_some_and(Stat::is_zombie)
        };
        let own = std::process::id();
        assert!(is_listed(&proc.children(own)));
        assert!(is_listed(&proc.children_by_parent(own)));
        child.wait().unwrap();
        assert!(!is_listed(&proc.children(own)));
    }

    #[test]
    fn kernel_threads_are_left_out() {
        let proc = Proc::default();
        assert!(
            proc.processes()
                .unwrap()
                .iter()
                .all(|stat| stat.comm != "kthreadd")
        );
    }
}
