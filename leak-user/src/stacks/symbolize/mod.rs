//! Names for addresses: function, file, line, and what was inlined.
//!
//! A process is learned while it lives: where its code lies, and from which files it came.
//! Those files are kept open, so that stacks are named also after the process's end. Nothing a process can put into a file makes this panic, wait
//! or take memory without bound; it can only give itself wrong names.

mod call_site;
mod code_map;
mod code_maps;
mod demangle;
mod elf;
mod frames;
mod go;
mod memory_file;
mod modules;
mod pclntab;
mod perf_map;
mod seen_mapping;
mod separate;
mod symbol_copy;
mod symbols;
#[cfg(test)]
mod tests;
mod vdso;

use std::{fs::File, path::PathBuf, rc::Rc};

use leak_common::ProcessId;

use self::{
    call_site::Role,
    code_map::{CodeMap, MAX_MAPPINGS},
    code_maps::CodeMaps,
    frames::{bare, before, named},
    modules::Modules,
    perf_map::PerfMap,
    seen_mapping::{Backing, SeenMapping},
};
use crate::{
    model::{address::AddressRange, report::Frame, time::Nanos},
    proc::{Mapping, Proc, VDSO},
    stacks::MappedCode,
};

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
    /// Processes whose mappings are remembered: as many as may hold something, and those that did when
    /// they ended.
    pub processes: usize,
    /// Mappings with code that are remembered, of all processes together: some 100 bytes each. Those
    /// that a child shares with its parent count twice, and take no room.
    pub mappings: usize,
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
            processes: 65_536,
            mappings: 1 << 20,
            perf_map_bytes: 128 << 20,
            debug_directory: PathBuf::from("/usr/lib/debug"),
        }
    }
}

/// Why the code at an address is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnknownCode {
    /// The process had ended before its mappings were read.
    NeverRead,
    /// There was no room for what was known of the process.
    Forgotten,
    /// No code was seen at the address: garbage on a stack, or code that was there for a moment.
    NotMapped,
}

/// Which program of a process: counts its calls of exec.
type Generation = u32;

/// Learns processes and symbolizes their stacks. It is for one thread.
#[derive(Debug)]
pub struct Symbolizer {
    modules: Modules,
    code_maps: CodeMaps,
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
            code_maps: CodeMaps::new(&limits),
            modules: Modules::new(limits),
        }
    }

    /// Reads where the code of a living process lies, and pins its files. Called again, it
    /// takes in what was mapped since. `now` is in nanoseconds of `CLOCK_MONOTONIC`. False
    /// where the process is gone. Costs about a tenth of a millisecond, and the time to read a
    /// perf map that grew.
    pub fn learn(
        &mut self,
        proc: &Proc,
        process: ProcessId,
        generation: Generation,
        now: Nanos,
    ) -> bool {
        let pid = process.pid();
        if proc.identity(pid) != Some(process) {
            return false;
        }
        let Some(mappings) = proc.mappings(pid) else {
            return false;
        };
        let mut code_map = CodeMap::new(self.code_of(proc, pid, &mappings, now));
        let key = (process, generation);
        if code_map.may_be_generated() {
            let earlier = self.code_maps.get(key);
            let known = earlier.and_then(|earlier| earlier.perf_map.clone());
            code_map.perf_map = match PerfMap::read(proc, pid, known.as_deref()) {
                Ok(Some(new)) => Some(Rc::new(new)),
                Ok(None) | Err(_) => known,
            };
        }
        // The pid may have been reused while all this was read.
        if proc.identity(pid) != Some(process) {
            return false;
        }
        if let Some(earlier) = self.code_maps.take(key) {
            code_map.keep_earlier(earlier);
        }
        self.code_maps.insert(key, code_map);
        true
    }

    /// Where the code of a living process lies; its files are pinned.
    fn code_of(
        &mut self,
        proc: &Proc,
        pid: u32,
        mappings: &[Mapping],
        now: Nanos,
    ) -> Vec<SeenMapping> {
        let reader = proc.memory_of(pid);
        let executable = mappings.iter().filter(|mapping| mapping.is_executable());
        let mappings = executable.take(MAX_MAPPINGS).map(|mapping| {
            let module = match mapping.inode {
                0 if mapping.path == VDSO => self.modules.vdso(mapping),
                0 => None,
                _ => self.modules.pin(proc, reader, mapping),
            };
            SeenMapping::new(mapping, module, now)
        });
        mappings.collect()
    }

    /// Learns this process: the libraries that it shares with others are known when
    /// those code_map them. Again to keep them from being dropped for others.
    pub fn learn_own(&mut self, proc: &Proc, now: Nanos) -> bool {
        let own = proc.identity(std::process::id());
        own.is_some_and(|own| self.learn(proc, own, 0, now))
    }

    /// Takes in what a process mapped at a time, in nanoseconds of `CLOCK_MONOTONIC`. The
    /// process may be gone already. If the file is not pinned yet, it is asked for; where it
    /// cannot be opened, the process is not covered until it is learned. The kernel's own code
    /// (inode 0), code without a file and empty ranges are ignored.
    pub fn mapped(
        &mut self,
        proc: &Proc,
        (process, generation): (ProcessId, Generation),
        time: Nanos,
        mapped: &MappedCode,
        open: impl FnOnce() -> Option<File>,
    ) {
        let Some(file) = mapped.file.filter(|file| file.inode != 0) else {
            return;
        };
        if mapped.range.is_empty() {
            return;
        }
        // The kernel's number of a device: the lower 20 bits are the minor one.
        let device = (file.device >> 20, file.device & 0xf_ffff);
        let file = (device, file.inode);
        let pinned = self.modules.pinned(file).or_else(|| {
            let reader = proc.memory_of(process.pid());
            self.modules.pin_open(proc, reader, file, open()?)
        });
        let backing = match pinned {
            Some((id, path)) => Backing::File {
                module: Some(id),
                path,
            },
            None => Backing::Unknown,
        };
        let mapping = SeenMapping {
            range: mapped.range,
            offset: mapped.offset,
            file,
            backing,
            first: time,
            last: time,
            nameless: false,
            told: true,
        };
        let key = (process, generation);
        let mut code_map = self.code_maps.take(key).unwrap_or_else(CodeMap::unseen);
        code_map.mapped(mapping);
        self.code_maps.insert(key, code_map);
    }

    /// Gives a new process what is known of its parent: until it calls exec, its
    /// code lies where the parent's does.
    pub fn inherit(&mut self, parent: (ProcessId, Generation), child: (ProcessId, Generation)) {
        self.code_maps.share(parent, child);
    }

    /// Whether a process was learned, with all that it mapped, and every address of
    /// a stack of the time given lies in code that was seen. If not,
    /// [`learn`](Self::learn) may help, but need not, so not too often.
    #[must_use]
    pub fn covers(
        &mut self,
        process: ProcessId,
        generation: Generation,
        frames: &[u64],
        time: Nanos,
    ) -> bool {
        let code_map = self.code_maps.used((process, generation));
        let Some(code_map) = code_map.filter(|code_map| !code_map.stale) else {
            return false;
        };
        frames.iter().all(|frame| {
            let address = before(*frame);
            let Some(mapping) = code_map.mapping(address, time) else {
                return false;
            };
            let named = |map: &Rc<PerfMap>| map.name(address).is_some();
            !mapping.may_be_generated() || code_map.perf_map.as_ref().is_none_or(named)
        })
    }

    /// Where the frames of a stack lie that are in code which the process generates: all such code
    /// that is known of it. Empty where the stack has none, or only such as lies in `known`, which is
    /// in the order of addresses.
    #[must_use]
    pub fn generated_code(
        &self,
        process: ProcessId,
        generation: Generation,
        (frames, time): (&[u64], Nanos),
        known: &[AddressRange],
    ) -> Vec<AddressRange> {
        let Some(code_map) = self.code_maps.get((process, generation)) else {
            return Vec::new();
        };
        let is_new = |frame: &u64| {
            let address = before(*frame);
            let after = known.partition_point(|range| range.start <= address);
            let is_known = after > 0 && known[after - 1].contains(address);
            let mapping = code_map.mapping(address, time);
            !is_known && mapping.is_some_and(SeenMapping::may_be_generated)
        };
        match frames.iter().any(is_new) {
            true => code_map.generated(),
            false => Vec::new(),
        }
    }

    /// Names a stack of addresses, innermost first: by what lay there at the time it
    /// was taken, in nanoseconds of `CLOCK_MONOTONIC`. The first one follows a system
    /// call or is where a function was entered, which the code before it tells
    /// apart. The others are where calls return to; what returns from a signal
    /// handler is known by its code, and its caller is where the signal came in.
    /// An inlined function comes before the one it is in. Of an address where no code
    /// is known to be, there is only the address.
    pub fn symbolize(
        &mut self,
        process: ProcessId,
        generation: Generation,
        frames: &[u64],
        time: Nanos,
    ) -> Vec<Frame> {
        let Some(code_map) = self.code_maps.used((process, generation)) else {
            return frames.iter().map(|frame| bare(*frame)).collect();
        };
        let mut symbolized = Vec::new();
        let mut role = Role::Innermost;
        for address in frames {
            let Some(mapping) = code_map.mapping_of(*address, role, time) else {
                symbolized.push(bare(*address));
                role = Role::Caller;
                continue;
            };
            let perf_map = code_map.perf_map.as_deref();
            let found = named(&mut self.modules, mapping, perf_map, *address, role);
            symbolized.extend(found.frames);
            role = match found.returns_from_signal {
                true => Role::Interrupted,
                false => Role::Caller,
            };
        }
        symbolized
    }

    /// Why the code of some frames of a stack is not known; `None` where it is, whatever names it has.
    #[must_use]
    pub fn unknown_code(
        &self,
        process: ProcessId,
        generation: Generation,
        frames: &[u64],
        time: Nanos,
    ) -> Option<UnknownCode> {
        let Some(code_map) = self.code_maps.get((process, generation)) else {
            return Some(match self.code_maps.has_forgotten(process) {
                true => UnknownCode::Forgotten,
                false => UnknownCode::NeverRead,
            });
        };
        let is_known = |frame: &u64| {
            let mapping = code_map.mapping_of(*frame, Role::Innermost, time);
            mapping.is_some_and(|mapping| !matches!(mapping.backing, Backing::Unknown))
        };
        match frames.iter().all(is_known) {
            true => None,
            false if code_map.stale => Some(UnknownCode::NeverRead),
            false => Some(UnknownCode::NotMapped),
        }
    }

    /// The name, as it is in its file, of the function that a caller's address lies
    /// in, as far as is known last; not of one inlined into it. To be compared, not shown.
    pub fn function_name(
        &mut self,
        process: ProcessId,
        generation: Generation,
        address: u64,
    ) -> Option<String> {
        let code_map = self.code_maps.get((process, generation))?;
        let mapping = code_map.mapping_of(address, Role::Caller, Nanos::MAX)?;
        let (Backing::File { module, .. } | Backing::Kernel { module, .. }) = &mapping.backing
        else {
            return None;
        };
        let names = self
            .modules
            .names((*module)?, mapping.file_offset(address), Role::Caller);
        let outermost = names.names.last()?;
        Some(outermost.raw.to_string())
    }

    /// Drops what is known of a process. Its files stay until others need the room.
    pub fn forget(&mut self, process: ProcessId) {
        self.code_maps.forget(process);
    }
}
