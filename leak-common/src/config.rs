//! What user space tells the programs before they are loaded.
//!
//! The programs hold it in read-only data. The verifier sees constants there and removes what
//! is switched off: a kernel that lacks a helper never sees a call of it.

use crate::limits::MAX_COMMS;

/// An offset that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// The programs' configuration.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// The tracer's own process id: never traced.
    pub own_tgid: u32,
    /// A set of [`flags`].
    pub flags: u32,
    /// Set of [`Kind::bit`](crate::Kind::bit): kinds of which stacks are taken
    /// and which are reported.
    pub kinds: u32,
    /// Bits that a process's entry in the target table must have all of.
    pub required_targets: u32,
    /// Names that select a process, zero-padded; unused ones are all zero.
    pub comms: [[u8; 16]; MAX_COMMS],
    /// Where kernel structures keep what the programs read.
    pub offsets: Offsets,
}

/// Bits of [`Config::flags`].
pub mod flags {
    /// Every acquisition and release goes through the ring.
    pub const ALL_EVENTS: u32 = 1 << 0;
    /// Only processes in the target table are traced.
    pub const FILTER_TARGETS: u32 = 1 << 1;
    /// Only processes in the given cgroup (or below) are traced.
    pub const FILTER_CGROUP: u32 = 1 << 2;
    /// Children of the tracer itself become targets.
    pub const FOLLOW_OWN_CHILDREN: u32 = 1 << 3;
    /// `bpf_get_current_task_btf` exists (5.11).
    pub const TYPED_TASK: u32 = 1 << 4;
    /// `bpf_task_pt_regs` exists (5.15).
    pub const TASK_REGISTERS: u32 = 1 << 5;
    /// The reader is woken for each record: it wants to look at processes that may
    /// not live long.
    pub const PROMPT: u32 = 1 << 6;
    /// Each stack goes through the ring with the registers and memory it was taken
    /// from, to be compared with another unwinder's.
    pub const STACK_SAMPLES: u32 = 1 << 7;
    /// No stacks are taken: a process has one site of each kind.
    pub const NO_STACKS: u32 = 1 << 8;
}

/// Bits of an entry of the target table.
pub mod target {
    /// Selected by its pid, or a descendant of one that is.
    pub const BY_PID: u32 = 1 << 0;
    /// Selected by its name.
    pub const BY_COMM: u32 = 1 << 1;
    /// The bits that these may use. The bits above say when the process began, if the programs
    /// saw it begin, else 0.
    pub const ALL: u32 = 0xff;
}

/// Byte offsets in kernel structures, from the running kernel's BTF, and in the
/// records of classic tracepoints, from their `format` files. [`ABSENT`] where
/// this kernel has no such field.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Offsets {
    pub task_pid: u32,
    pub task_tgid: u32,
    pub task_flags: u32,
    pub task_group_leader: u32,
    pub task_start_boottime: u32,
    pub task_comm: u32,
    pub task_mm: u32,
    pub task_files: u32,
    pub task_signal: u32,
    pub task_nsproxy: u32,
    pub signal_live: u32,
    pub files_fdt: u32,
    pub fdt_max_fds: u32,
    pub fdt_fd: u32,
    pub file_inode: u32,
    pub inode_mode: u32,
    pub nsproxy_ipc: u32,
    pub ipc_inum: u32,
    /// `io_uring_submit_req` (or `_sqe` before 6.3).
    pub uring_submit_ctx: u32,
    pub uring_submit_req: u32,
    pub uring_submit_user_data: u32,
    pub uring_submit_opcode: u32,
    pub uring_submit_flags: u32,
    /// `io_uring_complete`.
    pub uring_complete_ctx: u32,
    pub uring_complete_req: u32,
    pub uring_complete_user_data: u32,
    pub uring_complete_res: u32,
    pub uring_complete_flags: u32,
    /// In the request itself, from its start.
    pub uring_close_fd: u32,
    pub uring_open_slot: u32,
    pub uring_accept_slot: u32,
    pub uring_socket_slot: u32,
    pub uring_accept_multishot: u32,
    /// Flags that say, among others, whether the descriptor closes on exec.
    pub uring_open_flags: u32,
    pub uring_accept_flags: u32,
    pub uring_socket_flags: u32,
    pub uring_install_flags: u32,
    pub uring_pipe_slot: u32,
    pub uring_pipe_flags: u32,
    pub uring_pipe_address: u32,
    pub uring_message_address: u32,
    pub uring_message_flags: u32,
    pub uring_message_multishot: u32,
    /// `thread_info.status` of a task (x86-64 only).
    pub task_status: u32,
    /// The thread pointer (`fsbase`, `tp_value`) of a task that is not running.
    pub task_thread_pointer: u32,
    /// Where the vDSO is mapped.
    pub mm_vdso: u32,
    /// Root of the mappings' tree, before 6.1.
    pub mm_tree: u32,
    /// The program's file.
    pub mm_program: u32,
    pub vma_start: u32,
    pub vma_end: u32,
    pub vma_offset: u32,
    pub vma_flags: u32,
    pub vma_file: u32,
    /// Node in the mappings' tree, before 6.1.
    pub vma_node: u32,
    pub inode_number: u32,
    pub inode_super: u32,
    /// Time of the last change: seconds, and nanoseconds in 32 bits.
    pub inode_changed_seconds: u32,
    pub inode_changed_nanoseconds: u32,
    pub super_device: u32,
    /// Where the next read of an open file begins.
    pub file_position: u32,
    /// What the file is to its kind: a `struct socket` for a socket.
    pub file_private: u32,
    pub socket_sock: u32,
    pub sock_family: u32,
    pub sock_state: u32,
    /// The local port, in the host's byte order.
    pub sock_local_port: u32,
    pub sock_protocol: u32,
    /// When data was sent and received last, in ticks (`lsndtime`, `lrcvtime`).
    pub tcp_sent: u32,
    pub tcp_received: u32,
    pub tcp_bytes_sent: u32,
    pub tcp_bytes_received: u32,
    /// Whom a socket is connected to.
    pub sock_remote_port: u32,
    pub sock_remote_address: u32,
    pub sock_remote_address6: u32,
    /// What can be done with a file: the same for all files of its sort.
    pub file_operations: u32,
    /// Bits, one for each number: whether it is open, and whether it closes on exec.
    pub fdt_open_fds: u32,
    pub fdt_close_on_exec: u32,
}

impl Offsets {
    /// No field is known.
    pub const ABSENT: Offsets = Offsets {
        task_pid: ABSENT,
        task_tgid: ABSENT,
        task_flags: ABSENT,
        task_group_leader: ABSENT,
        task_start_boottime: ABSENT,
        task_comm: ABSENT,
        task_mm: ABSENT,
        task_files: ABSENT,
        task_signal: ABSENT,
        task_nsproxy: ABSENT,
        signal_live: ABSENT,
        files_fdt: ABSENT,
        fdt_max_fds: ABSENT,
        fdt_fd: ABSENT,
        file_inode: ABSENT,
        inode_mode: ABSENT,
        nsproxy_ipc: ABSENT,
        ipc_inum: ABSENT,
        uring_submit_ctx: ABSENT,
        uring_submit_req: ABSENT,
        uring_submit_user_data: ABSENT,
        uring_submit_opcode: ABSENT,
        uring_submit_flags: ABSENT,
        uring_complete_ctx: ABSENT,
        uring_complete_req: ABSENT,
        uring_complete_user_data: ABSENT,
        uring_complete_res: ABSENT,
        uring_complete_flags: ABSENT,
        uring_close_fd: ABSENT,
        uring_open_slot: ABSENT,
        uring_accept_slot: ABSENT,
        uring_socket_slot: ABSENT,
        uring_accept_multishot: ABSENT,
        uring_open_flags: ABSENT,
        uring_accept_flags: ABSENT,
        uring_socket_flags: ABSENT,
        uring_install_flags: ABSENT,
        uring_pipe_slot: ABSENT,
        uring_pipe_flags: ABSENT,
        uring_pipe_address: ABSENT,
        uring_message_address: ABSENT,
        uring_message_flags: ABSENT,
        uring_message_multishot: ABSENT,
        task_status: ABSENT,
        task_thread_pointer: ABSENT,
        mm_vdso: ABSENT,
        mm_tree: ABSENT,
        mm_program: ABSENT,
        vma_start: ABSENT,
        vma_end: ABSENT,
        vma_offset: ABSENT,
        vma_flags: ABSENT,
        vma_file: ABSENT,
        vma_node: ABSENT,
        inode_number: ABSENT,
        inode_super: ABSENT,
        inode_changed_seconds: ABSENT,
        inode_changed_nanoseconds: ABSENT,
        super_device: ABSENT,
        file_position: ABSENT,
        file_private: ABSENT,
        socket_sock: ABSENT,
        sock_family: ABSENT,
        sock_state: ABSENT,
        sock_local_port: ABSENT,
        sock_protocol: ABSENT,
        tcp_sent: ABSENT,
        tcp_received: ABSENT,
        tcp_bytes_sent: ABSENT,
        tcp_bytes_received: ABSENT,
        sock_remote_port: ABSENT,
        sock_remote_address: ABSENT,
        sock_remote_address6: ABSENT,
        file_operations: ABSENT,
        fdt_open_fds: ABSENT,
        fdt_close_on_exec: ABSENT,
    };
}

impl Config {
    /// What the programs hold until user space overrides it. The odd values keep
    /// the compiler from folding these fields into other constants.
    pub const UNSET: Config = Config {
        own_tgid: 0x5ead_0002,
        flags: 0x5ead_0003,
        kinds: 0x5ead_0004,
        required_targets: 0x5ead_0005,
        comms: [[0x5e; 16]; MAX_COMMS],
        offsets: Offsets::ABSENT,
    };
}

const _: () = assert!(size_of::<Offsets>() == 76 * 4);
const _: () = assert!(size_of::<Config>() == 16 + 16 * MAX_COMMS + size_of::<Offsets>());
