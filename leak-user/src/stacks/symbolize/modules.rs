//! The files that code was mapped from: pinned while a process that maps them is
//! alive, so that their symbols can be read after its end, from a deleted file,
//! or from another mount name space.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt},
    path::Path,
    rc::Rc,
};

use super::{
    Limits,
    call_site::{Role, Surroundings},
    elf::Elf,
    seen_mapping::path_of,
    separate::Wanted,
    symbols::{Name, Symbols},
    vdso,
};
use crate::proc::{Mapping, Proc, VDSO, open_beneath};

/// Where debug information is installed, below a root directory.
const DEBUG_DIRECTORY: &str = "usr/lib/debug";

/// A pinned file. Never reused: what was dropped stays unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ModuleId(u64);

/// What maps say a file is. While it is pinned nothing else can be that.
pub(super) type Key = ((u32, u32), u64);

/// What is known of an address in a module.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) names: Rc<[Name]>,
    pub(super) build_id: Option<Rc<str>>,
    /// The kernel returns from a signal handler there.
    pub(super) returns_from_signal: bool,
}

/// All pinned files, with the symbols of those used last.
#[derive(Debug)]
pub(super) struct Modules {
    limits: Limits,
    modules: HashMap<ModuleId, Module>,
    by_key: HashMap<Key, ModuleId>,
    known: HashMap<(ModuleId, u64, Role), Names>,
    next: u64,
    /// Counts uses, to drop what was not used for longest.
    clock: u64,
}

#[derive(Debug)]
struct Module {
    key: Key,
    /// As the process had it that it was pinned of.
    path: Rc<str>,
    file: File,
    /// Size and change times when it was pinned: a library that is overwritten
    /// in place is another one.
    version: Version,
    used: u64,
    content: Content,
    /// Where its debug information may be.
    wanted: Option<Wanted>,
    /// What may be it among the files of its process: that may be gone later.
    separate: Option<File>,
}

type Version = (u64, i64, i64);

#[derive(Debug)]
enum Content {
    NotRead,
    /// Not an ELF file that can be read.
    Unreadable,
    /// Symbols are there from the first question on, until others need the room.
    Read(Elf, Option<Box<Symbols>>),
}

impl Modules {
    pub(super) fn new(limits: Limits) -> Modules {
        Modules {
            limits,
            modules: HashMap::new(),
            by_key: HashMap::new(),
            known: HashMap::new(),
            next: 0,
            clock: 0,
        }
    }

    /// A file that is pinned, and its path.
    pub(super) fn pinned(&mut self, key: Key) -> Option<(ModuleId, Rc<str>)> {
        self.clock += 1;
        let id = *self.by_key.get(&key)?;
        let module = self.modules.get_mut(&id)?;
        if version(&module.file).is_none_or(|now| now != module.version) {
            self.remove(id);
            return None;
        }
        module.used = self.clock;
        Some((id, module.path.clone()))
    }

    /// Pins the file of a mapping, by a process or thread that has the memory.
    pub(super) fn pin(&mut self, proc: &Proc, pid: u32, mapping: &Mapping) -> Option<ModuleId> {
        let key = (mapping.device, mapping.inode);
        if let Some((id, _)) = self.pinned(key) {
            return Some(id);
        }
        let file = open_mapped(proc, pid, mapping).ok()?;
        self.keep(proc, pid, key, &mapping.path, file)
    }

    /// Pins a file that a process maps and that is open here.
    pub(super) fn pin_open(
        &mut self,
        proc: &Proc,
        pid: u32,
        key: Key,
        file: File,
    ) -> Option<(ModuleId, Rc<str>)> {
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let path = std::fs::read_link(link).ok()?;
        let id = self.keep(proc, pid, key, &path.to_string_lossy(), file)?;
        Some((id, self.modules.get(&id)?.path.clone()))
    }

    fn keep(
        &mut self,
        proc: &Proc,
        pid: u32,
        key: Key,
        path: &str,
        file: File,
    ) -> Option<ModuleId> {
        let mut module = Module::new(key, path_of(path), file)?;
        module.used = self.clock;
        let root = proc.root_directory(pid);
        module.find_separate(&root, Path::new(path), &self.limits);
        Some(self.insert(module))
    }

    /// The kernel's code in a living process. `None` where it is not that of this
    /// one, as in a 32-bit process.
    pub(super) fn vdso(&mut self, mapping: &Mapping) -> Option<ModuleId> {
        let key = ((u32::MAX, u32::MAX), u64::MAX);
        let id = match self.by_key.get(&key) {
            Some(id) => *id,
            None => {
                let module = Module::new(key, VDSO, vdso::copy()?)?;
                self.insert(module)
            }
        };
        self.clock += 1;
        let module = self.modules.get_mut(&id)?;
        module.used = self.clock;
        (module.version.0 == mapping.range.length() && mapping.range.start > u64::from(u32::MAX))
            .then_some(id)
    }

    fn insert(&mut self, module: Module) -> ModuleId {
        while self.modules.len() >= self.limits.pinned_files.max(1) {
            let oldest = self.modules.iter().min_by_key(|(_, module)| module.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            self.remove(oldest);
        }
        let id = ModuleId(self.next);
        self.next += 1;
        self.by_key.insert(module.key, id);
        self.modules.insert(id, module);
        id
    }

    fn remove(&mut self, id: ModuleId) {
        if let Some(module) = self.modules.remove(&id)
            && self.by_key.get(&module.key) == Some(&id)
        {
            self.by_key.remove(&module.key);
        }
    }

    /// The functions at an offset in a file that a frame has for its address; none
    /// where it is not pinned any more or has no symbols there.
    pub(super) fn names(&mut self, id: ModuleId, offset: u64, role: Role) -> Names {
        let key = (id, offset, role);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let names = self.look_up(id, offset, role).unwrap_or_default();
        if self.known.len() >= self.limits.known_addresses {
            // Rare, and cheaper to find again than to keep in order.
            self.known.clear();
        }
        self.known.insert(key, names.clone());
        names
    }

    fn look_up(&mut self, id: ModuleId, offset: u64, role: Role) -> Option<Names> {
        self.make_room(id);
        self.clock += 1;
        let module = self.modules.get_mut(&id)?;
        module.used = self.clock;
        let code = Surroundings::at(&module.file, offset);
        let exact = role.is_exact(code, || module.starts_function(offset, &self.limits));
        let instruction = offset.saturating_sub(u64::from(!exact));
        let mut names = module.names(instruction, &self.limits)?;
        names.returns_from_signal = code == Surroundings::SignalReturn;
        if names.returns_from_signal && names.names.is_empty() {
            // The C library's own name for it; not among what it exports.
            names.names = Rc::new([Name::of_function("__restore_rt")]);
        }
        Some(names)
    }

    /// Drops the symbols of files not used lately, until one more fits.
    fn make_room(&mut self, wanted: ModuleId) {
        loop {
            let loaded = || {
                self.modules
                    .iter()
                    .filter_map(|(id, module)| Some((*id, module.used, module.symbols()?.bytes())))
            };
            let bytes: u64 = loaded().map(|(.., bytes)| bytes).sum();
            let fits =
                bytes <= self.limits.symbol_bytes && loaded().count() <= self.limits.loaded_files;
            let oldest = loaded()
                .filter(|(id, ..)| *id != wanted)
                .min_by_key(|(_, used, _)| *used);
            let Some((id, ..)) = oldest.filter(|_| !fits) else {
                return;
            };
            if let Some(Content::Read(_, symbols)) =
                self.modules.get_mut(&id).map(|module| &mut module.content)
            {
                *symbols = None;
            }
        }
    }

    /// Pins a file that no process maps.
    #[cfg(test)]
    pub(super) fn adopt(&mut self, file: File) -> ModuleId {
        let module = Module::new(((0, 0), 0), "", file).expect("it has metadata");
        self.insert(module)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.modules.len()
    }
}

impl Module {
    fn new(key: Key, path: &str, file: File) -> Option<Module> {
        Some(Module {
            key,
            path: path.into(),
            version: version(&file)?,
            file,
            used: 0,
            content: Content::NotRead,
            wanted: None,
            separate: None,
        })
    }

    fn read(&mut self) {
        if matches!(self.content, Content::NotRead) {
            self.content = match Elf::read(&self.file) {
                Some(elf) => Content::Read(elf, None),
                None => Content::Unreadable,
            };
        }
    }

    /// Looks for debug information among the files of a living process.
    fn find_separate(&mut self, root: &Path, path: &Path, limits: &Limits) {
        self.read();
        let Content::Read(elf, _) = &self.content else {
            return;
        };
        self.wanted = Wanted::by(&self.file, elf, path);
        if let Some(wanted) = &self.wanted
            && wanted.on_host(&limits.debug_directory).is_none()
        {
            self.separate = wanted.beneath(root, Path::new(DEBUG_DIRECTORY));
        }
    }

    fn names(&mut self, offset: u64, limits: &Limits) -> Option<Names> {
        self.read();
        let Content::Read(elf, symbols) = &mut self.content else {
            return None;
        };
        let mut names = Vec::new();
        if let Some(address) = elf.address_of(offset) {
            let symbols = symbols.get_or_insert_with(|| {
                let (wanted, separate) = (self.wanted.as_ref(), self.separate.as_ref());
                Box::new(Symbols::load(&self.file, elf, wanted, separate, limits))
            });
            names = symbols.find(&self.file, elf, address);
        }
        Some(Names {
            names: names.into(),
            build_id: elf.build_id.as_deref().map(Rc::from),
            returns_from_signal: false,
        })
    }

    fn starts_function(&mut self, offset: u64, limits: &Limits) -> bool {
        let names = self.names(offset, limits).unwrap_or_default();
        let Content::Read(elf, _) = &self.content else {
            return false;
        };
        let outermost = names.names.last();
        outermost.is_some_and(|name| name.start.is_some() && name.start == elf.address_of(offset))
    }

    fn symbols(&self) -> Option<&Symbols> {
        match &self.content {
            Content::Read(_, symbols) => symbols.as_deref(),
            Content::NotRead | Content::Unreadable => None,
        }
    }
}

fn version(file: &File) -> Option<Version> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Opens the file behind a mapping: itself, even if it is deleted, where this
/// process may (`CAP_CHECKPOINT_RESTORE`), else what has its path now.
fn open_mapped(proc: &Proc, pid: u32, mapping: &Mapping) -> io::Result<File> {
    let opened = proc.open_mapped(pid, mapping.range).and_then(|file| {
        // Since the mappings were read, another file may have come there.
        let link = proc.mapped_file(pid, mapping.range);
        match std::fs::read_link(link)?.as_os_str() == mapping.path.as_str() {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    });
    opened.or_else(|_| {
        let root = proc.root_directory(pid);
        let file = open_beneath(&root, Path::new(&mapping.path))?;
        match file.metadata()?.ino() == mapping.inode {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    })
}
