//! Who holds a resource, and by which name.

use crate::kind::Class;

/// Nanoseconds in a clock tick of `/proc` (`USER_HZ` is 100 on every
/// architecture this runs on).
pub const TICK_NS: u64 = 10_000_000;

/// A process or thread: its id in the upper half, the tick of its start since
/// boot (`/proc/PID/stat`, field 22, cut to 32 bits) in the lower. Pids are
/// reused, these are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct ProcessId(pub u64);

impl ProcessId {
    /// Nobody: the owner of resources that outlive every process.
    pub const NONE: ProcessId = ProcessId(0);

    /// From a pid (tgid or tid) and a start in ticks since boot.
    #[must_use]
    pub const fn new(pid: u32, start_ticks: u64) -> ProcessId {
        ProcessId((pid as u64) << 32 | (start_ticks & 0xffff_ffff))
    }

    /// The pid in the tracer's own (initial) pid name space.
    #[must_use]
    pub const fn pid(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Start in ticks since boot, 32 bits of it.
    #[must_use]
    pub const fn start_ticks(self) -> u32 {
        self.0 as u32
    }
}

/// The name of a resource within its owner: the class in the top byte, the
/// class's own number (see [`Class`]) below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(pub u64);

impl Handle {
    const VALUE_BITS: u32 = 56;
    const VALUE_MASK: u64 = (1 << Self::VALUE_BITS) - 1;

    /// A handle of `class`. Bits of `value` above the 56th are dropped: user
    /// addresses and task identities fit.
    #[inline(always)]
    #[must_use]
    pub const fn new(class: Class, value: u64) -> Handle {
        Handle((class as u64) << Self::VALUE_BITS | (value & Self::VALUE_MASK))
    }

    /// A thread or child process.
    #[inline(always)]
    #[must_use]
    pub const fn task(class: Class, task: ProcessId) -> Handle {
        Self::new(class, task.0)
    }

    /// A shared memory segment of an IPC name space.
    #[inline(always)]
    #[must_use]
    pub const fn shm(ipc_namespace: u32, id: u32) -> Handle {
        // The initial name space is 0xefffffff, others count up from 0xf0000000
        // (include/linux/proc_ns.h): 24 bits tell them apart.
        Self::new(
            Class::Shm,
            ((ipc_namespace & 0x00ff_ffff) as u64) << 32 | id as u64,
        )
    }

    /// Whether it is of a class.
    #[inline(always)]
    #[must_use]
    pub const fn is(self, class: Class) -> bool {
        (self.0 >> Self::VALUE_BITS) as u32 == class as u32
    }

    /// The class, unless the number is damaged.
    #[must_use]
    pub const fn class(self) -> Option<Class> {
        Class::from_wire((self.0 >> Self::VALUE_BITS) as u32)
    }

    /// The class's own number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0 & Self::VALUE_MASK
    }

    /// The descriptor number, where this is one.
    #[must_use]
    pub const fn descriptor(self) -> Option<u32> {
        match self.class() {
            Some(Class::Descriptor) => Some(self.value() as u32),
            _ => None,
        }
    }

    /// The task behind a thread or process handle.
    #[must_use]
    pub const fn as_task(self) -> Option<ProcessId> {
        match self.class() {
            Some(Class::Thread | Class::Process) => Some(ProcessId(self.value())),
            _ => None,
        }
    }
}

/// One step of a stack's hash: a multiplication and a fold (Fibonacci hashing).
#[inline(always)]
#[must_use]
pub const fn mix(hash: u64, value: u64) -> u64 {
    let hash = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

/// The hash that a process's stacks begin with; every frame is mixed into it.
#[inline(always)]
#[must_use]
pub const fn stack_seed(process: ProcessId) -> u64 {
    mix(process.0, 0)
}

/// A site's identity: its stack's hash, and its kind's number. Never 0, which is the
/// unknown site.
#[inline(always)]
#[must_use]
pub const fn site(stack: u64, kind: u32) -> u64 {
    mix(stack, kind as u64) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_fits_a_handle() {
        // The largest pid is 2^22 (PID_MAX_LIMIT, include/linux/threads.h).
        let task = ProcessId::new(1 << 22, u64::MAX);
        let handle = Handle::task(Class::Process, task);
        assert_eq!(handle.class(), Some(Class::Process));
        assert_eq!(handle.as_task(), Some(task));
        assert_eq!(handle.descriptor(), None);
        assert_eq!(Handle::new(Class::Descriptor, 7).descriptor(), Some(7));
    }
}
