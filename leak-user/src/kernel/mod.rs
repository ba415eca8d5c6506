//! The kernel side as user space sees it: loads and attaches the programs, reads
//! their maps. The only module that knows aya.

mod attach;
mod borrowers;
mod btf;
pub mod decode;
mod error;
mod features;
mod iterators;
mod logs;
mod maps;
mod own_limits;
mod ring;
mod sys;
mod tables;
mod tracefs;

pub use attach::{Attached, Hook};
pub use borrowers::{Borrowed, Watch};
pub use error::LoadError;
pub use features::{Capability, missing_capabilities};
pub use iterators::{Connection, Last, Used};
pub use logs::forward_logs;
pub use maps::{Counters, YoungEntry};
pub use own_limits::{descriptor_limit, original_descriptor_limits, raise_descriptor_limit};
pub use ring::RingReader;
pub use sys::{monotonic_now, processor_time, run_before_others, worked};
pub use tables::TableMaps;
pub use tracefs::TraceFs;

use std::{fs::File, os::fd::AsFd as _, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader,
    maps::{CgroupArray, MapData, RingBuf},
    programs::tp_btf::BtfTracePointLink,
};
use leak_common::{
    Config, KindSet,
    config::{Offsets, flags, target},
    limits::{MAX_COMMS, RING_BYTES},
    syscalls::{Action, actions},
    unwind::{CHUNK_PAGES, CHUNK_ROWS},
};

/// The programs, as built by `cargo xtask build`. Empty in a build without the
/// eBPF toolchain.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/leaktrace.o"));

/// What to trace.
#[derive(Clone, Debug)]
pub struct Options {
    pub kinds: KindSet,
    /// Size of the ring buffer: a power of two, and a multiple of the page size.
    pub ring_bytes: u32,
    /// Only processes given to [`Tracer::add_target`] as chosen by pid, and their descendants.
    pub by_pid: bool,
    /// Only processes with one of these names (at most 8, at most 15 bytes each).
    pub comms: Vec<String>,
    /// Only processes in this cgroup (version 2) or below.
    pub cgroup: Option<PathBuf>,
    /// Children of this process become targets.
    pub follow_own_children: bool,
    /// The ring's reader is woken for each record.
    pub prompt: bool,
    /// Every acquisition and release goes through the ring.
    pub all_events: bool,
    /// Memory for unwind tables in bytes, a quarter of which is for their directory.
    pub stack_memory: u64,
    /// No stacks are taken.
    pub no_stacks: bool,
    /// Stacks go through the ring with what they were taken from.
    pub stack_samples: bool,
    /// The programs log what is odd.
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            kinds: KindSet::ALL,
            ring_bytes: RING_BYTES,
            by_pid: false,
            comms: Vec::new(),
            cgroup: None,
            follow_own_children: false,
            prompt: false,
            all_events: false,
            stack_memory: 16 << 20,
            no_stacks: false,
            stack_samples: false,
            verbose: false,
        }
    }
}

/// The loaded programs and their maps. Dropping it detaches and unloads them; so
/// does the end of the process, however it comes.
pub struct Tracer {
    ebpf: Ebpf,
    btf: aya::Btf,
    /// Bits that the entry of a traced process must have; 0 without such filters.
    required_targets: u32,
    offsets: Offsets,
    tracefs: Option<TraceFs>,
    hooks: Vec<Attached>,
    /// What the programs have in `EMIT_BEFORE`.
    emit_before: u64,
    /// Keeps the program attached that says who borrows from pools.
    borrowers: Option<BtfTracePointLink>,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer")
            .field("hooks", &self.hooks)
            .finish_non_exhaustive()
    }
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodConfig(Config);
// SAFETY: only integers and arrays of them, without padding (asserted beside the type).
unsafe impl aya::Pod for PodConfig {}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodAction(Action);
// SAFETY: four bytes.
unsafe impl aya::Pod for PodAction {}

impl Tracer {
    /// Loads the programs; nothing is traced yet.
    ///
    /// # Errors
    /// What is missing: a privilege, a feature of the kernel, or the programs
    /// themselves in a build without them.
    pub fn load(options: &Options) -> Result<Tracer, LoadError> {
        if OBJECT.is_empty() {
            return Err(LoadError::NotBuilt);
        }
        features::check()?;
        own_limits::check()?;
        sys::raise_memlock();
        let kernel = btf::KernelTypes::read()?;
        let mut offsets = kernel.offsets()?;
        let tracefs = TraceFs::open()
            .inspect_err(|error| tracing::debug!(%error, "no tracefs"))
            .ok();
        if let Some(tracefs) = &tracefs {
            tracefs::uring_offsets(tracefs, &mut offsets);
        }
        let config = PodConfig(config(options, offsets));
        let rows = actions(cfg!(target_arch = "aarch64")).map(PodAction);
        let log_level: u8 = if options.verbose { 4 } else { 0 };
        let btf = aya::Btf::from_sys_fs().map_err(|error| LoadError::kernel("BTF", &error))?;
        let ebpf = EbpfLoader::new()
            .btf(Some(&btf))
            .override_global("CONFIG", &config, true)
            .override_global("ACTIONS", &rows[..], true)
            .override_global("AYA_LOG_LEVEL", &log_level, false)
            .map_max_entries("RING", options.ring_bytes)
            .map_max_entries("ROWS", chunks(options.stack_memory / 4 * 3, CHUNK_ROWS * 4))
            .map_max_entries(
                "DIRECTORY",
                chunks(options.stack_memory / 4, CHUNK_PAGES * 8),
            )
            .load(OBJECT)
            .map_err(|error| LoadError::from_aya("the eBPF object", error))?;
        let mut tracer = Tracer {
            ebpf,
            btf,
            required_targets: config.0.required_targets,
            offsets,
            tracefs,
            hooks: Vec::new(),
            emit_before: 0,
            borrowers: None,
        };
        tracer.set_emit_before(u64::MAX)?;
        if let Some(path) = &options.cgroup {
            tracer.set_cgroup(path)?;
        }
        Ok(tracer)
    }

    /// Attaches every hook. What is optional and missing is in the result.
    ///
    /// # Errors
    /// An essential hook cannot be attached.
    pub fn attach(&mut self) -> Result<&[Attached], LoadError> {
        self.hooks = attach::attach_all(
            &mut self.ebpf,
            &self.btf,
            self.tracefs.as_ref(),
            &self.offsets,
        )?;
        Ok(&self.hooks)
    }

    /// Whether the hook of an optional program is in place.
    fn has(&self, program: &str) -> bool {
        let mut hooks = self.hooks.iter();
        hooks.any(|hook| hook.program == program && hook.missing.is_none())
    }

    /// The ring's consumer; it can be taken once.
    ///
    /// # Errors
    /// The ring was taken before, or cannot be mapped.
    pub fn take_ring(&mut self) -> anyhow::Result<RingBuf<MapData>> {
        let map = self
            .ebpf
            .take_map("RING")
            .ok_or_else(|| anyhow::anyhow!("the ring buffer is taken already"))?;
        Ok(RingBuf::try_from(map)?)
    }

    fn set_cgroup(&mut self, path: &std::path::Path) -> Result<(), LoadError> {
        let directory = File::open(path).map_err(|error| {
            LoadError::Input(format!("cannot open cgroup {}: {error}", path.display()))
        })?;
        let map = self
            .ebpf
            .map_mut("CGROUPS")
            .expect("the object has this map");
        CgroupArray::try_from(map)
            .and_then(|mut cgroups| cgroups.set(0, directory.as_fd(), 0))
            .map_err(|error| {
                LoadError::Input(format!(
                    "{} is not a cgroup of version 2 ({error}): give a directory below the \
                     mount point of cgroup2",
                    path.display()
                ))
            })
    }
}

/// How many chunks of a size fit, at least one.
fn chunks(bytes: u64, chunk: usize) -> u32 {
    u32::try_from(bytes / chunk as u64)
        .unwrap_or(u32::MAX)
        .clamp(1, 1 << 14)
}

fn config(options: &Options, offsets: Offsets) -> Config {
    let mut set = 0;
    let mut required = 0;
    let mut bit = |on: bool, flag: u32| set |= if on { flag } else { 0 };
    bit(options.all_events, flags::ALL_EVENTS);
    bit(options.cgroup.is_some(), flags::FILTER_CGROUP);
    bit(options.follow_own_children, flags::FOLLOW_OWN_CHILDREN);
    bit(options.prompt, flags::PROMPT);
    bit(options.stack_samples, flags::STACK_SAMPLES);
    bit(options.no_stacks, flags::NO_STACKS);
    bit(features::has_typed_task(), flags::TYPED_TASK);
    bit(features::has_task_registers(), flags::TASK_REGISTERS);
    if options.by_pid || options.follow_own_children {
        required |= target::BY_PID;
    }
    if !options.comms.is_empty() {
        required |= target::BY_COMM;
    }
    bit(required != 0, flags::FILTER_TARGETS);
    let mut comms = [[0; 16]; MAX_COMMS];
    for (slot, comm) in comms.iter_mut().zip(&options.comms) {
        let bytes = comm.as_bytes();
        let length = bytes.len().min(15);
        slot[..length].copy_from_slice(&bytes[..length]);
    }
    Config {
        own_tgid: std::process::id(),
        flags: set,
        kinds: options.kinds.bits(),
        required_targets: required,
        comms,
        offsets,
    }
}
