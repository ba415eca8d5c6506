//! Identities: of processes, of the resources they hold, and of the sites where they acquire
//! them. Both sides make them, so the formulas are here and nowhere else.

use crate::{
    kind::{Class, Kind},
    unwind::PythonFrame,
};

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

/// One step of a hash: a multiplication and a fold (Fibonacci hashing).
#[inline(always)]
#[must_use]
pub const fn mix(hash: u64, value: u64) -> u64 {
    let hash = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

// A site's identity. What goes in, in this order: the process, the native frames from the
// innermost on, the interpreter's frames from the innermost on, the kind. The programs mix in
// one frame after the other as they walk; user space has the whole stack and calls `site_of`.

/// The hash of a process's stack before its first frame.
#[inline(always)]
#[must_use]
pub const fn stack_of(process: ProcessId) -> u64 {
    mix(process.0, 0)
}

/// The hash of a stack with one more native frame: the address that the caller returns to, of
/// the innermost frame the instruction itself.
#[inline(always)]
#[must_use]
pub const fn with_frame(stack: u64, address: u64) -> u64 {
    mix(stack, address)
}

/// The hash of a stack with one more frame of an interpreter.
#[inline(always)]
#[must_use]
pub const fn with_python_frame(stack: u64, frame: PythonFrame) -> u64 {
    mix(mix(stack, frame.code), frame.place)
}

/// The hash of a stack that must be like no other, since its frames are not complete yet: the
/// time tells it apart.
#[inline(always)]
#[must_use]
pub const fn unfinished_at(stack: u64, time: u64) -> u64 {
    mix(stack, time)
}

/// The identity of the site where a stack acquires resources of a kind (its number). Never 0,
/// which stands for the unknown site: bit 0 is always set.
#[inline(always)]
#[must_use]
pub const fn site(stack: u64, kind: u32) -> u64 {
    mix(stack, kind as u64) | 1
}

/// The identity of a site, from all that goes into it. Frames are innermost first.
#[must_use]
pub fn site_of(process: ProcessId, frames: &[u64], python: &[PythonFrame], kind: Kind) -> u64 {
    let mut stack = stack_of(process);
    for address in frames {
        stack = with_frame(stack, *address);
    }
    for frame in python {
        stack = with_python_frame(stack, *frame);
    }
    site(stack, kind as u32)
}

/// The identity of a second site of the same stack, for a kind that is known only after the
/// programs named the site for another one: descriptors of several kinds arrive in one
/// message. It is made from the site's identity, since nobody has the stack's hash any more:
/// that is well mixed, and the kind picks another rotation of it.
#[must_use]
pub const fn site_of_other_kind(site: u64, kind: Kind) -> u64 {
    site.rotate_left(kind as u32 + 1) | 1
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
    const PROCESS: ProcessId = ProcessId::new(1234, 56789);
    const FRAMES: [u64; 2] = [0x7f00_0000_1234, 0x5555_5555_0001];

    #[test]
    fn sites_keep_their_numbers_from_one_version_to_the_next() {
        let python = [
            PythonFrame {
                code: 0x7f12_3456_7890,
                place: PythonFrame::ENTRY | 0x42,
            },
            PythonFrame {
                code: 0x7f12_3456_7900,
                place: 0x7f,
            },
        ];
        assert_eq!(stack_of(PROCESS), 0x1d47_8774_dc2b_65d8);
        assert_eq!(
            site_of(PROCESS, &[], &[], Kind::File),
            0x9b9b_0e1a_f046_063d
        );
        assert_eq!(
            site_of(PROCESS, &FRAMES, &[], Kind::File),
            0x3659_8ffd_5722_03dd
        );
        assert_eq!(
            site_of(PROCESS, &FRAMES, &[], Kind::Socket),
            0xf9ea_9c8e_280d_605f
        );
        assert_eq!(
            site_of(PROCESS, &FRAMES, &python, Kind::Socket),
            0xcde0_0c47_85c9_be0d
        );
        let socket = site_of(PROCESS, &FRAMES, &[], Kind::Socket);
        assert_eq!(
            site_of_other_kind(socket, Kind::File),
            0xe7aa_7238_a035_817f
        );
        assert_eq!(
            site_of_other_kind(socket, Kind::Process),
            0xe471_406b_02ff_cf55
        );
    }

    #[test]
    fn programs_find_the_site_that_user_space_does() {
        let mut stack = stack_of(PROCESS);
        for address in FRAMES {
            stack = with_frame(stack, address);
        }
        let by_user_space = site_of(PROCESS, &FRAMES, &[], Kind::Socket);
        assert_eq!(site(stack, Kind::Socket as u32), by_user_space);
        let first = with_frame(stack_of(PROCESS), FRAMES[0]);
        assert_eq!(unfinished_at(first, 77_000_000_000), 0x36f8_f6da_1733_3307);
    }
}
