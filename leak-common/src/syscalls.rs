//! The table of system calls: one row each, saying what the call does to
//! resources. A new call is a new row.
//!
//! Numbers: arch/x86/entry/syscalls/syscall_64.tbl and
//! include/uapi/asm-generic/unistd.h (aarch64).

use crate::{kind::Kind, limits::SYSCALLS, numbered::numbered};

numbered! {
    /// What a call does. The numbers are indices that both sides share.
    pub enum Operation: u8 {
        /// Nothing that is traced.
        None = 0,
        /// Returns a descriptor of the row's kind.
        Returns = 1,
        /// Returns a descriptor whose kind only its file knows. The row's kind stands for
        /// it where the call fails; without one, argument 0 has it.
        ReturnsByFile = 2,
        /// Opens by path: a directory if the flags say so, else a file.
        Opens = 3,
        /// Writes two descriptors of the row's kind at the address in the row's argument.
        WritesTwo = 4,
        /// dup2, dup3: the second argument is closed and acquired anew.
        Replaces = 5,
        /// fcntl: acquires for `F_DUPFD` and `F_DUPFD_CLOEXEC`.
        Fcntl = 6,
        /// signalfd: acquires only where its first argument is -1.
        Signalfd = 7,
        /// clone, fork, vfork: a thread or process, and a pidfd with `CLONE_PIDFD`
        /// where the row's argument is 1.
        Clone = 8,
        /// clone3: the same, arguments in a structure.
        Clone3 = 9,
        /// bpf: acquires for the commands that return a descriptor.
        Bpf = 10,
        /// seccomp: acquires for `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
        Seccomp = 11,
        /// landlock_create_ruleset: acquires unless it was asked for a version.
        Landlock = 12,
        /// recvmsg: descriptors may arrive in the control data.
        Receives = 13,
        /// recvmmsg.
        ReceivesMany = 14,
        /// mmap.
        Maps = 15,
        /// mremap.
        Remaps = 16,
        /// shmat: a mapping.
        Attaches = 17,
        /// shmget: a segment, where it was created.
        Creates = 18,
        /// shmctl: releases the segment for `IPC_RMID`.
        Removes = 19,
        /// close, at its beginning.
        Closes = 20,
        /// close_range, at its beginning.
        ClosesRange = 21,
        /// munmap, at its beginning.
        Unmaps = 22,
        /// shmdt, at its beginning.
        Detaches = 23,
        /// ioctl: acquires for the requests of [`crate::requests`].
        Ioctl = 24,
        /// getsockopt: acquires for the options that have a descriptor.
        Getsockopt = 25,
        /// fanotify_init: acquires, and reads bring descriptors from now on.
        Notifies = 26,
        /// read: acquires where it is of a fanotify descriptor.
        Reads = 27,
        /// inotify_add_watch: acquires no descriptor, but what counts for the user's limit.
        Watches = 28,
    }
}

impl Operation {
    /// Whether it is handled when the call begins: it is a release, and by the end
    /// of the call another thread may own the same handle.
    #[inline(always)]
    #[must_use]
    pub const fn at_enter(self) -> bool {
        match self {
            Operation::Closes
            | Operation::ClosesRange
            | Operation::Unmaps
            | Operation::Detaches => true,
            Operation::None
            | Operation::Returns
            | Operation::ReturnsByFile
            | Operation::Opens
            | Operation::WritesTwo
            | Operation::Replaces
            | Operation::Fcntl
            | Operation::Signalfd
            | Operation::Clone
            | Operation::Clone3
            | Operation::Bpf
            | Operation::Seccomp
            | Operation::Landlock
            | Operation::Receives
            | Operation::ReceivesMany
            | Operation::Maps
            | Operation::Remaps
            | Operation::Attaches
            | Operation::Creates
            | Operation::Removes
            | Operation::Ioctl
            | Operation::Getsockopt
            | Operation::Notifies
            | Operation::Reads
            | Operation::Watches => false,
        }
    }
}

numbered! {
    /// How a call says that its descriptor closes on exec.
    pub enum CloseOnExec: u8 {
        Never = 0,
        Always = 1,
        /// `O_CLOEXEC` (0x80000), which `SOCK_`, `EFD_`, `EPOLL_`, `TFD_`, `SFD_`
        /// and `IN_CLOEXEC` equal, in argument 0 to 3.
        Argument0 = 2,
        Argument1 = 3,
        Argument2 = 4,
        Argument3 = 5,
        /// Bit 0 of argument 0 to 2 (`MFD_`, `FAN_`, `FSOPEN_`, `FSMOUNT_`, `FSPICK_`
        /// `_CLOEXEC`).
        LowBitArgument1 = 6,
        LowBitArgument0 = 7,
        LowBitArgument2 = 8,
        /// `PERF_FLAG_FD_CLOEXEC`, bit 3 of argument 4.
        PerfFlagArgument4 = 9,
    }
}

/// A row as user space hands it to the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Action {
    /// An [`Operation`].
    pub operation: u8,
    /// A [`Kind`], 0 where the operation decides.
    pub kind: u8,
    /// Index of the argument that the operation needs: flags for [`Operation::Opens`],
    /// the address for [`Operation::WritesTwo`].
    pub argument: u8,
    /// A [`CloseOnExec`].
    pub close_on_exec: u8,
}

const _: () = assert!(size_of::<Action>() == 4);

impl Action {
    /// A call that is not traced.
    pub const NONE: Action = Action {
        operation: 0,
        kind: 0,
        argument: 0,
        close_on_exec: 0,
    };

    /// What the row says, unless one of its numbers is damaged.
    #[inline(always)]
    #[must_use]
    pub const fn effect(self) -> Option<Effect> {
        match (
            Operation::from_wire(self.operation),
            CloseOnExec::from_wire(self.close_on_exec),
        ) {
            (Some(operation), Some(close_on_exec)) => Some(Effect {
                operation,
                kind: self.kind,
                argument: self.argument,
                close_on_exec,
            }),
            _ => None,
        }
    }
}

/// An [`Action`] whose numbers are known: what the programs go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What the call does.
    pub operation: Operation,
    /// As in [`Action::kind`].
    pub kind: u8,
    /// As in [`Action::argument`].
    pub argument: u8,
    /// How the call says that its descriptor closes on exec.
    pub close_on_exec: CloseOnExec,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The call's name, as in `sys_enter_NAME`.
    pub name: &'static str,
    /// Its number on x86-64, -1 where it does not exist.
    pub x86_64: i32,
    /// Its number on aarch64, -1 where it does not exist.
    pub aarch64: i32,
    /// What it does.
    pub operation: Operation,
    /// What the programs hold.
    pub action: Action,
}

const fn row(
    name: &'static str,
    numbers: (i32, i32),
    operation: Operation,
    kind: Option<Kind>,
    argument: u8,
    close_on_exec: CloseOnExec,
) -> Row {
    let kind = match kind {
        Some(kind) => kind as u32 as u8,
        None => 0,
    };
    Row {
        name,
        x86_64: numbers.0,
        aarch64: numbers.1,
        operation,
        action: Action {
            operation: operation as u8,
            kind,
            argument,
            close_on_exec: close_on_exec as u8,
        },
    }
}

use CloseOnExec::{
    Always, Argument0, Argument1, Argument2, Argument3, LowBitArgument0, LowBitArgument1,
    LowBitArgument2, Never, PerfFlagArgument4,
};
use Operation as Op;

/// Every call that acquires or releases what is traced.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("open", (2, -1), Op::Opens, None, 1, Argument1),
    row("creat", (85, -1), Op::Returns, Some(Kind::File), 0, Never),
    row("openat", (257, 56), Op::Opens, None, 2, Argument2),
    // The flags of openat2 are in memory; what the file is tells as much.
    row("openat2", (437, 437), Op::ReturnsByFile, Some(Kind::File), 0, Never),
    row("open_by_handle_at", (304, 265), Op::Opens, None, 2, Argument2),
    row("open_tree", (428, 428), Op::ReturnsByFile, Some(Kind::File), 0, Argument2),
    row("open_tree_attr", (467, 467), Op::ReturnsByFile, Some(Kind::File), 0, Argument2),
    row("dup", (32, 23), Op::ReturnsByFile, None, 0, Never),
    row("dup2", (33, -1), Op::Replaces, None, 1, Never),
    row("dup3", (292, 24), Op::Replaces, None, 1, Argument2),
    row("fcntl", (72, 25), Op::Fcntl, None, 1, Never),
    row("pipe", (22, -1), Op::WritesTwo, Some(Kind::Pipe), 0, Never),
    row("pipe2", (293, 59), Op::WritesTwo, Some(Kind::Pipe), 0, Argument1),
    row("socket", (41, 198), Op::Returns, Some(Kind::Socket), 0, Argument1),
    row("socketpair", (53, 199), Op::WritesTwo, Some(Kind::Socket), 3, Argument1),
    row("accept", (43, 202), Op::Returns, Some(Kind::Socket), 0, Never),
    row("accept4", (288, 242), Op::Returns, Some(Kind::Socket), 0, Argument3),
    row("eventfd", (284, -1), Op::Returns, Some(Kind::Eventfd), 0, Never),
    row("eventfd2", (290, 19), Op::Returns, Some(Kind::Eventfd), 0, Argument1),
    row("epoll_create", (213, -1), Op::Returns, Some(Kind::Epoll), 0, Never),
    row("epoll_create1", (291, 20), Op::Returns, Some(Kind::Epoll), 0, Argument0),
    row("timerfd_create", (283, 85), Op::Returns, Some(Kind::Timerfd), 0, Argument1),
    row("signalfd", (282, -1), Op::Signalfd, Some(Kind::Signalfd), 0, Never),
    row("signalfd4", (289, 74), Op::Signalfd, Some(Kind::Signalfd), 0, Argument3),
    row("inotify_init", (253, -1), Op::Returns, Some(Kind::Inotify), 0, Never),
    row("inotify_init1", (294, 26), Op::Returns, Some(Kind::Inotify), 0, Argument0),
    row("inotify_add_watch", (254, 27), Op::Watches, Some(Kind::Inotify), 0, Never),
    row("fanotify_init", (300, 262), Op::Notifies, Some(Kind::Anon), 0, LowBitArgument0),
    row("memfd_create", (319, 279), Op::Returns, Some(Kind::Memfd), 0, LowBitArgument1),
    row("memfd_secret", (447, 447), Op::Returns, Some(Kind::Memfd), 0, Argument0),
    row("userfaultfd", (323, 282), Op::Returns, Some(Kind::Anon), 0, Argument0),
    row("pidfd_open", (434, 434), Op::Returns, Some(Kind::Pidfd), 0, Always),
    row("pidfd_getfd", (438, 438), Op::ReturnsByFile, Some(Kind::Anon), 0, Always),
    row("io_uring_setup", (425, 425), Op::Returns, Some(Kind::Iouring), 0, Always),
    row("perf_event_open", (298, 241), Op::Returns, Some(Kind::Anon), 0, PerfFlagArgument4),
    row("bpf", (321, 280), Op::Bpf, Some(Kind::Anon), 0, Always),
    row("fsopen", (430, 430), Op::Returns, Some(Kind::Anon), 0, LowBitArgument1),
    row("fsmount", (432, 432), Op::ReturnsByFile, Some(Kind::Anon), 0, LowBitArgument1),
    row("fspick", (433, 433), Op::Returns, Some(Kind::Anon), 0, LowBitArgument2),
    row("landlock_create_ruleset", (444, 444), Op::Landlock, Some(Kind::Anon), 0, Always),
    row("seccomp", (317, 277), Op::Seccomp, Some(Kind::Anon), 0, Always),
    // Whatever its flags say (ipc/mqueue.c).
    row("mq_open", (240, 180), Op::Returns, Some(Kind::Anon), 0, Always),
    row("recvmsg", (47, 212), Op::Receives, None, 0, Never),
    row("recvmmsg", (299, 243), Op::ReceivesMany, None, 0, Never),
    // What these return is no descriptor for most of what they are asked.
    row("ioctl", (16, 29), Op::Ioctl, None, 1, Never),
    row("getsockopt", (55, 209), Op::Getsockopt, Some(Kind::Pidfd), 3, Never),
    row("read", (0, 63), Op::Reads, Some(Kind::File), 1, Never),
    row("clone", (56, 220), Op::Clone, None, 1, Never),
    row("clone3", (435, 435), Op::Clone3, None, 0, Never),
    row("fork", (57, -1), Op::Clone, None, 0, Never),
    row("vfork", (58, -1), Op::Clone, None, 0, Never),
    row("mmap", (9, 222), Op::Maps, Some(Kind::Mapping), 0, Never),
    row("mremap", (25, 216), Op::Remaps, Some(Kind::Mapping), 0, Never),
    row("shmat", (30, 196), Op::Attaches, Some(Kind::Mapping), 0, Never),
    row("shmget", (29, 194), Op::Creates, Some(Kind::Shm), 0, Never),
    row("shmctl", (31, 195), Op::Removes, Some(Kind::Shm), 0, Never),
    row("close", (3, 57), Op::Closes, None, 0, Never),
    row("close_range", (436, 436), Op::ClosesRange, None, 0, Never),
    row("munmap", (11, 215), Op::Unmaps, None, 0, Never),
    row("shmdt", (67, 197), Op::Detaches, None, 0, Never),
];

/// The name of the call with a number on x86-64 or aarch64, if it is in the table.
#[must_use]
pub fn name(number: u32, aarch64: bool) -> Option<&'static str> {
    let row = TABLE.iter().find(|row| {
        let own = if aarch64 { row.aarch64 } else { row.x86_64 };
        u32::try_from(own) == Ok(number)
    })?;
    Some(row.name)
}

/// The table as the programs index it: by system call number.
pub type Actions = [Action; SYSCALLS];

/// The table for x86-64 or aarch64.
#[must_use]
pub fn actions(aarch64: bool) -> Actions {
    let mut actions = [Action::NONE; SYSCALLS];
    for row in TABLE {
        let number = if aarch64 { row.aarch64 } else { row.x86_64 };
        if let Ok(index) = usize::try_from(number) {
            actions[index] = row.action;
        }
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_calls_share_a_number_or_a_name() {
        for (index, row) in TABLE.iter().enumerate() {
            for other in &TABLE[..index] {
                assert_ne!(row.name, other.name);
                assert!(row.x86_64 < 0 || row.x86_64 != other.x86_64, "{}", row.name);
                assert!(
                    row.aarch64 < 0 || row.aarch64 != other.aarch64,
                    "{}",
                    row.name
                );
            }
            assert!(row.x86_64 < SYSCALLS as i32 && row.aarch64 < SYSCALLS as i32);
        }
    }

    #[test]
    fn programs_understand_every_row() {
        for row in TABLE {
            let effect = row.action.effect().expect(row.name);
            assert_eq!(effect.operation, row.operation, "{}", row.name);
            assert_eq!(effect.close_on_exec as u8, row.action.close_on_exec);
        }
        for operation in Operation::ALL {
            assert_eq!(Operation::from_wire(operation as u8), Some(operation));
        }
        let beyond = Action {
            operation: Operation::COUNT as u8,
            ..Action::NONE
        };
        assert_eq!(beyond.effect(), None);
        let beyond = Action {
            close_on_exec: CloseOnExec::COUNT as u8,
            ..Action::NONE
        };
        assert_eq!(beyond.effect(), None);
    }

    #[test]
    fn numbers_are_those_of_the_c_library() {
        let actions = actions(false);
        assert_eq!(actions[257].operation, Operation::Opens as u8);
        assert_eq!(actions[3].operation, Operation::Closes as u8);
        assert_eq!(actions[0].operation, Operation::Reads as u8);
        assert_eq!(actions[1], Action::NONE);
        assert_eq!(name(257, false), Some("openat"));
        assert_eq!(name(56, true), Some("openat"));
        assert_eq!(name(u32::MAX, true), None);
    }
}
