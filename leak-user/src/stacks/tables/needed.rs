//! The libraries that a program will load, found before it loads them. They are looked for as
//! the dynamic linker does (ld.so(8)), with one difference: instead of its cache, the
//! directories in its configuration are searched.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    path::{Path, PathBuf},
};

use object::{
    LittleEndian,
    elf::{self, FileHeader64},
    read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
};

use super::file_parts::FileParts;
use crate::proc::{Proc, open_regular};

/// Libraries of one program.
const MAX_LIBRARIES: usize = 512;

/// What a file asks the dynamic linker for.
#[derive(Debug, Default)]
struct Dynamic {
    needed: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    directories: Vec<String>,
}

/// Paths of the libraries that a process's program needs, and those that they need.
/// Only what the host has under its path there is found; a process with another root
/// shows what it maps soon enough.
pub(super) fn libraries(proc: &Proc, pid: u32) -> Vec<PathBuf> {
    let program = proc.program(pid);
    let Ok(real) = std::fs::read_link(&program) else {
        return Vec::new();
    };
    let mut usual = environment(proc, pid);
    usual.extend(configured());
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut queue = VecDeque::from([(program, real)]);
    while let Some((path, real)) = queue.pop_front() {
        let Some(dynamic) = open_regular(&path).ok().and_then(|file| read(&file)) else {
            continue;
        };
        let origin = real.parent().unwrap_or(Path::new("/")).to_owned();
        let own: Vec<PathBuf> = dynamic
            .directories
            .iter()
            .flat_map(|list| list.split(':'))
            .map(|directory| with_origin(directory, &origin))
            .collect();
        for name in dynamic.needed {
            if found.len() >= MAX_LIBRARIES || !seen.insert(name.clone()) {
                continue;
            }
            let place = own
                .iter()
                .chain(&usual)
                .map(|directory| directory.join(&name))
                .find(|path| path.is_file());
            if let Some(path) = place {
                found.push(path.clone());
                queue.push_back((path.clone(), path));
            }
        }
    }
    found
}

/// `$ORIGIN` stands for the directory that the file lies in (ld.so(8)).
fn with_origin(directory: &str, origin: &Path) -> PathBuf {
    let origin = origin.to_string_lossy();
    let directory = directory.replace("${ORIGIN}", &origin);
    PathBuf::from(directory.replace("$ORIGIN", &origin))
}

/// `LD_LIBRARY_PATH` of a process.
fn environment(proc: &Proc, pid: u32) -> Vec<PathBuf> {
    let variables = proc.text_of(pid, "environ").unwrap_or_default();
    variables
        .split('\0')
        .find_map(|variable| variable.strip_prefix("LD_LIBRARY_PATH="))
        .map(|list| list.split([':', ';']).map(PathBuf::from).collect())
        .unwrap_or_default()
}

/// The directories of ld.so.conf(5), and those that are built in.
fn configured() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(entries) = std::fs::read_dir("/etc/ld.so.conf.d") {
        files.extend(entries.map_while(Result::ok).map(|entry| entry.path()));
    }
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().map(str::trim);
        directories.extend(
            lines
                .filter(|line| line.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    for directory in ["/lib", "/usr/lib", "/lib64", "/usr/lib64"] {
        directories.push(Path::new(directory).join(&multiarch));
        directories.push(PathBuf::from(directory));
    }
    directories
}

/// What a file asks for; none where it has no dynamic section.
fn read(file: &File) -> Option<Dynamic> {
    let parts = FileParts::read(file)?;
    let data: &[u8] = &parts;
    let endian = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(data).ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let entries = segments
        .iter()
        .find_map(|segment| segment.dynamic(endian, data).ok()?)?;
    let value = |tag: i64| {
        let entry = entries.iter().find(|entry| entry.d_tag(endian) == tag);
        entry.map(|entry| entry.d_val(endian))
    };
    let (strings, size) = (value(elf::DT_STRTAB)?, value(elf::DT_STRSZ)?);
    let strings = segments
        .iter()
        .find_map(|segment| segment.data_range(endian, data, strings, size).ok()?)?;
    let text = |entry: &elf::Dyn64<LittleEndian>| {
        let start = usize::try_from(entry.d_val(endian)).ok()?;
        let rest = strings.get(start..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(std::str::from_utf8(&rest[..end]).ok()?.to_owned())
    };
    let all = |tags: &'static [i64]| {
        entries
            .iter()
            .take(4096)
            .filter(move |entry| tags.contains(&entry.d_tag(endian)))
            .filter_map(text)
    };
    Some(Dynamic {
        // A path is loaded as it is, but one may be looked for under its root only.
        needed: all(&[elf::DT_NEEDED])
            .filter(|name| !name.contains('/'))
            .collect(),
        directories: all(&[elf::DT_RPATH, elf::DT_RUNPATH]).collect(),
    })
}
