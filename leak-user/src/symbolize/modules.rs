//! The files that code was mapped from: pinned while a process that maps them is
//! alive, so that their symbols can be read after its end, from a deleted file,
//! or from another mount name space.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    rc::Rc,
};

use blazesym::symbolize::{self as blaze, Input, Sym, source};

use super::{Limits, demangle::demangle, elf::Elf, image::Image};
use crate::proc::{Mapping, Proc, open_beneath, open_regular};

/// A pinned file. Never reused: what was dropped stays unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ModuleId(u64);

/// What maps say a file is. While it is pinned nothing else can be that.
type Key = ((u32, u32), u64);

/// One function at an address; of an address with inlined functions the innermost
/// comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) symbol: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) inlined: bool,
}

/// What is known of an address in a module.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) names: Rc<[Name]>,
    pub(super) build_id: Option<Rc<str>>,
}

/// All pinned files, with the symbols of those used last.
#[derive(Debug)]
pub(super) struct Modules {
    limits: Limits,
    modules: HashMap<ModuleId, Module>,
    by_key: HashMap<Key, ModuleId>,
    known: HashMap<(ModuleId, u64), Names>,
    next: u64,
    /// Counts uses, to drop what was not used for longest.
    clock: u64,
}

#[derive(Debug)]
struct Module {
    key: Key,
    file: File,
    /// Size and change times when it was pinned: a library that is overwritten
    /// in place is another one.
    version: Version,
    used: u64,
    content: Content,
}

type Version = (u64, i64, i64);

#[derive(Debug)]
enum Content {
    NotRead,
    /// Not an ELF file that can be read.
    Unreadable,
    Read(Elf, Origin),
}

/// Where a module's names come from.
#[derive(Debug)]
enum Origin {
    /// Not asked yet, or dropped to make room.
    NotLoaded,
    /// It has none that can be read.
    Nowhere,
    Loaded(Box<Symbols>),
}

/// A symbolizer of its own for each file: to drop it is to free all it took.
#[derive(Debug)]
struct Symbols {
    symbolizer: blaze::Symbolizer,
    path: PathBuf,
    dwarf: bool,
    bytes: u64,
    /// Holds open what the path names.
    _image: Option<Image>,
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

    /// Pins the file of a living process's mapping.
    pub(super) fn pin(&mut self, proc: &Proc, pid: u32, mapping: &Mapping) -> Option<ModuleId> {
        let key = (mapping.device, mapping.inode);
        self.clock += 1;
        if let Some(id) = self.by_key.get(&key).copied() {
            let module = self.modules.get_mut(&id)?;
            if version(&module.file).is_some_and(|now| now == module.version) {
                module.used = self.clock;
                return Some(id);
            }
            self.remove(id);
        }
        let file = open_mapped(proc, pid, mapping).ok()?;
        let module = Module {
            key,
            version: version(&file)?,
            file,
            used: self.clock,
            content: Content::NotRead,
        };
        Some(self.insert(module))
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

    /// The functions at an offset in a file; none where it is not pinned any more
    /// or has no symbols there.
    pub(super) fn names(&mut self, id: ModuleId, offset: u64) -> Names {
        if let Some(known) = self.known.get(&(id, offset)) {
            return known.clone();
        }
        let names = self.look_up(id, offset).unwrap_or_default();
        if self.known.len() >= self.limits.known_addresses {
            // Rare, and cheaper to find again than to keep in order.
            self.known.clear();
        }
        self.known.insert((id, offset), names.clone());
        names
    }

    fn look_up(&mut self, id: ModuleId, offset: u64) -> Option<Names> {
        self.make_room(id);
        self.clock += 1;
        let module = self.modules.get_mut(&id)?;
        module.used = self.clock;
        if matches!(module.content, Content::NotRead) {
            module.content = match Elf::read(&module.file) {
                Some(elf) => Content::Read(elf, Origin::NotLoaded),
                None => Content::Unreadable,
            };
        }
        let Content::Read(elf, origin) = &mut module.content else {
            return None;
        };
        let mut names = Vec::new();
        if let Some(address) = elf.address_of(offset) {
            if matches!(origin, Origin::NotLoaded) {
                let symbols = Symbols::load(&module.file, elf, &self.limits);
                *origin =
                    symbols.map_or(Origin::Nowhere, |symbols| Origin::Loaded(Box::new(symbols)));
            }
            if let Origin::Loaded(symbols) = origin {
                match symbols.find(address) {
                    Ok(found) => names = found,
                    Err(Unreadable) => *origin = Origin::Nowhere,
                }
            }
        }
        let build_id = elf.build_id.as_deref().map(Rc::from);
        Some(Names {
            names: names.into(),
            build_id,
        })
    }

    /// Drops the symbols of files not used lately, until one more fits.
    fn make_room(&mut self, wanted: ModuleId) {
        loop {
            let loaded = || {
                self.modules
                    .iter()
                    .filter_map(|(id, module)| Some((*id, module.used, module.symbols()?.bytes)))
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
            if let Some(Content::Read(_, origin)) =
                self.modules.get_mut(&id).map(|module| &mut module.content)
            {
                *origin = Origin::NotLoaded;
            }
        }
    }

    /// Pins a file that no process maps.
    #[cfg(test)]
    pub(super) fn adopt(&mut self, file: File) -> ModuleId {
        self.insert(Module {
            key: ((0, 0), 0),
            version: (0, 0, 0),
            file,
            used: 0,
            content: Content::NotRead,
        })
    }

    #[cfg(test)]
    pub(super) fn pinned(&self) -> usize {
        self.modules.len()
    }
}

impl Module {
    fn symbols(&self) -> Option<&Symbols> {
        match &self.content {
            Content::Read(_, Origin::Loaded(symbols)) => Some(symbols),
            Content::Read(_, Origin::NotLoaded | Origin::Nowhere)
            | Content::NotRead
            | Content::Unreadable => None,
        }
    }
}

/// Neither DWARF nor symbols can be made sense of.
#[derive(Debug)]
struct Unreadable;

impl Symbols {
    /// Separate debug information of the host, or else what the file itself has.
    fn load(file: &File, elf: &Elf, limits: &Limits) -> io::Result<Symbols> {
        if elf.section(".debug_info").is_none()
            && let Some(separate) = separate_debug_file(elf, limits)
        {
            return Ok(separate);
        }
        let image = Image::copy(file, elf, limits.file_bytes)?;
        Ok(Symbols {
            symbolizer: symbolizer(),
            path: image.path(),
            dwarf: image.has_dwarf,
            bytes: image.bytes,
            _image: Some(image),
        })
    }

    fn find(&mut self, address: u64) -> Result<Vec<Name>, Unreadable> {
        // The file is untrusted and its readers are large: a defect there must
        // not end the trace.
        let found = catch_unwind(AssertUnwindSafe(|| self.ask(address)));
        match found {
            Ok(Ok(names)) => Ok(names),
            // Damaged or of a kind not understood; the symbols may still do.
            _ if self.dwarf => {
                self.dwarf = false;
                self.symbolizer = symbolizer();
                self.find(address)
            }
            _ => Err(Unreadable),
        }
    }

    fn ask(&self, address: u64) -> blazesym::Result<Vec<Name>> {
        let mut file = source::Elf::new(&self.path);
        file.debug_syms = self.dwarf;
        let found = self
            .symbolizer
            .symbolize_single(&source::Source::Elf(file), Input::VirtOffset(address))?;
        Ok(found.as_sym().map(names_of).unwrap_or_default())
    }
}

fn symbolizer() -> blaze::Symbolizer {
    blaze::Symbolizer::builder()
        // The path means one file for as long as it lives.
        .enable_auto_reload(false)
        // Unbounded there; see `demangle`.
        .enable_demangling(false)
        .build()
}

/// Debug information installed apart (`.build-id` below the debug directory). Only
/// the host's administrator can put it there, so it is used where it lies.
fn separate_debug_file(elf: &Elf, limits: &Limits) -> Option<Symbols> {
    let (directory, name) = elf.build_id.as_deref()?.split_at_checked(2)?;
    let path = limits.debug_directory.join(".build-id");
    let path = path.join(directory).join(format!("{name}.debug"));
    let bytes = path
        .metadata()
        .ok()
        .filter(|metadata| metadata.is_file())?
        .len();
    Some(Symbols {
        symbolizer: symbolizer(),
        path,
        dwarf: bytes <= limits.file_bytes,
        bytes,
        _image: None,
    })
}

/// Inlined functions are listed outermost first, after the one they are in.
fn names_of(sym: &Sym<'_>) -> Vec<Name> {
    let name = |symbol: &str, code: Option<&blaze::CodeInfo<'_>>, inlined| Name {
        symbol: demangle(symbol),
        file: code.map(|code| shown(&code.to_path())),
        line: code.and_then(|code| code.line),
        inlined,
    };
    let inlined = sym.inlined.iter().rev();
    inlined
        .map(|inner| name(&inner.name, inner.code_info.as_ref(), true))
        .chain([name(&sym.name, sym.code_info.as_deref(), false)])
        .collect()
}

fn shown(path: &Path) -> String {
    let mut text = path.to_string_lossy().into_owned();
    text.truncate(text.floor_char_boundary(4096));
    text
}

fn version(file: &File) -> Option<Version> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Opens the file behind a mapping: itself, even if it is deleted, where this
/// process may (`CAP_CHECKPOINT_RESTORE`), else what has its path now.
fn open_mapped(proc: &Proc, pid: u32, mapping: &Mapping) -> io::Result<File> {
    let process = proc.root().join(pid.to_string());
    let range = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
    open_regular(&process.join(range)).or_else(|_| {
        let file = open_beneath(&process.join("root"), Path::new(&mapping.path))?;
        match file.metadata()?.ino() == mapping.inode {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    })
}
