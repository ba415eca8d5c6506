//! Names for addresses: function, file, line, and what was inlined.
//!
//! A process is learned while it lives: where its code lies, and which files it
//! came from, which are then kept open. From that its stacks are symbolized, also
//! after its end. Nothing a process can put into a file makes this panic, wait
//! or take memory without bound; it can only give itself wrong names.

mod call_site;
mod demangle;
mod elf;
mod go;
mod image;
mod modules;
mod pclntab;
mod perf_map;
mod separate;
mod snapshot;
mod symbols;
#[cfg(test)]
mod tests;
mod vdso;

use std::{collections::HashMap, path::PathBuf, rc::Rc};

use leak_common::ProcessId;

use self::{
    call_site::Kind,
    modules::{ModuleId, Modules},
    perf_map::PerfMap,
    snapshot::{MAX_REGIONS, Place, Region, Snapshot},
    symbols::Name,
};
use crate::{proc::Proc, report::model::Frame};

/// What a [`Symbolizer`] may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files kept open for processes that may have exited: one descriptor each, or
    /// two where debug information lies among the files of the process.
    pub pinned_files: usize,
    /// Files whose symbols are in memory at a time: two descriptors each.
    pub loaded_files: usize,
    /// Bytes of symbols and DWARF in memory, apart from indexes of about the
    /// same size.
    pub symbol_bytes: u64,
    /// Bytes of one file's symbols and DWARF. Beyond it goes without DWARF: an
    /// index of a very large program takes seconds and gigabytes.
    pub file_bytes: u64,
    /// Addresses whose names are remembered.
    pub known_addresses: usize,
    /// Processes whose mappings are remembered.
    pub processes: usize,
    /// Bytes of perf maps.
    pub perf_map_bytes: usize,
    /// Where separate debug information is installed.
    pub debug_directory: PathBuf,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pinned_files: 512,
            loaded_files: 64,
            symbol_bytes: 512 << 20,
            file_bytes: 256 << 20,
            known_addresses: 65_536,
            processes: 4096,
            perf_map_bytes: 128 << 20,
            debug_directory: PathBuf::from("/usr/lib/debug"),
        }
    }
}

/// A stack with names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Symbolized {
    /// Innermost first; an inlined function before the one it is in.
    pub frames: Vec<Frame>,
    /// An address lay in no code, and it and its callers were dropped: walks by
    /// frame pointers end like that in code built without them.
    pub cut: bool,
}

/// Which program of a process: counts its calls of exec.
type Generation = u32;

/// Learns processes and symbolizes their stacks. It is for one thread.
#[derive(Debug)]
pub struct Symbolizer {
    limits: Limits,
    modules: Modules,
    snapshots: HashMap<(ProcessId, Generation), Snapshot>,
    clock: u64,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Symbolizer::new(Limits::default())
    }
}

impl Symbolizer {
    /// Knows no process yet.
    #[must_use]
    pub fn new(limits: Limits) -> Symbolizer {
        Symbolizer {
            modules: Modules::new(limits.clone()),
            limits,
            snapshots: HashMap::new(),
            clock: 0,
        }
    }

    /// Takes a snapshot of a living process's code and pins its files; again to
    /// take in what was mapped since. False where the process is gone. Costs about
    /// a tenth of a millisecond, and the reading of a perf map that grew.
    pub fn learn(&mut self, proc: &Proc, process: ProcessId, generation: Generation) -> bool {
        let pid = process.pid();
        if proc.identity(pid) != Some(process) {
            return false;
        }
        let Some(mappings) = proc.mappings(pid) else {
            return false;
        };
        let executable = mappings.iter().filter(|mapping| mapping.is_executable());
        let regions = executable.take(MAX_REGIONS).map(|mapping| {
            let module = match mapping.inode {
                0 if mapping.path == vdso::NAME => self.modules.vdso(mapping),
                0 => None,
                _ => self.modules.pin(proc, pid, mapping),
            };
            Region::new(mapping, module)
        });
        let mut snapshot = Snapshot {
            regions: regions.collect(),
            ..Snapshot::default()
        };
        let key = (process, generation);
        let earlier = self.snapshots.get(&key);
        if snapshot.regions.iter().any(Region::may_be_generated) {
            let known = earlier.and_then(|earlier| earlier.perf_map.clone());
            snapshot.perf_map = match PerfMap::read(proc, pid, known.as_deref()) {
                Ok(Some(new)) => Some(Rc::new(new)),
                Ok(None) | Err(_) => known,
            };
        }
        // The pid may have been reused while all this was read.
        if proc.identity(pid) != Some(process) {
            return false;
        }
        if let Some(earlier) = earlier {
            snapshot.keep_unmapped(earlier);
        }
        self.store(key, snapshot);
        true
    }

    /// Gives a new process what is known of its parent: until it calls exec, its
    /// code lies where the parent's does.
    pub fn inherit(&mut self, parent: (ProcessId, Generation), child: (ProcessId, Generation)) {
        if let Some(snapshot) = self.snapshots.get(&parent).cloned() {
            self.store(child, snapshot);
        }
    }

    /// Whether a process was learned and every address of a stack lies in code
    /// that was seen. If not, [`learn`](Self::learn) may help; garbage stays
    /// uncovered, so not too often.
    #[must_use]
    pub fn covers(&self, process: ProcessId, generation: Generation, frames: &[u64]) -> bool {
        let Some(snapshot) = self.snapshots.get(&(process, generation)) else {
            return false;
        };
        frames.iter().all(|frame| {
            let address = before(*frame);
            let Some(region) = snapshot.region(address) else {
                return false;
            };
            let named = |map: &Rc<PerfMap>| map.name(address).is_some();
            !region.may_be_generated() || snapshot.perf_map.as_ref().is_none_or(named)
        })
    }

    /// Names a stack of addresses, innermost first. The first one follows a system
    /// call or is where a function was entered, which the code before it tells
    /// apart. The others are where calls return to; what returns from a signal
    /// handler is known by its code, and its caller is where the signal came in.
    /// Without a snapshot there are addresses only.
    pub fn symbolize(
        &mut self,
        process: ProcessId,
        generation: Generation,
        frames: &[u64],
    ) -> Symbolized {
        self.clock += 1;
        let mut symbolized = Symbolized::default();
        let Some(snapshot) = self.snapshots.get_mut(&(process, generation)) else {
            symbolized.frames = frames.iter().map(|frame| bare(*frame)).collect();
            return symbolized;
        };
        snapshot.used = self.clock;
        let mut kind = Kind::Innermost;
        for address in frames {
            let Some(region) = snapshot.region_of(*address, kind) else {
                symbolized.cut = true;
                break;
            };
            let perf_map = snapshot.perf_map.as_deref();
            let found = named(&mut self.modules, region, perf_map, *address, kind);
            symbolized.frames.extend(found.frames);
            kind = match found.returns_from_signal {
                true => Kind::Interrupted,
                false => Kind::Caller,
            };
        }
        symbolized
    }

    /// The name, as it is in its file, of the function that a caller's address lies
    /// in; not of one inlined into it. To be compared, not shown.
    pub fn function_name(
        &mut self,
        process: ProcessId,
        generation: Generation,
        address: u64,
    ) -> Option<String> {
        let snapshot = self.snapshots.get(&(process, generation))?;
        let region = snapshot.region_of(address, Kind::Caller)?;
        let (Place::File { module, .. } | Place::Kernel { module, .. }) = &region.place else {
            return None;
        };
        let names = self
            .modules
            .names((*module)?, region.file_offset(address), Kind::Caller);
        let outermost = names.names.last()?;
        Some(outermost.raw.to_string())
    }

    /// Drops what is known of a process. Its files stay until others need the room.
    pub fn forget(&mut self, process: ProcessId) {
        self.snapshots.retain(|(other, _), _| *other != process);
    }

    fn store(&mut self, key: (ProcessId, Generation), mut snapshot: Snapshot) {
        self.clock += 1;
        snapshot.used = self.clock;
        self.snapshots.insert(key, snapshot);
        while self.snapshots.len() > self.limits.processes.max(1) {
            let oldest = self.snapshots.iter().min_by_key(|(_, other)| other.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            self.snapshots.remove(&oldest);
        }
        self.bound_perf_maps();
    }

    /// Drops the perf maps not used for longest until the rest fits.
    fn bound_perf_maps(&mut self) {
        let mut by_use: Vec<_> = self
            .snapshots
            .values_mut()
            .filter(|snapshot| snapshot.perf_map.is_some())
            .collect();
        by_use.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.used));
        let mut bytes = 0;
        for snapshot in by_use {
            bytes += snapshot.perf_map.as_ref().map_or(0, |map| map.bytes());
            if bytes > self.limits.perf_map_bytes {
                snapshot.perf_map = None;
            }
        }
    }
}

/// An address within the call that returns to `address`.
fn before(address: u64) -> u64 {
    address.saturating_sub(1)
}

/// A frame of which nothing is known.
fn bare(address: u64) -> Frame {
    Frame {
        address: format!("{address:#x}"),
        ..Frame::default()
    }
}

/// What is found at one address.
struct Found {
    frames: Vec<Frame>,
    returns_from_signal: bool,
}

/// The frames at an address of a region.
fn named(
    modules: &mut Modules,
    region: &Region,
    perf_map: Option<&PerfMap>,
    address: u64,
    kind: Kind,
) -> Found {
    let generated = || {
        let instruction = match kind {
            Kind::Interrupted => address,
            Kind::Innermost | Kind::Caller => before(address),
        };
        let name = region
            .may_be_generated()
            .then(|| perf_map?.name(instruction));
        name.flatten().unwrap_or_default().to_owned()
    };
    let (module, path) = match &region.place {
        Place::File { module, path } => (module, path),
        Place::Kernel { module, name } => (module, name),
        Place::Anonymous => {
            return Found::one(Frame {
                symbol: generated(),
                ..bare(address)
            });
        }
    };
    let offset = region.file_offset(address);
    let frame = Frame {
        module: path.to_string(),
        module_offset: Some(format!("{offset:#x}")),
        symbol: generated(),
        ..bare(address)
    };
    match (module, frame.symbol.as_str()) {
        (Some(module), "") => in_module(modules, *module, offset, kind, frame),
        _ => Found::one(frame),
    }
}

impl Found {
    fn one(frame: Frame) -> Found {
        Found {
            frames: vec![frame],
            returns_from_signal: false,
        }
    }
}

fn in_module(
    modules: &mut Modules,
    module: ModuleId,
    offset: u64,
    kind: Kind,
    frame: Frame,
) -> Found {
    let found = modules.names(module, offset, kind);
    let frame = Frame {
        build_id: found.build_id.map(|id| id.to_string()),
        ..frame
    };
    let with_name = |name: &Name| Frame {
        symbol: name.symbol.clone(),
        file: name.file.clone(),
        line: name.line,
        inlined: name.inlined,
        ..frame.clone()
    };
    Found {
        frames: match found.names.is_empty() {
            true => vec![frame],
            false => found.names.iter().map(with_name).collect(),
        },
        returns_from_signal: found.returns_from_signal,
    }
}
