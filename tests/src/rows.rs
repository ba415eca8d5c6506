//! What each row of `victims/rows.c` acquires: the other half of that program.
//!
//! Both the tests on this machine's kernel and `cargo xtask vm-test` compile this file, so that they expect the same. It
//! therefore uses nothing of either.

/// Major and minor number of a kernel.
pub type Version = (u32, u32);

/// A row: `leak_NAME` acquires `count` times and keeps, `twin_NAME` gives back.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    /// What one acquisition holds in the end, by kind. Of every other kind of descriptor it must hold nothing.
    pub kinds: &'static [(&'static str, u64)],
    /// Bytes that one acquisition maps, 0 where the kind has no size.
    pub bytes: u64,
    pub count: u64,
    /// Descriptors that one acquisition holds at another site (a peer's end).
    pub aside: u64,
    /// The first kernel that has it.
    pub since: Version,
    /// Whether kernels can be configured without it.
    pub optional: bool,
    /// Whether aarch64 lacks it.
    pub x86_64_only: bool,
    /// Whether virtual machines run it: a choice of rows, since an emulated machine is slow. It has the common ones, and
    /// those where kernels differ.
    pub in_guests: bool,
}

/// What the mappings of `victims/rows/memory.h` measure.
const LENGTH: u64 = 8 * 4096;

const fn row(name: &'static str, kinds: &'static [(&'static str, u64)]) -> Row {
    Row {
        name,
        kinds,
        bytes: 0,
        count: 5,
        aside: 0,
        since: (0, 0),
        optional: false,
        x86_64_only: false,
        in_guests: false,
    }
}

impl Row {
    const fn bytes(self, bytes: u64) -> Row {
        Row { bytes, ..self }
    }
    const fn count(self, count: u64) -> Row {
        Row { count, ..self }
    }
    const fn aside(self, aside: u64) -> Row {
        Row { aside, ..self }
    }
    const fn since(self, major: u32, minor: u32) -> Row {
        Row {
            since: (major, minor),
            ..self
        }
    }
    const fn optional(self) -> Row {
        Row {
            optional: true,
            ..self
        }
    }
    const fn x86_64_only(self) -> Row {
        Row {
            x86_64_only: true,
            ..self
        }
    }

    const fn in_guests(self) -> Row {
        Row {
            in_guests: true,
            ..self
        }
    }

    /// Whether a victim may say that this kernel lacks it.
    #[must_use]
    pub fn may_be_lacking(&self, kernel: Version, is_x86_64: bool) -> bool {
        self.optional || kernel < self.since || (self.x86_64_only && !is_x86_64)
    }

    /// How many of a kind the leak holds in the end, at its site.
    #[must_use]
    pub fn expected(&self, kind: &str) -> u64 {
        let each = self.kinds.iter().find(|(name, _)| *name == kind);
        each.map_or(0, |(_, each)| each * self.count)
    }
}

const FILE: &[(&str, u64)] = &[("file", 1)];
const DIRECTORY: &[(&str, u64)] = &[("directory", 1)];
const SOCKET: &[(&str, u64)] = &[("socket", 1)];
const EVENTFD: &[(&str, u64)] = &[("eventfd", 1)];
const EPOLL: &[(&str, u64)] = &[("epoll", 1)];
const SIGNALFD: &[(&str, u64)] = &[("signalfd", 1)];
const INOTIFY: &[(&str, u64)] = &[("inotify", 1)];
const MEMFD: &[(&str, u64)] = &[("memfd", 1)];
const PIDFD: &[(&str, u64)] = &[("pidfd", 1)];
const ANON: &[(&str, u64)] = &[("anon", 1)];
const PROCESS: &[(&str, u64)] = &[("process", 1)];
const MAPPING: &[(&str, u64)] = &[("mapping", 1)];

/// Every row.
pub const ROWS: &[Row] = &[
    row("open", FILE).x86_64_only().in_guests(),
    row("creat", FILE).x86_64_only(),
    row("openat", FILE).in_guests(),
    row("openat_directory", DIRECTORY).in_guests(),
    row("openat_path", FILE),
    row("openat_tmpfile", FILE),
    row("openat2", FILE).since(5, 6).in_guests(),
    row("open_by_handle_at", FILE),
    row("open_tree", DIRECTORY).since(5, 2),
    row("open_tree_attr", DIRECTORY).since(6, 15),
    row("dup", SOCKET),
    row("dup2", FILE).x86_64_only(),
    row("dup2_over", SOCKET).x86_64_only().in_guests(),
    row("dup3", EVENTFD),
    row("fcntl_dupfd", &[("pipe", 1)]),
    row("fcntl_dupfd_cloexec", EPOLL).in_guests(),
    row("close_range", FILE).since(5, 9).in_guests(),
    row("close_range_cloexec", FILE).since(5, 11).in_guests(),
    row("exec", FILE).in_guests(),
    row("failing", &[]).in_guests(),
    row("pipe", &[("pipe", 2)]).x86_64_only(),
    row("pipe2", &[("pipe", 2)]).in_guests(),
    row("socket", SOCKET).in_guests(),
    row("socketpair", &[("socket", 2)]).in_guests(),
    row("accept", SOCKET).aside(1),
    row("accept4", SOCKET).aside(1).in_guests(),
    row("recvmsg", &[("eventfd", 1), ("pipe", 1)]).in_guests(),
    row("recvmmsg", &[("eventfd", 2)]),
    row("eventfd", EVENTFD).x86_64_only(),
    row("eventfd2", EVENTFD).in_guests(),
    row("epoll_create", EPOLL).x86_64_only(),
    row("epoll_create1", EPOLL),
    row("timerfd_create", &[("timerfd", 1)]).in_guests(),
    row("signalfd", SIGNALFD).x86_64_only(),
    row("signalfd4", SIGNALFD),
    row("inotify_init", INOTIFY).x86_64_only(),
    row("inotify_init1", INOTIFY),
    row("fanotify_init", ANON).optional(),
    row("memfd_create", MEMFD).in_guests(),
    row("memfd_secret", MEMFD).optional(),
    row("userfaultfd", ANON).optional(),
    row("pidfd_open", PIDFD).since(5, 3).in_guests(),
    row("pidfd_getfd", FILE).since(5, 6),
    row("clone_pidfd", PIDFD).since(5, 2),
    row("clone3_pidfd", PIDFD).since(5, 3).in_guests(),
    row("perf_event_open", ANON),
    row("bpf_map", ANON).in_guests(),
    row("bpf_prog", ANON),
    row("fsopen", ANON).since(5, 2),
    row("fspick", ANON).since(5, 2),
    row("fsmount", DIRECTORY).since(5, 2).in_guests(),
    row("landlock_create_ruleset", ANON).optional(),
    row("seccomp", ANON).count(1),
    row("mq_open", ANON).optional(),
    row("exec_fspick", ANON).since(5, 2),
    row("exec_perf_event_open", ANON),
    // It closes on exec whatever its flags are: nothing is left to leak.
    row("exec_mq_open", &[]).optional(),
    row("ioctl_ptpeer", FILE).optional().in_guests(),
    row("ioctl_userns", FILE).in_guests(),
    row("ioctl_pidfd", FILE).since(6, 11),
    row("ioctl_skns", FILE),
    row("ioctl_uffd", ANON).since(6, 1).optional(),
    row("getsockopt_peerpidfd", PIDFD).since(6, 5).in_guests(),
    row("recvmsg_pidfd", &[("file", 1), ("pidfd", 1)])
        .since(6, 5)
        .in_guests(),
    // Two events, of a file each and of who wrote it.
    row("read_fanotify", &[("file", 2)]).optional().in_guests(),
    row("read_fanotify_pidfd", &[("file", 2), ("pidfd", 2)])
        .since(5, 15)
        .optional(),
    row("inotify_add_watch", &[]).in_guests(),
    row("io_uring_setup", &[("iouring", 1)])
        .since(5, 1)
        .in_guests(),
    row("uring_openat", FILE).since(5, 6).in_guests(),
    row("uring_openat_async", FILE).since(5, 6).in_guests(),
    row("uring_socket", SOCKET).since(5, 19).in_guests(),
    row("uring_accept", SOCKET).aside(1).since(5, 5),
    row("uring_accept_armed", SOCKET)
        .aside(1)
        .since(5, 5)
        .in_guests(),
    row("uring_accept_multishot", SOCKET)
        .aside(1)
        .since(6, 0)
        .in_guests(),
    row("uring_pipe", &[("pipe", 2)]).since(6, 16).in_guests(),
    row("uring_recvmsg", &[("pipe", 1), ("eventfd", 1)])
        .since(6, 0)
        .in_guests(),
    // Older kernels do not show which descriptor a request closes.
    row("uring_cancelled", FILE).since(5, 15).in_guests(),
    row("uring_close", FILE).since(5, 6).in_guests(),
    row("mmap_anonymous", MAPPING).bytes(LENGTH).in_guests(),
    row("mmap_file", MAPPING).bytes(LENGTH).in_guests(),
    // Two pages of eight were unmapped in the middle: two pieces of one mapping.
    row("mmap_partial", MAPPING)
        .bytes(LENGTH - 2 * 4096)
        .in_guests(),
    row("mmap_fixed", MAPPING).bytes(LENGTH),
    row("mremap", MAPPING).bytes(4 * LENGTH).in_guests(),
    row("munmap_two", &[("mapping", 2)]).bytes(2 * LENGTH),
    row("shmat", MAPPING).bytes(LENGTH),
    row("shmget", &[("shm", 1)]).bytes(LENGTH).in_guests(),
    row("thread", &[("thread", 1), ("mapping", 1)])
        .bytes(LENGTH)
        .in_guests(),
    row("process_fork", PROCESS).x86_64_only(),
    row("process_vfork", PROCESS).x86_64_only(),
    row("process_clone", PROCESS).in_guests(),
    row("process_clone3", PROCESS).since(5, 3),
];
