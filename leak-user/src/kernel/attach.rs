//! Which program goes where. Essential hooks fail the start; optional ones are
//! listed with the reason.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use aya::{
    Btf, BtfError, Ebpf,
    programs::{BtfTracePoint, Iter, Program, ProgramError, RawTracePoint, TracePoint},
};
use leak_common::{
    config::{ABSENT, Offsets},
    syscalls::TABLE,
};

use super::{
    LoadError, TraceFs,
    borrowers::SOCKET_SENT,
    iterators::{DESCRIPTOR_USES, TABLE_COUNTS},
    sys,
};

/// What a hook serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Acquisitions, at the end of system calls.
    Acquisitions,
    /// Releases, at the beginning of system calls.
    Releases,
    /// Processes and threads.
    Lifecycle,
    /// io_uring requests.
    Uring,
    /// Promotion out of the young table.
    Promotion,
    /// When descriptors were used last: run when it is asked.
    Uses,
    /// Who sends on sockets of pools: attached while one is watched.
    Borrowers,
    /// How many descriptors processes have: run now and then.
    Counts,
}

/// A hook and whether it is in place.
#[derive(Debug)]
pub struct Attached {
    pub hook: Hook,
    /// The tracepoint, as `category:name`.
    pub name: String,
    /// Why it is not in place; `None` where it is.
    pub missing: Option<String>,
    /// Instructions the verifier walked for its program, 0 where unknown.
    pub verified_instructions: u32,
    /// The program, and how long the kernel took to verify and translate it; zero
    /// where it was loaded for an earlier hook.
    pub program: &'static str,
    pub load: Duration,
    /// Keeps a classic tracepoint attached.
    event: Option<OwnedFd>,
}

impl Attached {
    fn placed(
        hook: Hook,
        name: &str,
        verified_instructions: u32,
        program: &'static str,
        load: Duration,
    ) -> Attached {
        let name = name.to_owned();
        Attached {
            hook,
            name,
            missing: None,
            verified_instructions,
            program,
            load,
            event: None,
        }
    }

    fn missing(hook: Hook, name: &str, reason: String) -> Attached {
        let missing = Some(reason);
        Attached {
            hook,
            name: name.to_owned(),
            missing,
            verified_instructions: 0,
            program: "",
            load: Duration::ZERO,
            event: None,
        }
    }
}

/// BTF tracepoints: program, tracepoint.
const LIFECYCLE: [(&str, &str); 4] = [
    ("process_fork", "sched_process_fork"),
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
    ("process_free", "sched_process_free"),
];

/// Attaches everything, releases before acquisitions: a release that was not
/// acquired in sight is harmless, the reverse is not.
pub(super) fn attach_all(
    ebpf: &mut Ebpf,
    btf: &Btf,
    tracefs: Option<&TraceFs>,
    offsets: &Offsets,
) -> Result<Vec<Attached>, LoadError> {
    let mut hooks = vec![
        load_run(ebpf, "expire")?,
        load_run(ebpf, "learn")?,
        load_iterator(ebpf, btf, Hook::Uses, DESCRIPTOR_USES, "task_file"),
        load_iterator(ebpf, btf, Hook::Counts, TABLE_COUNTS, "task"),
    ];
    hooks.extend(load_borrowers(ebpf, btf));
    for (program, tracepoint) in LIFECYCLE {
        hooks.push(attach_btf(ebpf, btf, Hook::Lifecycle, program, tracepoint)?);
    }
    attach_releases(ebpf, btf, tracefs, &mut hooks)?;
    attach_uring(ebpf, tracefs, offsets, &mut hooks);
    let program = variant(offsets, "syscall_exit", "syscall_exit_by_tree");
    hooks.push(attach_btf(
        ebpf,
        btf,
        Hook::Acquisitions,
        program,
        "sys_exit",
    )?);
    Ok(hooks)
}

/// The program for this kernel: mappings are found in the tree that kernels had
/// before 6.1, or by a helper that all later ones have.
fn variant(offsets: &Offsets, by_lock: &'static str, by_tree: &'static str) -> &'static str {
    if offsets.mm_tree == ABSENT {
        by_lock
    } else {
        by_tree
    }
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> &'e mut Program {
    ebpf.program_mut(name).expect("the object has this program")
}

/// A program that user space runs.
fn load_run(ebpf: &mut Ebpf, name: &'static str) -> Result<Attached, LoadError> {
    let run: &mut RawTracePoint = program(ebpf, name)
        .try_into()
        .expect("a raw tracepoint program");
    let begun = Instant::now();
    run.load()
        .map_err(|error| LoadError::from_program(name, error))?;
    let load = begun.elapsed();
    Ok(Attached::placed(
        Hook::Promotion,
        "(run by leaktrace)",
        verified(program(ebpf, name)),
        name,
        load,
    ))
}

/// An iterator is attached each time that it runs. The kernel may lack it.
fn load_iterator(
    ebpf: &mut Ebpf,
    btf: &Btf,
    hook: Hook,
    (name, shown): (&'static str, &'static str),
    over: &str,
) -> Attached {
    let iterator: &mut Iter = program(ebpf, name)
        .try_into()
        .expect("an iterator's program");
    let begun = Instant::now();
    match iterator.load(over, btf) {
        Ok(()) => Attached::placed(
            hook,
            shown,
            verified(program(ebpf, name)),
            name,
            begun.elapsed(),
        ),
        Err(error) => {
            let error = LoadError::from_program(name, error);
            Attached::missing(hook, shown, error.to_string())
        }
    }
}

/// Loaded now and attached when there is a pool: verifying takes time. `None` on kernels without
/// its tracepoint, before 6.3.
fn load_borrowers(ebpf: &mut Ebpf, btf: &Btf) -> Option<Attached> {
    let (name, tracepoint) = SOCKET_SENT;
    let shown = format!("tp_btf:{tracepoint}");
    let loaded: &mut BtfTracePoint = program(ebpf, name)
        .try_into()
        .expect("a BTF tracepoint program");
    let begun = Instant::now();
    Some(match loaded.load(tracepoint, btf) {
        Ok(()) => {
            let load = begun.elapsed();
            let verified = verified(program(ebpf, name));
            Attached::placed(Hook::Borrowers, &shown, verified, name, load)
        }
        Err(ProgramError::Btf(BtfError::UnknownBtfTypeName { .. })) => return None,
        Err(error) => {
            let error = LoadError::from_program(name, error);
            Attached::missing(Hook::Borrowers, &shown, error.to_string())
        }
    })
}

fn attach_btf(
    ebpf: &mut Ebpf,
    btf: &Btf,
    hook: Hook,
    name: &'static str,
    tracepoint: &str,
) -> Result<Attached, LoadError> {
    let failed = |error| LoadError::from_program(name, error);
    let loaded: &mut BtfTracePoint = program(ebpf, name)
        .try_into()
        .expect("a BTF tracepoint program");
    let begun = Instant::now();
    loaded.load(tracepoint, btf).map_err(failed)?;
    let load = begun.elapsed();
    loaded.attach().map_err(failed)?;
    Ok(Attached::placed(
        hook,
        &format!("tp_btf:{tracepoint}"),
        verified(program(ebpf, name)),
        name,
        load,
    ))
}

/// Classic tracepoints where tracefs is to be had, else one for all calls.
fn attach_releases(
    ebpf: &mut Ebpf,
    btf: &Btf,
    tracefs: Option<&TraceFs>,
    hooks: &mut Vec<Attached>,
) -> Result<(), LoadError> {
    let calls: Vec<&str> = TABLE
        .iter()
        .filter(|row| row.operation.at_enter())
        .map(|row| row.name)
        .collect();
    let mut reason = "tracefs is not available".to_owned();
    if let Some(tracefs) = tracefs {
        match attach_classic_releases(ebpf, tracefs, &calls) {
            Ok(placed) => {
                hooks.extend(placed);
                return Ok(());
            }
            Err(error) => reason = error.to_string(),
        }
    }
    tracing::warn!(
        reason,
        "every system call pays for the hook of the releases"
    );
    hooks.push(attach_btf(
        ebpf,
        btf,
        Hook::Releases,
        "syscall_enter_all",
        "sys_enter",
    )?);
    Ok(())
}

fn attach_classic_releases(
    ebpf: &mut Ebpf,
    tracefs: &TraceFs,
    calls: &[&str],
) -> Result<Vec<Attached>, anyhow::Error> {
    let mut load = load_classic(ebpf, "syscall_enter")?;
    calls
        .iter()
        .map(|call| {
            let name = format!("sys_enter_{call}");
            match tracefs.id("syscalls", &name) {
                Ok(id) => {
                    let load = std::mem::take(&mut load);
                    let loaded = ("syscall_enter", load);
                    attach_classic(ebpf, Hook::Releases, loaded, "syscalls", &name, id)
                }
                // close_range is newer than the oldest supported kernels' siblings;
                // a call that does not exist is not made either.
                Err(error) => Ok(Attached::missing(Hook::Releases, &name, error.to_string())),
            }
        })
        .collect()
}

fn attach_uring(
    ebpf: &mut Ebpf,
    tracefs: Option<&TraceFs>,
    offsets: &Offsets,
    hooks: &mut Vec<Attached>,
) {
    let missing = |reason: String| Attached::missing(Hook::Uring, "io_uring:*", reason);
    let Some(tracefs) = tracefs else {
        hooks.push(missing("tracefs is not available".to_owned()));
        return;
    };
    if offsets.uring_submit_opcode == ABSENT || offsets.uring_complete_res == ABSENT {
        hooks.push(missing(
            "this kernel's io_uring tracepoints are not known".to_owned(),
        ));
        return;
    }
    let submit = tracefs.uring_submit();
    let submit_program = variant(offsets, "uring_submit", "uring_submit_by_tree");
    let mut place = |program: &'static str, name: &str| -> Result<Attached, anyhow::Error> {
        let loaded = (program, load_classic(ebpf, program)?);
        let id = tracefs.id("io_uring", name)?;
        attach_classic(ebpf, Hook::Uring, loaded, "io_uring", name, id)
    };
    // Completions first: a request without its end would wait for ever.
    match place("uring_complete", "io_uring_complete")
        .and_then(|complete| Ok([complete, place(submit_program, submit)?]))
    {
        Ok(placed) => hooks.extend(placed),
        Err(error) => hooks.push(missing(format!("{error:#}"))),
    }
}

fn load_classic(ebpf: &mut Ebpf, name: &str) -> Result<Duration, anyhow::Error> {
    let loaded: &mut TracePoint = program(ebpf, name)
        .try_into()
        .expect("a classic tracepoint program");
    let begun = Instant::now();
    loaded
        .load()
        .map_err(|error| LoadError::from_program(name, error))?;
    Ok(begun.elapsed())
}

fn attach_classic(
    ebpf: &mut Ebpf,
    hook: Hook,
    (program_name, load): (&'static str, Duration),
    category: &str,
    name: &str,
    id: u64,
) -> Result<Attached, anyhow::Error> {
    use std::os::fd::AsFd as _;
    let program = program(ebpf, program_name);
    let event = sys::attach_tracepoint(id, program.fd()?.as_fd())?;
    let name = format!("{category}:{name}");
    let mut attached = Attached::placed(hook, &name, verified(program), program_name, load);
    attached.event = Some(event);
    Ok(attached)
}

fn verified(program: &Program) -> u32 {
    use std::os::fd::AsFd as _;
    program
        .fd()
        .ok()
        .and_then(|fd| sys::program_facts(fd.as_fd()).ok())
        .map_or(0, |facts| facts.verified)
}
