//! Raw system calls that aya has no safe form of: batched map reads, test runs,
//! program statistics, iterators over one process, and tracepoints given by number.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;

/// Calls bpf(2). `A` is the part of `union bpf_attr` that the command uses.
fn bpf<A>(command: libc::c_int, attributes: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: the pointer and size describe one live object; the kernel checks the
    // rest. Pointers inside are valid for the sizes beside them (see the callers).
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<A>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[repr(C)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    element_flags: u64,
    flags: u64,
}

/// Entries asked for at once.
const BATCH: usize = 4096;

/// Reads a whole hash map (Linux 5.6). Entries that come and go meanwhile may or
/// may not be seen; others are seen once.
///
/// `K` and `V` are the map's own types: plain bytes, any value of which is valid.
pub(super) fn read_map<K: Copy, V: Copy>(
    map: BorrowedFd<'_>,
    mut each: impl FnMut(K, V),
) -> io::Result<()> {
    let mut keys: Vec<K> = Vec::with_capacity(BATCH);
    let mut values: Vec<V> = Vec::with_capacity(BATCH);
    let mut position: Option<u32> = None;
    loop {
        let mut from = position.unwrap_or(0);
        let mut to = 0u32;
        let mut attributes = BatchAttributes {
            in_batch: if position.is_some() {
                (&raw mut from) as u64
            } else {
                0
            },
            out_batch: (&raw mut to) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: BATCH as u32,
            map_fd: map.as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        let result = bpf(BPF_MAP_LOOKUP_BATCH, &mut attributes);
        let done = match &result {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(_) => {
                result?;
                return Ok(());
            }
        };
        let count = (attributes.count as usize).min(BATCH);
        // SAFETY: the kernel wrote `count` keys and values into these buffers, which
        // have room for BATCH; both types are plain bytes.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        for (key, value) in keys.drain(..).zip(values.drain(..)) {
            each(key, value);
        }
        if done {
            return Ok(());
        }
        position = Some(to);
    }
}

#[repr(C)]
#[derive(Default)]
struct TestRunAttributes {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    reserved: u32,
}

/// Runs a raw tracepoint program once with these arguments (Linux 5.10).
pub(super) fn run_program(program: BorrowedFd<'_>, arguments: &[u64]) -> io::Result<()> {
    let mut attributes = TestRunAttributes {
        prog_fd: program.as_raw_fd() as u32,
        ctx_size_in: size_of_val(arguments) as u32,
        ctx_in: arguments.as_ptr() as u64,
        ..TestRunAttributes::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attributes).map(drop)
}

#[repr(C)]
struct LinkAttributes {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    iter_info: u64,
    iter_info_len: u32,
    reserved: u32,
}

#[repr(C)]
struct IterAttributes {
    link_fd: u32,
    flags: u32,
}

/// `BPF_TRACE_ITER`, include/uapi/linux/bpf.h.
const TRACE_ITER: u32 = 28;

/// Ties an iterator's program to what it goes through: to all tasks, or to one process (since
/// 6.1; before that `E2BIG`). [`iterate`] makes the descriptors to read from.
pub(super) fn link_iterator(program: BorrowedFd<'_>, tgid: Option<u32>) -> io::Result<OwnedFd> {
    // `union bpf_iter_link_info`, as of 6.1: a thread, a process, a pidfd.
    let only = [0u32, tgid.unwrap_or(0), 0, 0];
    let mut attributes = LinkAttributes {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: TRACE_ITER,
        flags: 0,
        iter_info: 0,
        iter_info_len: 0,
        reserved: 0,
    };
    if tgid.is_some() {
        attributes.iter_info = only.as_ptr() as u64;
        attributes.iter_info_len = size_of_val(&only) as u32;
    }
    let link = bpf(BPF_LINK_CREATE, &mut attributes)?;
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(link as i32) })
}

/// A pass of an iterator: a file that yields what its program writes (Linux 5.8).
pub(super) fn iterate(link: BorrowedFd<'_>) -> io::Result<std::fs::File> {
    let mut attributes = IterAttributes {
        link_fd: link.as_raw_fd() as u32,
        flags: 0,
    };
    let pass = bpf(BPF_ITER_CREATE, &mut attributes)?;
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(pass as i32) }.into())
}

/// The length of a tick of the kernel's clock (jiffies) in nanoseconds: the coarse clock moves
/// by that much (kernel/time/posix-timers.c, `posix_get_coarse_res`).
pub(super) fn tick() -> u64 {
    let mut resolution = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one live object; this clock always exists.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) };
    resolution.tv_nsec as u64
}

#[repr(C)]
struct InfoAttributes {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// What the kernel keeps about a program (`struct bpf_prog_info`,
/// include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProgramFacts {
    /// Runs that were skipped because the program was running on that CPU already
    /// (since 5.12).
    pub(super) missed: u64,
    /// Instructions that the verifier walked (since 5.16).
    pub(super) verified: u32,
}

/// Reads a program's statistics; zeros where the kernel is too old to tell.
pub(super) fn program_facts(program: BorrowedFd<'_>) -> io::Result<ProgramFacts> {
    const MISSED_AT: usize = 208;
    const VERIFIED_AT: usize = 216;
    let mut info = [0u8; 232];
    let mut attributes = InfoAttributes {
        bpf_fd: program.as_raw_fd() as u32,
        info_len: info.len() as u32,
        info: info.as_mut_ptr() as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    let mut missed = [0; 8];
    missed.copy_from_slice(&info[MISSED_AT..MISSED_AT + 8]);
    let mut verified = [0; 4];
    verified.copy_from_slice(&info[VERIFIED_AT..VERIFIED_AT + 4]);
    Ok(ProgramFacts {
        missed: u64::from_ne_bytes(missed),
        verified: u32::from_ne_bytes(verified),
    })
}

/// The first 64 bytes of `struct perf_event_attr` (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct PerfAttributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    bits: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

const _: () = assert!(size_of::<PerfAttributes>() == 64);

const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;

/// Attaches a program to the classic tracepoint with this number. It runs for the
/// tracepoint on every CPU, and until the descriptor is closed.
pub(super) fn attach_tracepoint(id: u64, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = PerfAttributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<PerfAttributes>() as u32,
        config: id,
        sample_period: 1,
        wakeup_events: 1,
        ..PerfAttributes::default()
    };
    // SAFETY: one live object whose size is in it; the other arguments are numbers.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            -1,
            0,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    let event = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
    for (request, argument) in [
        (PERF_EVENT_IOC_SET_BPF, program.as_raw_fd()),
        (PERF_EVENT_IOC_ENABLE, 0),
    ] {
        // SAFETY: both requests take a number.
        if unsafe { libc::ioctl(event.as_raw_fd(), request, argument) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(event)
}

/// A fanotify descriptor that watches nothing.
pub(super) fn fanotify() -> io::Result<OwnedFd> {
    const FAN_CLOEXEC: libc::c_uint = 1;
    // SAFETY: only numbers are passed.
    let descriptor = unsafe { libc::fanotify_init(FAN_CLOEXEC, libc::O_RDONLY as libc::c_uint) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Kernels before 5.11 charge BPF memory to this limit; later ones do not, so that
/// a refusal means nothing.
pub(super) fn raise_memlock() {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: one live object.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } != 0 {
        tracing::debug!("the limit of locked memory stays as it is");
    }
}

/// Now, in nanoseconds of `CLOCK_MONOTONIC`, the programs' clock.
#[must_use]
pub fn monotonic_now() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one live object; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What the calling thread has used of processors, in nanoseconds.
#[must_use]
pub fn processor_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one live object. Every thread has this clock (Linux 2.6.12).
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Has the calling thread scheduled before others: events wait in a buffer of limited
/// size, and it is on a busy host that they are asked about. Threads and processes that
/// it starts later inherit that. Where it is not allowed nothing changes.
pub fn run_before_others() {
    const NICE: libc::c_int = -10;
    // SAFETY: only numbers are passed; 0 is the calling thread (setpriority(2), "C
    // library/kernel differences").
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    if result != 0 {
        tracing::debug!("the priority stays as it is");
    }
}

/// The time that all threads of a process spent on processors, in nanoseconds. `None` where there
/// is no such process.
#[must_use]
pub fn worked(pid: u32) -> Option<u64> {
    // A clock of another process, include/linux/posix-timers_types.h: the complement of its
    // number, shifted, and CPUCLOCK_SCHED.
    let clock = (!(pid as libc::clockid_t)) << 3 | 2;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one live object.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
