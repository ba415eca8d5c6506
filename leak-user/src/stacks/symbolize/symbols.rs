//! The symbols of one file, from wherever they can be had: its DWARF or that of a
//! separate file, symbol tables, and the table of a Go program.

use std::{
    cell::OnceCell,
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use blazesym::symbolize::{self as blaze, Input, Sym, source};

use super::{
    Limits,
    demangle::{Language, readable},
    elf::Elf,
    go::{self, GoTable},
    separate::Wanted,
    symbol_copy::SymbolCopy,
};

/// One function at an address; of an address with inlined functions the innermost
/// comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// For people.
    pub(super) symbol: String,
    /// As it is in the file.
    pub(super) raw: Box<str>,
    /// Address of its first instruction, unless it was inlined.
    pub(super) start: Option<u64>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) inlined: bool,
}

impl Name {
    /// Of a function of which only the name is known.
    pub(super) fn of_function(name: &str) -> Name {
        Name {
            symbol: name.to_owned(),
            raw: name.into(),
            ..Name::default()
        }
    }

    fn new(raw: &str, language: Language) -> Name {
        Name {
            symbol: readable(raw, language),
            raw: raw[..raw.floor_char_boundary(MAX_RAW)].into(),
            ..Name::default()
        }
    }
}

/// Longest name kept as it is in the file.
const MAX_RAW: usize = 512;

/// All of a file.
#[derive(Debug)]
pub(super) struct Symbols {
    native: Option<Native>,
    /// Read when it is first needed.
    go: OnceCell<Option<GoTable>>,
    language: Language,
    file_bytes: u64,
}

impl Symbols {
    /// What of a file, or of `separate` debug information, can be read.
    pub(super) fn load(
        file: &File,
        elf: &Elf,
        wanted: Option<&Wanted>,
        separate: Option<&File>,
        limits: &Limits,
    ) -> Symbols {
        let on_host = wanted.and_then(|wanted| wanted.on_host(&limits.debug_directory));
        let native = on_host
            .and_then(|path| Native::in_place(path, limits))
            .or_else(|| {
                let separate =
                    separate.filter(|file| wanted.is_some_and(|wanted| wanted.matches(file)))?;
                Native::copy(separate, &Elf::read(separate)?, limits).ok()
            })
            .or_else(|| Native::copy(file, elf, limits).ok());
        Symbols {
            native,
            go: OnceCell::new(),
            language: match go::is_go(elf) {
                true => Language::Go,
                false => Language::Other,
            },
            file_bytes: limits.file_bytes,
        }
    }

    /// The functions at an address.
    pub(super) fn find(&mut self, file: &File, elf: &Elf, address: u64) -> Vec<Name> {
        let language = self.language;
        let found = self
            .native
            .as_mut()
            .map(|native| native.find(address, language));
        let names = match found {
            Some(Ok(names)) => names,
            Some(Err(Unreadable)) => {
                self.native = None;
                Vec::new()
            }
            None => Vec::new(),
        };
        if names.iter().any(|name| name.file.is_some()) {
            return names;
        }
        // No line at least: the table of a Go program has them.
        let go = || GoTable::read(file, elf, self.file_bytes);
        let Some(go) = self.go.get_or_init(go) else {
            return names;
        };
        let found = go.functions(file, elf, address);
        let with_go = found.iter().map(|function| Name {
            file: function.file.map(str::to_owned),
            line: function.line,
            start: function.start,
            inlined: function.start.is_none(),
            ..Name::new(function.name, Language::Go)
        });
        match found.is_empty() {
            true => names,
            false => with_go.collect(),
        }
    }

    /// Bytes of memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        let go = self.go.get().and_then(Option::as_ref);
        self.native.as_ref().map_or(0, |native| native.bytes) + go.map_or(0, GoTable::size)
    }
}

/// DWARF and symbol tables. A symbolizer of its own for each file: to drop it is
/// to free all it took.
#[derive(Debug)]
struct Native {
    symbolizer: blaze::Symbolizer,
    /// For names that the DWARF has in yet another file.
    without_dwarf: OnceCell<blaze::Symbolizer>,
    path: PathBuf,
    dwarf: bool,
    bytes: u64,
    /// Holds open what the path names.
    _image: Option<SymbolCopy>,
}

/// Neither DWARF nor symbols can be made sense of.
#[derive(Debug)]
struct Unreadable;

impl Native {
    /// A file of the host, used where it lies.
    fn in_place(path: PathBuf, limits: &Limits) -> Option<Native> {
        let bytes = path.metadata().ok()?.len();
        Some(Native {
            symbolizer: symbolizer(),
            without_dwarf: OnceCell::new(),
            path,
            dwarf: bytes <= limits.file_bytes,
            bytes,
            _image: None,
        })
    }

    fn copy(file: &File, elf: &Elf, limits: &Limits) -> io::Result<Native> {
        let image = SymbolCopy::copy(file, elf, limits.file_bytes)?;
        Ok(Native {
            symbolizer: symbolizer(),
            without_dwarf: OnceCell::new(),
            path: image.path(),
            dwarf: image.has_dwarf,
            bytes: image.bytes,
            _image: Some(image),
        })
    }

    fn find(&mut self, address: u64, language: Language) -> Result<Vec<Name>, Unreadable> {
        // The file is untrusted and its readers are large: a defect there must
        // not end the trace.
        let found = catch_unwind(AssertUnwindSafe(|| self.ask(address, language)));
        match found {
            Ok(Ok(names)) => Ok(names),
            // Damaged or of a kind not understood; the symbols may still do.
            _ if self.dwarf => {
                self.dwarf = false;
                self.symbolizer = symbolizer();
                self.find(address, language)
            }
            _ => Err(Unreadable),
        }
    }

    fn ask(&self, address: u64, language: Language) -> blazesym::Result<Vec<Name>> {
        let mut names = self.ask_one(&self.symbolizer, self.dwarf, address, language)?;
        if names.iter().all(|name| !name.raw.is_empty()) {
            return Ok(names);
        }
        // `dwz` moved the names to a file that is not there. Symbol tables have
        // those of functions that were not inlined.
        names.retain(|name| !name.inlined || !name.raw.is_empty());
        let other = self.without_dwarf.get_or_init(symbolizer);
        let found = self.ask_one(other, false, address, language)?.pop();
        if let (Some(name), Some(found)) = (names.last_mut(), found) {
            (name.symbol, name.raw) = (found.symbol, found.raw);
        }
        Ok(names)
    }

    fn ask_one(
        &self,
        symbolizer: &blaze::Symbolizer,
        dwarf: bool,
        address: u64,
        language: Language,
    ) -> blazesym::Result<Vec<Name>> {
        let mut file = source::Elf::new(&self.path);
        file.debug_syms = dwarf;
        let source = source::Source::Elf(file);
        let found = symbolizer.symbolize_single(&source, Input::VirtOffset(address))?;
        let names = found.as_sym().map(|sym| names_of(sym, language));
        Ok(names.unwrap_or_default())
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

/// Inlined functions are listed outermost first, after the one they are in.
fn names_of(sym: &Sym<'_>, language: Language) -> Vec<Name> {
    let name = |symbol: &str, code: Option<&blaze::CodeInfo<'_>>, start: Option<u64>| Name {
        file: code.map(|code| shown(&code.to_path())),
        line: code.and_then(|code| code.line),
        start,
        inlined: start.is_none(),
        ..Name::new(symbol, language)
    };
    let inlined = sym.inlined.iter().rev();
    inlined
        .map(|inner| name(&inner.name, inner.code_info.as_ref(), None))
        .chain([name(&sym.name, sym.code_info.as_deref(), Some(sym.addr))])
        .collect()
}

fn shown(path: &Path) -> String {
    let mut text = path.to_string_lossy().into_owned();
    text.truncate(text.floor_char_boundary(4096));
    text
}
