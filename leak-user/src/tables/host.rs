//! Where code lies on this host: what processes map, and what is installed.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use leak_common::unwind::FileKey;

use crate::proc::{Mapping, Proc, open_regular};

/// Processes that are looked at.
const MAX_PROCESSES: usize = 65_536;

/// Entries of directories that are looked at in all.
const MAX_ENTRIES: usize = 500_000;

/// Directories below those where things are installed.
const MAX_DEPTH: usize = 6;

/// Bytes of an ELF header: what is shorter is something else.
const MIN_ELF: u64 = 64;

/// A file that processes map, by one of them.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) pid: u32,
    pub(super) mapping: Mapping,
    processes: usize,
}

/// Whether code of a file is mapped.
pub(super) fn is_code(mapping: &Mapping) -> bool {
    mapping.is_executable() && mapping.inode != 0
}

/// The files whose code processes map, those of most processes first.
pub(super) fn mapped(proc: &Proc, pids: impl IntoIterator<Item = u32>) -> Vec<Mapped> {
    let mut files: HashMap<((u32, u32), u64), Mapped> = HashMap::new();
    for pid in pids.into_iter().take(MAX_PROCESSES) {
        for mapping in proc.mappings(pid).unwrap_or_default() {
            if is_code(&mapping) {
                let file = (mapping.device, mapping.inode);
                let mapped = files.entry(file).or_insert(Mapped {
                    pid,
                    mapping,
                    processes: 0,
                });
                mapped.processes += 1;
            }
        }
    }
    let mut files: Vec<Mapped> = files.into_values().collect();
    files.sort_by_key(|mapped| (std::cmp::Reverse(mapped.processes), mapped.mapping.inode));
    files
}

/// Opens what a living process has mapped: the very file, also if it was deleted.
pub(super) fn open_mapped(proc: &Proc, pid: u32, (start, end): (u64, u64)) -> io::Result<File> {
    let process = proc.root().join(proc.memory_of(pid).to_string());
    open_regular(&process.join(format!("map_files/{start:x}-{end:x}")))
}

/// Opens the program that a living process runs.
pub(super) fn open_program(proc: &Proc, pid: u32) -> io::Result<File> {
    let process = proc.root().join(proc.memory_of(pid).to_string());
    open_regular(&process.join("exe"))
}

/// The kernel's number of a device: `MKDEV`, include/linux/kdev_t.h.
pub(super) fn device((major, minor): (u32, u32)) -> u32 {
    major << 20 | minor
}

/// What the programs call a file that a process maps.
pub(super) fn key_of_mapped(mapping: &Mapping, metadata: &Metadata) -> FileKey {
    FileKey {
        inode: mapping.inode,
        device: device(mapping.device),
        ..key_of(metadata)
    }
}

/// What the programs call a file, unless its file system has other numbers inside
/// the kernel than it shows (overlayfs, btrfs): those are learned when its code is
/// met.
pub(super) fn key_of(metadata: &Metadata) -> FileKey {
    let number = metadata.dev();
    FileKey {
        inode: metadata.ino(),
        changed_seconds: metadata.ctime(),
        changed_nanoseconds: metadata.ctime_nsec() as u32,
        device: device((libc::major(number), libc::minor(number))),
    }
}

/// Where distributions install programs and libraries.
const INSTALLED: [&str; 8] = [
    "/usr/lib",
    "/usr/bin",
    "/usr/sbin",
    "/usr/libexec",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/bin",
    "/opt",
];

/// Programs and libraries that are installed, the smallest first: most of them are
/// known when the room is used up.
pub(super) fn installed() -> impl Iterator<Item = PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut left = MAX_ENTRIES;
    for directory in INSTALLED {
        list(Path::new(directory), MAX_DEPTH, &mut left, &mut found);
    }
    found.sort_unstable();
    found.into_iter().map(|(_, path)| path)
}

/// The files below a directory that can be run, or look like libraries. Links are
/// left out: what they name is found where it lies.
fn list(directory: &Path, depth: usize, left: &mut usize, found: &mut Vec<(u64, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.map_while(Result::ok) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth > 0 {
            list(&entry.path(), depth - 1, left, found);
        }
        if !kind.is_file() {
            continue;
        }
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let shared = name.windows(3).any(|part| part == b".so");
        // A script has a suffix more often than a program does.
        if !shared && name.contains(&b'.') && !directory.ends_with("bin") {
            continue;
        }
        if let Ok(metadata) = entry.metadata()
            && (shared || metadata.mode() & 0o111 != 0)
            && metadata.len() >= MIN_ELF
        {
            found.push((metadata.len(), entry.path()));
        }
    }
}
