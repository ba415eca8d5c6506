//! An iterator over the open descriptors of processes (`iter/task_file`, Linux 5.8): when each was
//! used last, as far as the kernel keeps that. It runs when user space reads it, and costs nobody
//! anything else.
//!
//! TCP sockets know when they sent and received data last. Keepalive probes carry no data and do
//! not count (net/ipv4/tcp_timer.c). Files know where the next read begins.

use aya_ebpf::helpers::{bpf_jiffies64, generated::bpf_seq_write};
use leak_common::{config::ABSENT, wire::DescriptorUse};

use crate::{
    config::config,
    maps::LOOK_AT,
    memory::{Plain, kernel_or_zero},
    task::Task,
};

/// `struct bpf_iter__task_file`, kernel/bpf/task_iter.c: each field has eight bytes.
#[repr(C)]
pub(crate) struct TaskFile {
    meta: *const Meta,
    task: *const u8,
    descriptor: u32,
    padding: u32,
    file: *const u8,
}

/// The beginning of `struct bpf_iter_meta`, include/linux/bpf.h.
#[repr(C)]
pub(super) struct Meta {
    pub(super) output: *mut u8,
}

/// `S_IFMT` and `S_IFSOCK`, include/uapi/linux/stat.h.
const TYPE: u32 = 0o170_000;
const SOCKET: u32 = 0o140_000;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;

/// Writes one [`DescriptorUse`] for each descriptor.
#[unsafe(link_section = "iter/task_file")]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn descriptor_uses(ctx: *const TaskFile) -> i32 {
    tell(ctx);
    0
}

#[inline(always)]
fn tell(ctx: *const TaskFile) -> Option<()> {
    // SAFETY: the context of this type of program; the verifier checks the fields.
    let (task, file) = unsafe { ((*ctx).task, (*ctx).file) };
    // At the end it runs once more, without both.
    if task.is_null() || file.is_null() {
        return None;
    }
    // SAFETY: as above.
    let (meta, descriptor) = unsafe { ((*ctx).meta, (*ctx).descriptor) };
    let tgid = Task::new(task.cast()).tgid()?;
    let wanted = *LOOK_AT.get(0)?;
    if wanted != 0 && wanted != tgid {
        return None;
    }
    let file = file as u64;
    let inode: u64 = kernel_or_zero(file, config!(offsets.file_inode));
    let mode: u16 = kernel_or_zero(inode, config!(offsets.inode_mode));
    let mut row = DescriptorUse {
        tgid,
        descriptor,
        mode: u32::from(mode),
        // SAFETY: a helper without arguments (5.6).
        now: unsafe { bpf_jiffies64() } as u32,
        sent: 0,
        received: 0,
        family: 0,
        protocol: 0,
        state: 0,
        local_port: 0,
        position: known(file, config!(offsets.file_position)),
        bytes_sent: 0,
        bytes_received: 0,
        socket: 0,
        file,
        remote_address: [0; 4],
        remote_port: 0,
        reserved: [0; 3],
    };
    if row.mode & TYPE == SOCKET {
        socket(&mut row, file);
    }
    let size = size_of::<DescriptorUse>() as u32;
    // SAFETY: the output is what the kernel handed over; the row is memory of that size. What
    // does not fit is asked for again by the kernel (seq_file).
    unsafe {
        let output = (*meta).output;
        bpf_seq_write(output.cast(), (&raw mut row).cast(), size)
    };
    Some(())
}

#[inline(always)]
fn socket(row: &mut DescriptorUse, file: u64) {
    let socket: u64 = known(file, config!(offsets.file_private));
    let sock: u64 = known(socket, config!(offsets.socket_sock));
    row.socket = sock;
    row.family = known(sock, config!(offsets.sock_family));
    let state: u8 = known(sock, config!(offsets.sock_state));
    row.state = u16::from(state);
    if row.family != AF_INET && row.family != AF_INET6 {
        return;
    }
    row.protocol = known(sock, config!(offsets.sock_protocol));
    row.local_port = known(sock, config!(offsets.sock_local_port));
    if row.protocol == IPPROTO_TCP {
        row.sent = known(sock, config!(offsets.tcp_sent));
        row.received = known(sock, config!(offsets.tcp_received));
        row.bytes_sent = known(sock, config!(offsets.tcp_bytes_sent));
        row.bytes_received = known(sock, config!(offsets.tcp_bytes_received));
        row.remote_port = known(sock, config!(offsets.sock_remote_port));
        if row.family == AF_INET {
            row.remote_address[0] = known(sock, config!(offsets.sock_remote_address));
        } else {
            row.remote_address = known(sock, config!(offsets.sock_remote_address6));
        }
    }
}

/// A field, zero where this kernel does not have it.
#[inline(always)]
fn known<T: Plain + Default>(base: u64, offset: u32) -> T {
    if offset == ABSENT {
        T::default()
    } else {
        kernel_or_zero(base, offset)
    }
}
